# The root that systemd starts in.

# Programs that make overlays of their own need a file system that is none below (overlayfs takes no overlayfs for its
# upper layer), and etcd a disk that honours its flushes.
DIRECT='containerd kubelet etcd'

# The name tells cloud-init that there is no partition to grow (cc_resizefs.py).
# stack_root: mounts, as $NEW_ROOT, what the disk keeps over the medium's images, and binds what must not lie on an
# overlay.
stack_root() {
    mkdir -p "$DISK_MOUNT/upper" "$DISK_MOUNT/work"
    if ! mount -t overlay -o "lowerdir=$lower,upperdir=$DISK_MOUNT/upper,workdir=$DISK_MOUNT/work" overlayroot "$NEW_ROOT"; then
        error 'cannot mount the root'
        return 1
    fi
    for folder in $DIRECT; do
        mkdir -p "$DISK_MOUNT/state/$folder" "$NEW_ROOT/var/lib/$folder"
        chmod 0700 "$DISK_MOUNT/state/$folder"
        mount --bind "$DISK_MOUNT/state/$folder" "$NEW_ROOT/var/lib/$folder" || {
            error "cannot bind /var/lib/$folder"
            return 1
        }
    done
}

# forget_mounts: what is below the overlay is held by the overlay; systemd would only try in vain to unmount it, and
# move it out of its way at the end. The medium's files are held by loop devices, so that it goes when they go.
forget_mounts() {
    for layer in "$LAYERS"/*; do
        umount "$layer" 2>/dev/null || :
    done
    umount -l "$MEDIUM" || :
}

# mount_whole_root SPEC: a disk of its own: rootfs.qcow2, rootfs-k8s.qcow2.
mount_whole_root() {
    if ! wait_for_storage "$1"; then
        error "live.root=$1 is not there (block devices:${BLOCK_DEVICES:- none})"
        return 1
    fi
    CLEAN=
    if ! read_superblock "$FOUND" || ! mount -t ext4 -o ro "$FOUND" "$NEW_ROOT"; then
        error "cannot mount $FOUND as the root"
        return 1
    fi
    LOWEST=$NEW_ROOT
    check_file_system "$FOUND" && mount -o remount,rw,noatime "$NEW_ROOT"
    grow_file_system "$FOUND"
    info "the root is $FOUND"
}

# prepare_shutdown: what systemd-shutdown(8) goes on with in the end: the disk below the root is unmounted there.
prepare_shutdown() {
    exit_root=${ROOT:-}/run/initramfs
    mkdir -p "$exit_root/bin"
    cp "${ROOT:-}/bin/busybox" "$exit_root/bin/busybox"
    cp "$LIVE/shutdown" "$exit_root/shutdown"
    chmod 0755 "$exit_root/shutdown"
}
