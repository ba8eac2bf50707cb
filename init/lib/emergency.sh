# The emergency shell, on every console at once; the first one that is left by `exit` ends all.

# emergency_shell STAGE REASON: says what failed, shows the last log lines and waits for an exit.
emergency_shell() {
    announce_failure "$1" "$2"
    keep_reason "$1" "$2"
    unattended=1
    open_shells "$1"
    unattended=
}

# Also for kubesolo.shell, where nothing has failed.
open_shells() {
    # Quiet or not, whoever shall type must see where.
    log_line "$TITLE Emergency shell ($1). Type 'exit' to go on from there, 'reboot -f' to start over."
    start_hostport
    find_keyboards &
    left=${ROOT:-}/run/kubesolo/shell-left
    rm -f "$left" "$left.pids"
    mkfifo "$left"
    terminals='' offers=''
    for console in $CONSOLES; do
        # tty0 is whichever terminal is in front; a shell needs a terminal of its own.
        case $console in
        */tty0) console=${console%0}1 ;;
        esac
        terminals="$terminals $console"
    done
    if [ -n "${unattended:-}" ]; then
        reboot_when_alone &
        offers=$!
    fi
    for console in ${terminals:-"${ROOT:-}/dev/console"}; do
        offer_shell "$console" &
        offers="$offers $!"
    done
    read -r _ <>"$left" || :
    close_shells
    rm -f "$left"
}

# A USB keyboard takes a while to say that it is one.
find_keyboards() {
    for pause in 0 1 3; do
        sleep "$pause"
        coldplug
    done
}

# Until somebody leaves the shell. One that ends at once again has no console any more (nobody types exit within
# a second, twice): it is offered again after a growing pause, or the failed stage would be tried without end.
offer_shell() {
    pause=1
    before=${ROOT:-}/run/kubesolo/shell-was-left-${1##*/}
    while :; do
        read_uptime
        began=$NOW
        run_shell "$1"
        read_uptime
        if [ $((NOW - began)) -ge 100 ] || [ ! -e "$before" ]; then
            : >"$before"
            break
        fi
        sleep "$pause"
        [ "$pause" -ge 60 ] || pause=$((pause * 2))
    done
    # Opened for both, as there may be no reader any more: another console was quicker.
    echo left 1<>"$left"
}

# A session of its own, so that the console becomes its terminal and Ctrl-C works.
run_shell() {
    # shellcheck disable=SC2016 # for the inner shell
    PS1='kubesolo-emergency# ' TERM=linux HOME=/ ENV='' setsid sh -c 'exec sh -i <"$0" >>"$0" 2>&1' "$1" &
    printf '%s\n' "$!" >>"$left.pids"
    wait $! || :
}

# Those who offer first, or they would offer again.
close_shells() {
    # shellcheck disable=SC2086 # process ids
    kill -KILL $offers 2>/dev/null || :
    while read -r shell; do
        kill -KILL "$shell" 2>/dev/null || :
    done <"$left.pids"
}

announce_failure() {
    error "Stage $1 failed: $2"
    to_consoles '--- last lines of the boot log ---'
    tail -n 15 "${ROOT:-}/run/kubesolo/boot.log" >"${ROOT:-}/run/kubesolo/last-lines" || :
    while IFS= read -r line; do
        to_consoles "  $line"
    done <"${ROOT:-}/run/kubesolo/last-lines"
    to_consoles '---'
}

# Tests and remote hands can still ask for the log, when the root is there.
start_hostport() {
    hostport=${ROOT:-}/usr/lib/kubesolo-os/hostport
    if [ -x "$hostport" ]; then
        "$hostport" </dev/null >/dev/null 2>&1 &
    fi
}
