# Programs of the root, which the initramfs does without.

# in_root COMMAND...: runs one of the lowest image's programs in it. Its output goes to the boot log.
in_root() {
    mount --bind "${ROOT:-}/dev" "$LOWEST/dev" || return 1
    status=0
    chroot "$LOWEST" "$@" </dev/null >&2 || status=$?
    umount "$LOWEST/dev"
    return "$status"
}

# check_file_system DEVICE: repairs what a power cut has left. What needs decisions is decided with yes, and said.
check_file_system() {
    [ -z "$CLEAN" ] || return 0
    info "checking the file system on $1"
    status=0
    in_root e2fsck -p "$1" || status=$?
    [ "$status" -ge 4 ] || return 0
    warn "the file system on $1 has damage that needs decisions: repairing with all of them yes"
    status=0
    in_root e2fsck -y "$1" || status=$?
    [ "$status" -ge 4 ] || return 0
    error "the file system on $1 cannot be repaired (e2fsck status $status)"
    return 1
}

# grow_file_system DEVICE: gives a mounted file system the space that its disk has won.
grow_file_system() {
    sectors=0
    read -r sectors 2>/dev/null <"${ROOT:-}/sys/class/block/${1##*/}/size" || :
    [ $((sectors / 2 - FS_SIZE)) -ge 1024 ] || return 0
    info "growing the file system on $1 from $((FS_SIZE / 1024)) to $((sectors / 2048)) MiB"
    in_root resize2fs "$1" || warn "could not grow the file system on $1"
}
