# What the node knows about time. Sourced by stages and scripts, which set STATE, DATA and SHARE.
# A machine without a battery starts in 1970, or where it likes: its clock is never believed to be before the
# build of this image, nor before the time that the data partition has seen last.

TIME_FOLDER=$DATA/time
# No clock that says so is believed either: ten years after the build.
PLAUSIBLE_SECONDS=315360000

read_build_epoch() {
    BUILD_EPOCH=0
    while IFS='=' read -r key value; do
        [ "$key" != BUILD_EPOCH ] || BUILD_EPOCH=${value//\"/}
    done <"${ROOT:-}/usr/lib/os-release"
}

# Sets FLOOR to the earliest time that it can be, in seconds since 1970, and FLOOR_NAME to why. A file that a
# power cut left empty or half counts as none.
read_floor() {
    read_build_epoch
    FLOOR=$BUILD_EPOCH
    FLOOR_NAME='the build of this image'
    seen=
    read -r seen 2>/dev/null <"$TIME_FOLDER/seen" || :
    case $seen in
    '' | *[!0-9]* | ????????????*) return 0 ;;
    esac
    [ "$seen" -gt "$FLOOR" ] || return 0
    FLOOR=$seen
    FLOOR_NAME='the time that this node has seen last'
}

# The clock is before the floor, or so far ahead that it cannot be.
clock_is_before_floor() { [ "$EPOCHSECONDS" -lt "$FLOOR" ]; }

clock_is_far_ahead() { [ "$EPOCHSECONDS" -gt $((BUILD_EPOCH + PLAUSIBLE_SECONDS)) ]; }

# Notes the time on the data partition, whole or not at all. A time that cannot be is not worth keeping, as the node
# would never come back behind it without a time server; nor is any worth the reserve of a full disk, or a complaint
# every hour.
record_time() {
    [ -d "$TIME_FOLDER" ] && ! clock_is_far_ahead || return 0
    replace_file "$TIME_FOLDER/seen" "$EPOCHSECONDS
" 2>/dev/null || :
}

# tell_time_servers SERVER...: those that a lease names. They are asked at once, as is who did not answer when
# there was no network; who is asked already goes on undisturbed.
tell_time_servers() {
    known=
    read -r known 2>/dev/null <"$STATE/ntp-servers" || :
    if [ "$known" != "$*" ]; then
        printf '%s\n' "$*" >"$STATE/ntp-servers"
        daemon=
        read -r daemon 2>/dev/null <"$STATE/chronyd.pid" || :
        [ -z "$daemon" ] || kill -TERM "$daemon" 2>/dev/null || :
    fi
    # Open for reading too: opening never waits, whoever reads or not.
    [ ! -p "$STATE/sync-clock.doze" ] || printf '\n' 1<>"$STATE/sync-clock.doze" || :
}
