# The emergency shell, on every console at once; the first one that is left by `exit` ends all.

# emergency_shell STAGE REASON: says what failed, shows the last log lines and waits for an exit.
emergency_shell() {
    announce_emergency "$1" "$2"
    start_hostport
    left=${ROOT:-}/run/kubesolo/shell-left
    rm -f "$left"
    mkfifo "$left"
    shells=
    for console in $CONSOLES; do
        # tty0 is whichever terminal is in front; a shell needs a terminal of its own.
        case $console in
        */tty0) console=${console%0}1 ;;
        esac
        console_shell "$console" &
        shells="$shells $!"
    done
    [ -n "$shells" ] || console_shell "${ROOT:-}/dev/console" &
    read -r _ <"$left" || :
    # shellcheck disable=SC2086 # a list of process ids
    kill $shells 2>/dev/null || :
    rm -f "$left"
}

announce_emergency() {
    QUIET=
    error "Stage $1 failed: $2"
    to_consoles '--- last lines of the boot log ---'
    tail -n 15 "${ROOT:-}/run/kubesolo/boot.log" >"${ROOT:-}/run/kubesolo/last-lines" || :
    while IFS= read -r line; do
        to_consoles "  $line"
    done <"${ROOT:-}/run/kubesolo/last-lines"
    to_consoles '---'
    info "Emergency shell ($1). Type 'exit' to retry from there, 'reboot -f' to start over."
}

# A session of its own, so that the console becomes its terminal and Ctrl-C works.
console_shell() {
    # shellcheck disable=SC2016 # for the inner shell
    PS1='kubesolo-emergency# ' TERM=linux HOME=/ ENV='' setsid sh -c 'exec sh -i <"$0" >"$0" 2>&1' "$1" || :
    # The fifo is gone when another console was quicker.
    [ ! -p "$left" ] || echo left >"$left"
}

# Tests and remote hands can still ask for the log, when the root is there.
start_hostport() {
    hostport=${ROOT:-}/usr/lib/kubesolo-os/hostport
    if [ -x "$hostport" ] && [ ! -e "${ROOT:-}/run/kubesolo/hostport.pid" ]; then
        "$hostport" </dev/null >/dev/null 2>&1 &
    fi
}
