# For the scripts of the running node: the same messages, paths and device helpers as the boot stages have.

INIT=${INIT:-${ROOT:-}/run/kubesolo-init}
CONSOLES=
. "$INIT/lib/stage.sh"

# run_as_one NAME: fails when another process already does NAME; otherwise notes this one, and behind it when it was
# started, as a number is given out again after its process has ended.
run_as_one() {
    file=$STATE/$1.pid
    pid='' since=''
    { read -r pid && read -r since; } 2>/dev/null <"$file" || :
    if [ -n "$pid" ] && [ "$pid" != $$ ] && kill -0 "$pid" 2>/dev/null; then
        read_start "$pid"
        [ "$START" != "$since" ] || return 1
    fi
    read_start $$
    printf '%s\n%s\n' $$ "$START" >"$file"
}

# Sets START to when process PID was started, in clock ticks after boot (proc_pid_stat(5), field 22).
read_start() {
    START='' fields=''
    IFS= read -r fields 2>/dev/null <"${ROOT:-}/proc/$1/stat" || :
    # The second field, a name in brackets, may hold anything.
    # shellcheck disable=SC2086 # fields without blanks
    set -- ${fields##*) }
    [ $# -lt 20 ] || { shift 19; START=$1; }
}

# doze_open NAME, then doze SECONDS: sleeps without a fork, by reading from a fifo that nobody writes.
doze_open() {
    mkfifo "$STATE/$1.doze" 2>/dev/null || :
    exec 9<>"$STATE/$1.doze"
}

# shellcheck disable=SC3045 # ash has read -t
doze() {
    read -r -t "$1" _ <&9 || :
}
