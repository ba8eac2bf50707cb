# One more boot stage, for tests/vm/test_missing_files.py: notes which names are asked for and not found,
# by whom, in /mnt/data/misses.txt (Linux, Documentation/trace/kprobetrace.rst).

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

TRACING=/sys/kernel/tracing
mount -t tracefs tracefs "$TRACING"
echo 16384 >"$TRACING/buffer_size_kb"
# shellcheck disable=SC2016 # the kernel's own variables
{
    echo 'r:misses/open do_filp_open path=+0(+0($arg2)):string ret=$retval:s64'
    echo 'r:misses/look filename_lookup path=+0(+0($arg2)):string ret=$retval:s32'
} >"$TRACING/kprobe_events"
for event in open look; do
    echo 'ret == -2' >"$TRACING/events/misses/$event/filter"
done
echo 1 >"$TRACING/events/misses/enable"
# "  nft-123  [001] ..... 12.345678: open: (do_open+0x1/0x2 <- do_filp_open) path="/etc/x" ret=-2", each pair once.
cat >"$STATE/misses.awk" <<'END'
match($0, /path="[^"]*"/) {
    path = substr($0, RSTART + 6, RLENGTH - 7)
    program = $1
    sub(/-[0-9]+$/, "", program)
    if (!seen[program, path]++) { print program, path; fflush() }
}
END
setsid sh -c "trap '' TERM
    until [ -d /mnt/data/log ]; do sleep 0.2; done
    exec awk -f '$STATE/misses.awk' <'$TRACING/trace_pipe' >/mnt/data/misses.txt" </dev/null >/dev/null 2>&1 &
stage_complete 05-trace-misses.sh
