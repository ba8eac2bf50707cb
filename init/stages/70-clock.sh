# The clock: hardware clock, never before the build of this image, then NTP in the background.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

# The kernel reads most clocks itself; a driver that came as a module is too late for that.
read_hardware_clock() {
    for clock in "${ROOT:-}"/sys/class/rtc/rtc*; do
        set_by_kernel=0
        read -r set_by_kernel 2>/dev/null <"$clock/hctosys" || :
        [ "$set_by_kernel" != 1 ] || return 0
    done
    [ ! -e "$clock" ] || hwclock -s -u || warn 'the hardware clock cannot be read'
}

# Certificates are not valid before they are made: a flat clock battery must not look like the year 1970.
keep_after_build() {
    epoch=0
    while IFS='=' read -r key value; do
        [ "$key" != BUILD_EPOCH ] || epoch=${value//\"/}
    done <"${ROOT:-}/usr/lib/os-release"
    [ "$EPOCHSECONDS" -lt "$epoch" ] || return 0
    warn "the clock was before the build of this image; set to the build's time"
    date -s "@$epoch" >/dev/null || warn 'the clock cannot be set'
}

read_hardware_clock
keep_after_build
"$SHARE/sync-clock" </dev/null >/dev/null 2>>"$STATE/sync-clock.log" &
stage_complete 70-clock.sh
