# A node with two slots that hangs is started over, so that GRUB can count: the hardware's watchdog, or the kernel's own
# where there is none. BusyBox' watchdog feeds it from here on; it lets go in order at power-off.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

TIMEOUT_SECONDS=60
FEED_SECONDS=10

start_watchdog() {
    [ -e "${ROOT:-}/dev/watchdog" ] || modprobe -q softdog || :
    if [ ! -e "${ROOT:-}/dev/watchdog" ]; then
        warn 'there is no watchdog: a hung node stays hung'
        return 0
    fi
    watchdog -T "$TIMEOUT_SECONDS" -t "$FEED_SECONDS" "${ROOT:-}/dev/watchdog" || warn 'the watchdog does not start'
}

! booted_slot || start_watchdog
stage_complete 35-watchdog.sh
