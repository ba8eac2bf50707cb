# The data partition at /mnt/data, or memory when there is none, and what is bound from it into the root.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

# The default label on removable media is only a hope; anything else was meant, and to start an empty
# cluster in its stead would be wrong.
partition_is_optional() {
    kind=removable
    read -r kind _ 2>/dev/null <"$STATE/medium" || :
    [ "$KUBESOLO_DATA" = LABEL=KSOLODATA ] && [ "$kind" != disk ]
}

# Sets FOUND to the data partition's device. Waits up to 30 s; when it is optional, only until no block
# device has appeared for 2 s.
wait_for_partition() {
    read_uptime
    deadline=$((NOW + 3000))
    changed=$NOW
    known=
    while :; do
        list_block_devices
        devices=${BLOCK_DEVICES# }
        if [ "$devices" != "$known" ]; then
            known=$devices
            changed=$NOW
            find_partition "$KUBESOLO_DATA"
            [ -z "$FOUND" ] || return 0
        fi
        read_uptime
        [ "$NOW" -lt "$deadline" ] || return 1
        ! partition_is_optional || [ "$NOW" -lt $((changed + 200)) ] || return 1
        sleep 0.2
        coldplug
    done
}

check_file_system() {
    [ -z "$CLEAN" ] || return 0
    info "checking the file system on $1"
    status=0
    e2fsck -p "$1" >&2 || status=$?
    [ "$status" -ge 4 ] || return 0
    warn "the file system on $1 has damage that needs decisions: repairing with all of them yes"
    status=0
    e2fsck -y "$1" >&2 || status=$?
    [ "$status" -lt 4 ] || fail "the file system on $1 cannot be repaired (e2fsck status $status)"
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

mount_partition() {
    CLEAN=
    read_superblock "$1" || fail "no ext4 file system on $1 (kubesolo.data=$KUBESOLO_DATA)"
    check_file_system "$1"
    mount_ext4 "$1" || mend_and_mount "$1" || fail "cannot mount $1 at /mnt/data"
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
    for folder in kubesolo containerd etc-kubesolo log usr-local kubelet cni/net.d cni/bin network images; do
        [ -d "$DATA/$folder" ] || missing="$missing $DATA/$folder"
    done
    # shellcheck disable=SC2086 # a list of paths
    [ -z "$missing" ] || (umask 022 && mkdir -p $missing)
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
    mount_partition "$FOUND"
elif partition_is_optional; then
    mount_memory "no data partition ($KUBESOLO_DATA)"
else
    fail "the data partition $KUBESOLO_DATA is not there (block devices: ${known:-none})"
fi
make_tree
make_reserve
bind_folders
stage_complete 20-persistent-mount.sh
