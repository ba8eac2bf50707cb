# The Kubernetes database across versions of the system. Sourced after network.sh (complain); stage 85 keeps and restores
# it, the health gate confirms.
#
#   /mnt/data/kubesolo/.version                   the version whose payload ran last
#   /mnt/data/update/snapshots/<version>/db       the database as that version has left it; whole, or not there
#                               /<version>/about  "<next version> <time>": for which version it was made, and when
#                               /<version>/confirmed   the next version was confirmed: nothing is put back any more
#   /mnt/data/update/snapshots/restoring          "<version> <next version> <time>": a snapshot is just being put back
#   /mnt/data/kubesolo/db.<next version>          what was set aside for it, until a later boot is confirmed
#
# By the names on one file system, /mnt/data, as what is bound into the root can not be renamed into.

CLUSTER=$DATA/kubesolo
SNAPSHOTS=$DATA/update/snapshots
# KiB that stay free for the node itself.
SPARE=8192
. "$SHARE/versions.sh"

# Before the payload starts. The same version again costs three reads. Without slots nobody goes back, and nobody confirms.
keep_database() {
    kind=memory
    read -r kind _ 2>/dev/null <"$STATE/data" || :
    [ "$kind" != memory ] || return 0
    read_versions
    [ ! -e "$SNAPSHOTS/restoring" ] || go_on_restoring || return 1
    [ "$LAST" != "$VERSION" ] || return 0
    if ! booted_slot || [ ! -e "$CLUSTER/db/state.db" ] || [ -z "$LAST" ]; then
        # Of another cluster, or nobody knows of which version.
        rm -rf "$SNAPSHOTS"
    elif is_newer "$VERSION" "$LAST"; then
        make_snapshot || drop_snapshot
    else
        go_back
    fi
    note_version || drop_snapshot
}

# Sets VERSION to the one that runs, and LAST to the one whose payload ran last, empty where nothing sane says so.
read_versions() {
    VERSION='' LAST=''
    while IFS='=' read -r key value; do
        [ "$key" != VERSION_ID ] || VERSION=${value//\"/}
    done <"${ROOT:-}/usr/lib/os-release"
    read -r LAST 2>/dev/null <"$CLUSTER/.version" || :
    case $LAST in
    [!0-9]* | *[!A-Za-z0-9.+-]*) LAST='' ;;
    esac
}

note_version() {
    write_durable "$CLUSTER/.version" "$VERSION
"
}

# Content, then the name. An older snapshot of the same version would bring back what was long ago: it goes first.
make_snapshot() {
    rm -rf "${SNAPSHOTS:?}/$LAST" "$SNAPSHOTS"/*.new
    if ! room_for_snapshot; then
        no_snapshot 'no room for it'
        return 1
    elif ! write_snapshot "$SNAPSHOTS/$LAST"; then
        no_snapshot 'it can not be written'
        return 1
    fi
    for old in "$SNAPSHOTS"/*; do
        [ "$old" = "$SNAPSHOTS/$LAST" ] || rm -rf "$old"
    done
    info "database: a snapshot of version $LAST is kept, in case version $VERSION does not stay"
    settle database
}

write_snapshot() {
    mkdir -p "$1.new/db" && sync "$DATA" "$DATA/update" && copy_database "$CLUSTER/db" "$1.new/db" &&
        printf '%s %s\n' "$VERSION" "$(date -u +%FT%TZ)" | dd of="$1.new/about" conv=fsync 2>/dev/null &&
        sync "$1.new/db" "$1.new" && mv -T "$1.new" "$1" && sync "$SNAPSHOTS"
}

# The index of the log in memory (-shm) is made anew from the log (-wal).
copy_database() {
    for file in "$1"/state.db "$1"/state.db-wal; do
        [ -e "$file" ] || continue
        dd if="$file" of="$2/${file##*/}" bs=1M conv=fsync 2>/dev/null || return 1
    done
}

# Older snapshots make room; they are of use only while their version is in the other slot.
room_for_snapshot() {
    kilobytes=0
    for file in "$CLUSTER"/db/state.db "$CLUSTER"/db/state.db-wal; do
        size=$(stat -c %s "$file" 2>/dev/null) || continue
        kilobytes=$((kilobytes + size / 1024 + 1))
    done
    measure_space
    [ "$FREE" -lt $((kilobytes + SPARE)) ] || return 0
    rm -rf "$SNAPSHOTS"
    measure_space
    [ "$FREE" -ge $((kilobytes + SPARE)) ]
}

# The boot goes on: a node that does not start is worse than one that can not go back.
no_snapshot() {
    complain database "no snapshot of the database could be made ($1): should the node go back to version $LAST, that gets the database as version $VERSION leaves it"
}

# A snapshot that nobody may rely on: made of a database that is not known to be of its version.
drop_snapshot() {
    rm -rf "$SNAPSHOTS"
    sync "$DATA/update" 2>/dev/null || :
}

# An older version than the last one: only what a version that was never confirmed has written is given up.
go_back() {
    about=$SNAPSHOTS/$VERSION
    if [ -d "$about/db" ] && [ ! -e "$about/confirmed" ]; then
        next='' taken=''
        read -r next taken 2>/dev/null <"$about/about" || :
        start_restoring
    elif [ -e "$about/confirmed" ]; then
        complain database "version $VERSION goes on with the database of version $LAST, which had been confirmed; nothing is lost, but version $VERSION may not understand all of it"
    else
        complain database "version $VERSION goes on with the database of version $LAST, as there is no snapshot of its own"
    fi
}

# From the note on, every boot goes on with it. What is in the way of the name is from an earlier time.
start_restoring() {
    rm -rf "$CLUSTER/db.$LAST"
    write_durable "$SNAPSHOTS/restoring" "$VERSION $LAST $taken
" || { complain database "the database of version $VERSION can not be put back: the note of it can not be written"; return 0; }
    go_on_restoring
}

# Two renames, each to a name that is free then: whether the snapshot is still there says which have been done.
go_on_restoring() {
    old='' newer='' taken=''
    read -r old newer taken <"$SNAPSHOTS/restoring" || :
    if [ -d "$SNAPSHOTS/$old/db" ]; then
        [ ! -e "$CLUSTER/db" ] || mv -T "$CLUSTER/db" "$CLUSTER/db.$newer" || return 1
        sync "$CLUSTER"
        mv -T "$SNAPSHOTS/$old/db" "$CLUSTER/db" || { mv -T "$CLUSTER/db.$newer" "$CLUSTER/db"; return 1; }
        sync "$CLUSTER" && sync "$SNAPSHOTS/$old"
    fi
    LAST=$old
    write_durable "$CLUSTER/.version" "$old
" || return 1
    rm -rf "${SNAPSHOTS:?}/$old"
    rm -f "$SNAPSHOTS/restoring"
    sync "$SNAPSHOTS"
    : >"$STATE/database-restored"
    complain database "the database is that of version $old again, as of $taken: everything written to the cluster since then is lost. What version $newer had is kept until the next boot is confirmed, in $DATA/kubesolo/db.$newer"
}

# The version that runs may stay: what came before it is not put back any more. What was set aside at this very boot
# can still be looked at.
confirm_database() {
    read_versions
    for snapshot in "$SNAPSHOTS"/*/db; do
        snapshot=${snapshot%/db}
        [ -d "$snapshot/db" ] || continue
        [ ! -e "$snapshot/confirmed" ] || continue
        [ "${snapshot##*/}" != "$VERSION" ] || continue
        write_durable "$snapshot/confirmed" "$VERSION
"
    done
    [ ! -e "$STATE/database-restored" ] || return 0
    for aside in "$CLUSTER"/db.*; do
        [ ! -d "$aside" ] || rm -rf "$aside"
    done
}
