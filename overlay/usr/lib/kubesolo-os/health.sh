# Is the node well? Sourced by whoever asks; every check is a function with status 0 for yes.

# milestone_reached NAME: the payload notes what it has reached.
milestone_reached() {
    while read -r name _; do
        [ "$name" != "$1" ] || return 0
    done <"${ROOT:-}/run/kubesolo/milestones"
    return 1
}

payload_runs() {
    supervisor=
    read -r supervisor 2>/dev/null <"${ROOT:-}/run/kubesolo/run-payload.pid" || return 1
    kill -0 "$supervisor" 2>/dev/null
}

# The data partition still takes a write that really reaches it.
data_is_writable() {
    probe=${ROOT:-}/mnt/data/.health-probe
    dd if=/dev/zero of="$probe" bs=1024 count=1 conv=fsync 2>/dev/null && rm -f "$probe"
}
