# Files that a power cut leaves whole, and a reserve for a data partition that is full.

RESERVE=$DATA/.reserve

# write_durable FILE TEXT: makes TEXT the content of FILE: after a power cut it has the old or the new one, and the
# new one from the moment that this returns. On a full disk the old one stays. A file that holds TEXT already is
# left alone, so that an ordinary boot writes nothing.
write_durable() {
    # The dot keeps line ends that $() would take off.
    held=$(cat "$1" 2>/dev/null; echo .)
    [ ! -e "$1" ] || [ "$held" != "$2." ] || return 0
    replace_file "$1" "$2" || { give_up_reserve && replace_file "$1" "$2"; } ||
        { warn "$1 cannot be written, it stays as it was"; return 1; }
}

# Content first, then the name. The name itself is durable once its folder is.
replace_file() {
    if printf '%s' "$2" | dd of="$1.new" conv=fsync 2>/dev/null && mv -f "$1.new" "$1"; then
        sync "${1%/*}"
        return 0
    fi
    rm -f "$1.new"
    return 1
}

# Sets FREE, and RESERVE_SIZE (1 %, 16 to 64 MiB), of the data partition in KiB. FREE counts what only root gets, and
# not what ext4 keeps for itself, which stat counts as free: a fiftieth of all blocks, 4096 at most.
measure_space() {
    FREE=0 RESERVE_SIZE=0
    read -r blocks free bytes <<END || :
$(stat -f -c '%b %f %S' "$DATA" 2>/dev/null)
END
    [ -n "${bytes:-}" ] || return 1
    kept=$((blocks / 49))
    [ "$kept" -le 4096 ] || kept=4096
    [ "$free" -ge "$kept" ] || free=$kept
    FREE=$(((free - kept) * (bytes / 512) / 2))
    RESERVE_SIZE=$((blocks * (bytes / 512) / 200))
    [ "$RESERVE_SIZE" -ge 16384 ] || RESERVE_SIZE=16384
    [ "$RESERVE_SIZE" -le 65536 ] || RESERVE_SIZE=65536
}

# A full disk must not keep the node from starting, for then nobody can delete anything.
give_up_reserve() {
    [ -e "$RESERVE" ] || return 1
    rm -f "$RESERVE"
    warn 'the data partition is full: the reserve is given up. Delete images, volumes or pods.'
}

# Only where four times as much is free. Memory has none.
make_reserve() {
    [ ! -e "$RESERVE" ] || return 0
    kind=memory
    read -r kind _ 2>/dev/null <"$STATE/data" || :
    [ "$kind" != memory ] || return 0
    measure_space || return 0
    [ "$FREE" -ge $((RESERVE_SIZE * 4)) ] || return 0
    fallocate -l $((RESERVE_SIZE * 1024)) "$RESERVE" 2>/dev/null || rm -f "$RESERVE"
}
