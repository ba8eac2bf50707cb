# For the scripts of the running node: the same messages, paths and device helpers as the boot stages have.

INIT=${INIT:-${ROOT:-}/run/kubesolo-init}
CONSOLES=
. "$INIT/lib/stage.sh"

# run_as_one NAME: fails when another process already does NAME; otherwise notes this one.
run_as_one() {
    file=$STATE/$1.pid
    pid=
    read -r pid 2>/dev/null <"$file" || :
    [ -z "$pid" ] || [ "$pid" = $$ ] || ! kill -0 "$pid" 2>/dev/null || return 1
    echo $$ >"$file"
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
