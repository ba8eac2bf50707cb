# Messages of the boot. Everything goes to stderr (which the chain directs to the boot log) and, in the
# chain, to every console in $CONSOLES: /dev/console alone is only the last one named on the command line.

CONSOLES=${CONSOLES:-}
QUIET=${QUIET:-}
# What every line begins with.
TITLE=${TITLE:-[kubesolo-init]}

# Sets CONSOLES to the device paths of all active consoles and QUIET from the kernel's command line.
find_consoles() {
    CONSOLES=
    active=
    read -r active 2>/dev/null <"${ROOT:-}/sys/class/tty/console/active" || :
    for name in $active; do
        CONSOLES="$CONSOLES ${ROOT:-}/dev/$name"
    done
    parameters=
    read -r parameters 2>/dev/null <"${ROOT:-}/proc/cmdline" || :
    case " $parameters " in
    *" quiet "*) QUIET=1 ;;
    *) QUIET= ;;
    esac
}

# to_consoles TEXT: one line on every console. A console that is gone must not stop the boot.
to_consoles() {
    for console in $CONSOLES; do
        { printf '%s\n' "$1" >>"$console"; } 2>/dev/null || :
    done
}

log_line() {
    printf '%s\n' "$1" >&2
    to_consoles "$1"
}

info() {
    if [ -n "$QUIET" ]; then
        printf '%s %s\n' "$TITLE" "$*" >&2
    else
        log_line "$TITLE $*"
    fi
}

warn() { log_line "$TITLE [WARN] $*"; }

error() { log_line "$TITLE [ERROR] $*"; }

# fail TEXT: says why and ends the stage; the runner then opens the emergency shell, which repeats it.
fail() {
    error "$*"
    printf '%s\n' "$*" >"${ROOT:-}/run/kubesolo/last-error"
    exit 1
}

# stage_complete NAME: the last line of every stage. That of stage 90 is the boot-success marker: always shown.
stage_complete() {
    [ "$1" != 90-kubesolo.sh ] || QUIET=
    info "[OK] Stage $1 complete"
    milestone "stage-${1%.sh}"
}

# untraced COMMAND...: for what handles secrets, which kubesolo.debug must not show either.
untraced() {
    case $- in
    *x*)
        set +x
        "$@"
        set -x
        ;;
    *) "$@" ;;
    esac
}

# milestone NAME: appends "NAME <seconds since boot>" to the list that tests and benchmarks read.
milestone() {
    uptime=0.00
    read -r uptime _ 2>/dev/null <"${ROOT:-}/proc/uptime" || :
    printf '%s %s\n' "$1" "$uptime" >>"${ROOT:-}/run/kubesolo/milestones"
}
