# The data partition at /mnt/data, or memory when there is none, and what is bound from it into the root.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"
. "$SHARE/config.sh"

# The default label on removable media is only a hope; anything else was meant, and to start an empty
# cluster in its stead would be wrong.
partition_is_optional() {
    kind=removable
    read -r kind _ 2>/dev/null <"$STATE/medium" || :
    [ "$KUBESOLO_DATA" = LABEL=KSOLODATA ] && [ "$kind" != disk ]
}

# Sets FOUND to the data partition's device. Waits up to 30 s; when it is optional, only until nothing of
# storage has appeared for 2 s and nothing is still coming up. Looks again every second: a first read may fail.
wait_for_partition() {
    read_uptime
    deadline=$((NOW + 3000))
    settled=$((NOW + 500))
    changed=$NOW
    look=$NOW
    seen=
    while :; do
        list_block_devices
        list_storage
        known=${BLOCK_DEVICES# }
        if [ "$BLOCK_DEVICES/$STORAGE" != "$seen" ]; then
            seen=$BLOCK_DEVICES/$STORAGE
            changed=$NOW
            look=$NOW
        fi
        if [ "$NOW" -ge "$look" ]; then
            look=$((NOW + 100))
            find_partition "$KUBESOLO_DATA"
            drop_other_disks
        fi
        ! may_take "$FOUND" || return 0
        read_uptime
        [ "$NOW" -lt "$deadline" ] || return 1
        ! partition_is_optional || storage_coming_up || [ -n "$UNREADABLE" ] ||
            [ "$NOW" -lt $((changed + 200)) ] || return 1
        sleep 0.2
        coldplug
    done
}

# may_take DEVICE: whether it can be taken now. What is still coming up may be the one that was taken last time,
# so that it gets 5 s.
may_take() {
    [ -n "$1" ] || return 1
    [ "$NOW" -lt "$settled" ] && storage_coming_up || return 0
    return 1
}

# The data partition of a slot is the one on the same disk.
drop_other_disks() {
    kind=removable
    read -r kind booted 2>/dev/null <"$STATE/medium" || :
    [ "$kind/$KUBESOLO_DATA" = disk/LABEL=KSOLODATA ] && [ -n "$FOUND" ] || return 0
    find_disk "$booted"
    booted=$DISK
    find_disk "${FOUND##*/}"
    [ "$DISK" = "$booted" ] || FOUND=
}

say_which() {
    # shellcheck disable=SC2086 # a list of names
    set -- $MATCHES
    [ $# -gt 1 ] || return 0
    warn "$# file systems match $KUBESOLO_DATA:$(printf ' /dev/%s' "$@"). Taking $FOUND, as at every boot with these; remove the others or choose with kubesolo.data="
}

# mounted_read_only: whether mount has taken read-only for an answer, as BusyBox does.
mounted_read_only() {
    while read -r _ point _ options _; do
        case $point/$options, in
        "$DATA/ro",*) return 0 ;;
        esac
    done <"${ROOT:-}/proc/mounts"
    return 1
}

# A cluster that was meant to be kept is not started where nothing can be kept.
refuse_protected() {
    text="the data partition $1 is write-protected (a switch on the card or stick, or a disk that has failed)"
    partition_is_optional || fail "$text"
    mount_memory "$text"
}

check_file_system() {
    [ -z "$CLEAN" ] || return 0
    info "checking the file system on $1"
    status=0
    e2fsck -p "$1" >&2 || status=$?
    [ "$status" -ge 4 ] || return 0
    warn "the file system on $1 has damage that needs decisions: repairing with all of them yes"
    status=0
    # From a copy of the superblock it replays the journal, and gives up; the next one finds what that has written. By
    # itself it looks at the first copy only; a cut while the file system grows may have torn that as well.
    for copy in '' '' 98304 163840 229376 294912 ''; do
        status=0
        # shellcheck disable=SC2086 # two words or none
        e2fsck -y ${copy:+-b $copy -B 4096} "$1" >&2 || status=$?
        [ "$status" -ge 4 ] || return 0
    done
    fail "the file system on $1 cannot be repaired (e2fsck status $status)"
}

# A partition or disk that has grown gives its space to the file system, while it is mounted.
grow_file_system() {
    sectors=0
    read -r sectors 2>/dev/null <"${ROOT:-}/sys/class/block/${1##*/}/size" || :
    [ $((sectors / 2 - FS_SIZE)) -ge 1024 ] || return 0
    info "growing the file system on $1 from $((FS_SIZE / 1024)) to $((sectors / 2048)) MiB"
    resize2fs "$1" >&2 || warn "could not grow the file system on $1"
}

# Containers' files run from overlays, which do not take over these flags.
mount_ext4() {
    mount -t ext4 -o rw,nosuid,nodev,noatime "$1" "$DATA"
}

# A superblock that a power cut has torn between its two sectors may look clean. There are copies of it.
mend_and_mount() {
    CLEAN=
    check_file_system "$1"
    mount_ext4 "$1"
}

# mount_partition DEVICE: fails the stage when it can not; returns 1 when nothing can be written to it.
mount_partition() {
    CLEAN=
    ! has_partitions "${1##*/}" || fail "$1 is a disk with partitions: name one of them with kubesolo.data="
    ! write_protected "$1" || return 1
    read_superblock "$1" || fail "no ext4 file system on $1 (kubesolo.data=$KUBESOLO_DATA)"
    check_file_system "$1"
    mount_ext4 "$1" || mend_and_mount "$1" || fail "cannot mount $1 at /mnt/data"
    if mounted_read_only; then
        umount "$DATA"
        return 1
    fi
    grow_file_system "$1"
    printf 'disk %s\n' "$1" >"$STATE/data"
    info "data partition $1 at /mnt/data"
}

mount_memory() {
    mount -t tmpfs -o nosuid,nodev,mode=0755,size=60% data "$DATA" || fail 'cannot mount memory at /mnt/data'
    printf 'memory\n' >"$STATE/data"
    warn "RAM ONLY: $1. Nothing of this cluster will survive a reboot."
}

make_tree() {
    missing=
    for folder in kubesolo containerd etc-kubesolo log usr-local kubelet cni/net.d cni/bin network images shared; do
        [ -d "$DATA/$folder" ] || missing="$missing $DATA/$folder"
    done
    # shellcheck disable=SC2086 # a list of paths
    [ -z "$missing" ] || (umask 022 && mkdir -p $missing)
}

# kubesolo-os reset has left a mark: what it names goes, the mark last, so that a power cut only makes it go on.
obey_reset() {
    what=
    read -r what 2>/dev/null <"$DATA/.reset" || return 0
    case $what in
    cluster)
        set -- kubesolo containerd kubelet cni log etc-kubesolo/hostname etc-kubesolo/hostname.made etc-kubesolo/machine-id \
            update/snapshots update/cordoned
        ;;
    all) set -- kubesolo containerd kubelet cni log etc-kubesolo usr-local network images extensions shared time resolv.conf update ;;
    *)
        warn "$DATA/.reset says '$what', which is neither cluster nor all: ignored"
        return 0
        ;;
    esac
    log_line "[kubesolo-init] reset: the node begins anew ($what)"
    for folder; do
        rm -rf "${DATA:?}/$folder" || warn "$DATA/$folder can not be removed"
    done
    sync
    rm -f "$DATA/.reset"
    sync "$DATA"
}

# One mount command for all: forks are dear on small machines.
bind_folders() {
    while read -r folder point; do
        printf '%s %s none bind 0 0\n' "$DATA/$folder" "${ROOT:-}$point"
    done >"$STATE/binds" <<END
kubesolo /var/lib/kubesolo
containerd /var/lib/containerd
kubelet /var/lib/kubelet
etc-kubesolo /etc/kubesolo
log /var/log
usr-local /usr/local
cni/net.d /etc/cni/net.d
cni/bin /opt/cni/bin
END
    mount -a -T "$STATE/binds" || fail 'cannot bind the data folders into the root'
}

# A retry from the emergency shell starts from nothing.
undo_mounts() {
    [ -e "$STATE/data" ] || return 0
    for point in /opt/cni/bin /etc/cni/net.d /usr/local /var/log /etc/kubesolo /var/lib/kubelet \
        /var/lib/containerd /var/lib/kubesolo /mnt/data; do
        umount "${ROOT:-}$point" 2>/dev/null || :
    done
}

undo_mounts
if [ -n "$KUBESOLO_NOPERSIST" ]; then
    mount_memory 'asked for by kubesolo.nopersist'
elif wait_for_partition; then
    say_which
    mount_partition "$FOUND" || refuse_protected "$FOUND"
elif partition_is_optional; then
    mount_memory "no data partition ($KUBESOLO_DATA)${UNREADABLE:+, and these can not be read:$UNREADABLE}"
else
    fail "the data partition $KUBESOLO_DATA is not there (block devices: ${known:-none})${UNREADABLE:+, and these can not be read:$UNREADABLE}"
fi
obey_reset
make_tree
make_reserve
bind_folders
untraced begin_reading
stage_complete 20-persistent-mount.sh
