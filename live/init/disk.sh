# The disk that keeps what is written, or memory.

DISK_LABEL=K8SLIVE
DISK_MOUNT=${ROOT:-}/run/live/disk
# Storage has come up when nothing of it has appeared for so long (hundredths of a second).
SETTLED=200
DISK_WAIT=3000

# prepare_disk: mounts at $DISK_MOUNT what takes the writes: the file system labelled K8SLIVE, else the first blank
# disk, else memory. live.disk= names another, or none.
prepare_disk() {
    mkdir -p "$DISK_MOUNT"
    if [ "$LIVE_DISK" = none ]; then
        mount_memory 'asked for by live.disk=none'
    elif [ -n "$LIVE_DISK" ]; then
        take_named "$LIVE_DISK"
    elif wait_for_storage "LABEL=$DISK_LABEL"; then
        say_which
        mount_disk "$FOUND"
    elif find_blank; then
        format_disk "$FOUND" && mount_disk "$FOUND"
    else
        mount_memory "no file system labelled $DISK_LABEL and no blank disk"
    fi
}

# take_named SPEC: a disk that was asked for is taken or nothing is.
take_named() {
    if ! wait_for_storage "$1"; then
        error "live.disk=$1 is not there (block devices:${BLOCK_DEVICES:- none})"
        return 1
    fi
    take_device
}

take_device() {
    if ! read_superblock "$FOUND"; then
        name=${FOUND##*/}
        if ! may_be_taken "$name" || ! is_blank "$name"; then
            error "live.disk=$LIVE_DISK: $FOUND is neither blank nor an ext4 file system: it is left alone"
            return 1
        fi
        format_disk "$FOUND" || return 1
    fi
    mount_disk "$FOUND"
}

# wait_for_storage SPEC: sets FOUND to the device. Waits until nothing of storage comes up any more.
wait_for_storage() {
    read_uptime
    deadline=$((NOW + DISK_WAIT))
    changed=$NOW
    seen=
    while :; do
        list_block_devices
        list_storage
        if [ "$BLOCK_DEVICES/$STORAGE" != "$seen" ]; then
            seen=$BLOCK_DEVICES/$STORAGE
            changed=$NOW
        fi
        find_partition "$1"
        [ -z "$FOUND" ] || return 0
        read_uptime
        [ "$NOW" -lt "$deadline" ] || return 1
        storage_coming_up || [ "$NOW" -lt $((changed + SETTLED)) ] || return 1
        sleep 0.2
        coldplug
    done
}

say_which() {
    # shellcheck disable=SC2086 # a list of names
    set -- $MATCHES
    [ $# -gt 1 ] || return 0
    warn "$# file systems are labelled $DISK_LABEL:$(printf ' /dev/%s' "$@"). Taking $FOUND, as at every boot with these; choose with live.disk="
}

format_disk() {
    log_line "$TITLE $1 is blank: formatting it as the disk that keeps what is written (label $DISK_LABEL)"
    in_root mke2fs -q -t ext4 -L "$DISK_LABEL" "$1" && return 0
    error "$1 can not be formatted"
    return 1
}

mount_disk() {
    CLEAN=
    if write_protected "$1" || ! read_superblock "$1"; then
        error "$1 can not be used: it is write-protected or not readable"
        return 1
    fi
    check_file_system "$1" || return 1
    mount -t ext4 -o rw,noatime "$1" "$DISK_MOUNT" || {
        error "cannot mount $1"
        return 1
    }
    grow_file_system "$1"
    say_other_medium
    log_line "$TITLE what is written is kept on $1"
}

# Overlayfs promises nothing when the images below a written layer are others (Linux,
# Documentation/filesystems/overlayfs.rst, "Changes to underlying filesystems").
say_other_medium() {
    known=
    read -r known 2>/dev/null <"$DISK_MOUNT/medium" || :
    read -r medium _ <"$IMAGE_LIST"
    [ "$known" != "$medium" ] || return 0
    [ -z "$known" ] || warn "the disk was written with another Live CD: files that both have changed stay as they are on the disk"
    printf '%s\n' "$medium" >"$DISK_MOUNT/medium"
}

mount_memory() {
    mount -t tmpfs -o mode=0755,size=80% live "$DISK_MOUNT" || return 1
    warn "RAM ONLY: $1. Nothing that is written will survive a reboot."
}
