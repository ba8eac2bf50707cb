# The clock: hardware clock, never before the build of this image or what this node has seen last, then NTP.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"
. "$SHARE/time.sh"

# The kernel reads most clocks itself; a driver that came as a module is too late for that.
read_hardware_clock() {
    for clock in "${ROOT:-}"/sys/class/rtc/rtc*; do
        set_by_kernel=0
        read -r set_by_kernel 2>/dev/null <"$clock/hctosys" || :
        [ "$set_by_kernel" != 1 ] || return 0
    done
    [ ! -e "$clock" ] || hwclock -s -u || warn 'the hardware clock cannot be read'
}

# What chronyd writes it writes as its own user (/etc/passwd).
make_time_folder() {
    [ ! -d "$TIME_FOLDER" ] || return 0
    (umask 022 && mkdir -p "$TIME_FOLDER" && chown 101:101 "$TIME_FOLDER") || warn "cannot make $TIME_FOLDER"
}

# Certificates are not valid before they are made: a flat battery must not look like the year 1970.
raise_to_floor() {
    warn "the clock was before $FLOOR_NAME; set to that"
    date -s "@$FLOOR" >/dev/null || warn 'the clock cannot be set'
}

# Sets WRONG when the clock is plainly wrong. What is merely ahead can not be told from what is right.
judge_clock() {
    WRONG=
    read_floor
    if clock_is_before_floor; then
        WRONG=1
        raise_to_floor
    elif clock_is_far_ahead; then
        WRONG=1
        warn 'the clock is more than ten years after the build of this image'
    fi
}

# Certificates are made soon. No longer than a few seconds, and only where an answer can come from.
wait_for_servers() {
    read_uptime
    deadline=$((NOW + 600))
    until [ -e "$STATE/clock-set" ]; do
        set -- "${ROOT:-}"/sys/class/net/*/device
        if [ ! -e "$1" ] || [ "$NOW" -ge "$deadline" ]; then
            warn 'no time server has answered yet; the boot goes on, the clock follows'
            return 0
        fi
        sleep 0.1
        read_uptime
    done
}

read_hardware_clock
make_time_folder
judge_clock
"$SHARE/keep" "$SHARE/sync-clock" </dev/null >/dev/null 2>&1 &
[ -z "$WRONG" ] || wait_for_servers
stage_complete 70-clock.sh
