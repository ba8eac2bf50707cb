# The root images: found on a medium, checked against the digests of the initramfs, stacked to a root.
# The list (/etc/kubesolo-os/root.images) has one line per image, lowest layer first:
# <sha256 hex> <size in bytes> <file name>

IMAGE_LIST=${ROOT:-}/etc/kubesolo-os/root.images
MEDIUM=${ROOT:-}/run/kubesolo-medium
LAYERS=${ROOT:-}/run/kubesolo-root
NEW_ROOT=${ROOT:-}/newroot

# Sets IMAGE_DIR to the folder under $1 that holds every image of the list; fails when none does.
find_images_under() {
    for IMAGE_DIR in "$1/boot" "$1"; do
        while read -r _ _ name; do
            [ -f "$IMAGE_DIR/$name" ] || continue 2
        done <"$IMAGE_LIST"
        return 0
    done
    return 1
}

# try_medium NAME: mounts block device NAME read-only when it carries the images. Without replaying the
# journal of an ext4 file system: to look at a disk must not change it.
try_medium() {
    medium_types "$1"
    for type in $types; do
        options=ro
        [ "$type" != ext4 ] || options=ro,noload
        mount -t "$type" -o "$options" "${ROOT:-}/dev/$1" "$MEDIUM" 2>/dev/null || continue
        if find_images_under "$MEDIUM"; then
            MEDIUM_DEVICE=$1
            MEDIUM_TYPE=$type
            return 0
        fi
        umount "$MEDIUM"
    done
    return 1
}

# Sets types to the file systems in which NAME may hold the images. What lies on a fixed disk, or in a slot, is
# taken only when kubesolo.root= names it; an ISO is a medium wherever it was written to.
medium_types() {
    types='iso9660 ext4 vfat'
    [ -z "$ROOT_DEVICE" ] || return 0
    case $1 in
    sr*) types=iso9660 ;;
    *) ! is_kept "$1" || types=iso9660 ;;
    esac
}

# is_kept NAME: whether it stays in the machine, or is a slot, which belongs to its disk wherever that is.
is_kept() { is_slot "$1" || ! is_portable "$1"; }

# find_medium SECONDS: waits for a medium with the images; devices in $REJECTED are not looked at again, the
# others every 3 s: a first read may come too early.
find_medium() {
    read_uptime
    deadline=$((NOW + $1 * 100))
    again=$((NOW + 300))
    tried=' '
    while :; do
        list_candidates
        for device in $CANDIDATES; do
            case "$tried$REJECTED " in
            *" $device "*) continue ;;
            esac
            tried="$tried$device "
            ! try_medium "$device" || return 0
        done
        read_uptime
        [ "$NOW" -lt "$deadline" ] || return 1
        if [ "$NOW" -ge "$again" ]; then
            again=$((NOW + 300))
            tried=' '
        fi
        sleep 0.1
        # USB sticks and SCSI disks announce themselves one layer after the other.
        coldplug
    done
}

# Sets CANDIDATES to the names of all block devices, or to that of the one that kubesolo.root= means.
list_candidates() {
    list_block_devices
    CANDIDATES=$BLOCK_DEVICES
    [ -n "$ROOT_DEVICE" ] || return 0
    find_partition "$ROOT_DEVICE"
    case $ROOT_DEVICE/$FOUND in
    # That of a CD or FAT file system: find_partition reads ext4 alone.
    LABEL=*/) FOUND=$(findfs "$ROOT_DEVICE" 2>/dev/null) || FOUND= ;;
    esac
    CANDIDATES=${FOUND##*/}
}

# Sets MEDIUM_KIND to removable or disk. An ISO written to a disk counts as removable: it has no slots. A slot
# on a stick is a disk: the data belongs to it.
classify_medium() {
    MEDIUM_KIND=removable
    [ "$MEDIUM_TYPE" != iso9660 ] || return 0
    ! is_kept "$MEDIUM_DEVICE" || MEDIUM_KIND=disk
}

# no_medium SECONDS: says why no root was found.
no_medium() {
    if [ -z "$ROOT_DEVICE" ]; then
        error "no removable medium with the root images found within $1 s; block devices:${BLOCK_DEVICES:- none} (images on a fixed disk are named with kubesolo.root=)"
    elif [ -n "$CANDIDATES" ]; then
        error "kubesolo.root=$ROOT_DEVICE: /dev/$CANDIDATES does not hold the root images that belong to this kernel"
    else
        error "kubesolo.root=$ROOT_DEVICE is not there after $1 s; block devices:${BLOCK_DEVICES:- none}"
    fi
}

# verify_image FILE DIGEST: fails, saying why, when FILE does not have that SHA-256.
verify_image() {
    sum=$(sha256sum <"$1") || sum=
    sum=${sum%% *}
    [ "$sum" != "$2" ] || return 0
    error "root image ${1##*/} on $MEDIUM_DEVICE is damaged: expected sha256 $2, found ${sum:-a read error}"
    return 1
}

# Sets LARGEST to the name of the largest image of the list: its check takes longest and must start first.
find_largest() {
    largest=0
    while read -r _ size name; do
        [ "$size" -le "$largest" ] || largest=$size LARGEST=$name
    done <"$IMAGE_LIST"
}

# take_image RAM DIGEST NAME: copies one image if it must, and starts its check in the background.
take_image() {
    if [ "$1" = yes ] && ! cp "$IMAGE_DIR/$3" "$target/$3"; then
        error "cannot copy root image $3 from $MEDIUM_DEVICE to memory"
        return 1
    fi
    verify_image "$target/$3" "$2" &
    checks="$checks $!"
}

# take_images RAM: checks every image; with RAM=yes copies them first, so that what is checked is what runs.
# The checks run beside the copying. Leaves the checked files in $IMAGE_DIR.
take_images() {
    kilobytes=0
    checks=
    while read -r _ size _; do
        kilobytes=$((kilobytes + (size + 1023) / 1024))
    done <"$IMAGE_LIST"
    target=$IMAGE_DIR
    if [ "$1" = yes ]; then
        target=$LAYERS/images
        mount -t tmpfs -o "size=$((kilobytes + 1024))k,mode=0755" root-images "$target" || return 1
    fi
    find_largest
    while read -r digest _ name; do
        [ "$name" != "$LARGEST" ] || take_image "$1" "$digest" "$name" || return 1
    done <"$IMAGE_LIST"
    while read -r digest _ name; do
        [ "$name" = "$LARGEST" ] || take_image "$1" "$digest" "$name" || return 1
    done <"$IMAGE_LIST"
    # The data partition's, loaded on the processor that has nothing to check.
    modprobe -q -b ext4 2>/dev/null &
    IMAGE_DIR=$target
    end_checks || return 1
    # What lies in the initramfs takes memory as well.
    case $1/$MEDIUM_KIND in
    no/disk | no/removable) kilobytes=0 ;;
    esac
    printf '%s\n' "$kilobytes" >"${ROOT:-}/run/kubesolo/root-images-kb"
}

# Waits for all checks that run; fails when one of them has.
end_checks() {
    damaged=0
    for check in $checks; do
        wait "$check" || damaged=1
    done
    checks=
    [ "$damaged" = 0 ]
}

# Undoes take_images and try_medium, so that the next device can be tried. Only when nothing reads the copies
# any more is their memory given back.
drop_images() {
    # A copy that failed leaves the checks of those before it.
    end_checks || :
    umount "$LAYERS/images" 2>/dev/null || :
    umount "$MEDIUM" 2>/dev/null || :
}

# Mounts the images, read-only, each below $LAYERS; sets lower to the layers as overlayfs wants them, the highest
# first, and LOWEST to the first of the list. Those named extra-* are no layers: they are mounted when they are
# wanted, from the folder noted here.
mount_images() {
    lower=
    LOWEST=
    printf '%s\n' "$IMAGE_DIR" >"${ROOT:-}/run/kubesolo/image-dir"
    while read -r _ _ name; do
        case $name in
        extra-*) continue ;;
        esac
        layer=$LAYERS/${name%.squashfs}
        mkdir -p "$layer"
        mount -t squashfs -o loop,ro "$IMAGE_DIR/$name" "$layer" || {
            error "cannot mount root image $name"
            return 1
        }
        LOWEST=${LOWEST:-$layer}
        lower=$layer${lower:+:$lower}
    done <"$IMAGE_LIST"
}

# Mounts the checked images one above the other, read-only, as $NEW_ROOT.
stack_images() {
    mount_images || return 1
    case $lower in
    *:*) mount -t overlay -o "ro,lowerdir=$lower" root "$NEW_ROOT" ;;
    *) mount --bind "$lower" "$NEW_ROOT" ;;
    esac
}
