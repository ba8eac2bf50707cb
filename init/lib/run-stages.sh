# Runs the stages in number order as PID 1 of the real root, then becomes BusyBox init.
# Each stage is sourced in a subshell: it may set and exit as it likes, and nothing of it is exported.
set -u

INIT=${ROOT:-}/run/kubesolo-init
. "$INIT/lib/stage.sh"
. "$INIT/lib/emergency.sh"

# run_stage FILE: status 0 when the stage completed.
run_stage() {
    (
        set -eu
        [ -z "${KUBESOLO_DEBUG:-}" ] || trace
        . "$1"
    ) 2>>"$STAGE_STDERR"
}

# Why the last stage failed, in its own words or in those of the command that failed.
reason() {
    if [ -s "${ROOT:-}/run/kubesolo/last-error" ]; then
        cat "${ROOT:-}/run/kubesolo/last-error"
        rm -f "${ROOT:-}/run/kubesolo/last-error"
    else
        tail -n 1 "$BOOT_LOG"
    fi
}

# With kubesolo.debug every command of every stage shows on the consoles too, through a reader of a fifo.
start_trace() {
    [ -n "${KUBESOLO_DEBUG:-}" ] && [ "$STAGE_STDERR" = "$BOOT_LOG" ] || return 0
    mkfifo "${ROOT:-}/run/kubesolo/trace"
    while IFS= read -r line && [ "$line" != "$TRACE_END" ]; do
        printf '%s\n' "$line" >>"$BOOT_LOG"
        to_consoles "$line"
    done <>"${ROOT:-}/run/kubesolo/trace" >/dev/null &
    tracer=$!
    STAGE_STDERR=${ROOT:-}/run/kubesolo/trace
}

# What is still in the fifo must be seen, the marker of the last stage above all.
stop_trace() {
    [ "$STAGE_STDERR" != "$BOOT_LOG" ] || return 0
    printf '%s\n' "$TRACE_END" >>"$STAGE_STDERR"
    wait "$tracer"
}

# Stages log to stderr only while the trace's reader passes it on to the consoles.
trace() {
    CONSOLES=
    PS4='+ '
    set -x
}

# The payload is unpacked into the page cache while the stages wait for hardware; the processor that would
# otherwise idle saves 1.7 s of an emulated boot.
read_ahead() {
    cat "${ROOT:-}/usr/bin/kubesolo" >/dev/null 2>&1 || :
}

run_stages() {
    for stage in "$INIT"/stages/[0-9][0-9]-*.sh; do
        name=${stage##*/}
        until run_stage "$stage"; do
            emergency_shell "$name" "$(reason)"
        done
        case $name in
        10-*) after_cmdline ;;
        esac
    done
}

after_cmdline() {
    load_settings
    start_trace
    [ -z "$KUBESOLO_SHELL" ] || open_shells 'asked for by kubesolo.shell'
}

BOOT_LOG=${ROOT:-}/run/kubesolo/boot.log
STAGE_STDERR=$BOOT_LOG
TRACE_END='--- end of the trace ---'
exec 2>>"$BOOT_LOG"
find_consoles
read_ahead &
run_stages
stop_trace
# The stages' variables end here: what init starts gets an environment of its own.
exec env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/ TERM=linux "${ROOT:-}/sbin/init"
