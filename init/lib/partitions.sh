# Partitions by device name, label, UUID and name: which one a parameter means, and which of several.

# find_partition SPEC: sets FOUND to the device path of <dev, LABEL=, UUID=, PARTLABEL=, PARTUUID=>, or to
# nothing; MATCHES to the names of all that match, UNREADABLE to those that could not be read.
find_partition() {
    FOUND=
    MATCHES=
    UNREADABLE=
    case $1 in
    LABEL=*) find_label "${1#LABEL=}" ;;
    UUID=*) FOUND=$(findfs "$1" 2>/dev/null) || FOUND= ;;
    PARTLABEL=*) find_partlabel "${1#PARTLABEL=}" ;;
    PARTUUID=*) find_partuuid "${1#PARTUUID=}" ;;
    /dev/*) [ ! -b "${ROOT:-}$1" ] || FOUND=${ROOT:-}$1 ;;
    *) [ ! -b "${ROOT:-}/dev/$1" ] || FOUND=${ROOT:-}/dev/$1 ;;
    esac
    # shellcheck disable=SC2086 # a list of names
    [ -z "$MATCHES" ] || choose_partition $MATCHES
}

# choose_partition NAME...: sets FOUND to the one that is taken at every boot: first one on the disk booted
# from, then fixed disks before portable ones, then the order of their places in the machine.
choose_partition() {
    if [ $# -gt 1 ]; then
        booted=
        read -r _ booted 2>/dev/null <"${ROOT:-}/run/kubesolo/medium" || :
        [ -z "$booted" ] || find_disk "$booted"
        booted=${booted:+$DISK}
        # shellcheck disable=SC2046 # a list
        set -- $(for name; do rank_partition "$name"; done | sort)
        shift
    fi
    FOUND=${ROOT:-}/dev/$1
}

# Prints a word that sorts as partition NAME ranks, and NAME. Numbers that count what was found first say nothing.
rank_partition() {
    rank=1
    ! is_portable "$1" || rank=2
    find_disk "$1"
    [ "$DISK" != "$booted" ] || rank=0
    place=$(readlink -f "${ROOT:-}/sys/class/block/$1" | sed 's,/\(usb\|host\)[0-9]*/,/\1/,g')
    printf '%s %s\n' "$rank$place" "$1"
}

# The data partition is ext4, and findfs takes its time looking for every file system that there is.
# A disk with partitions is never meant, even where it looks like a file system from before.
find_label() {
    list_block_devices
    for name in $BLOCK_DEVICES; do
        case $name in
        sr*) continue ;;
        esac
        has_partitions "$name" || ! read_superblock "${ROOT:-}/dev/$name" || [ "$FS_LABEL" != "$1" ] ||
            MATCHES="$MATCHES $name"
    done
}

# read_superblock DEVICE: sets FS_LABEL, FS_SIZE in KiB and CLEAN (1 or empty) from the superblock of an
# ext4 file system (Linux, Documentation/filesystems/ext4/super.rst: offsets in bytes, little endian).
# od gives 16 bytes a row: four numbers, then sixteen characters.
read_superblock() {
    examined=${1##*/}
    # Without -f a "*" among the characters would be taken for file names.
    set -f
    # shellcheck disable=SC2046 # a list
    set -- $(od -An -v -t u4 -t a -j 1024 -N 352 "$1" 2>/dev/null)
    set +f
    if [ $# -ne 440 ]; then
        UNREADABLE="$UNREADABLE $examined"
        return 1
    fi
    magic=$((${63} & 0xffff))
    [ "$magic" -eq $((0xef53)) ] || return 1
    state=$((${63} >> 16))
    incompat=${121}
    blocks=$2
    [ $((incompat & 0x80)) -eq 0 ] || blocks=$((blocks + (${421} << 32)))
    FS_SIZE=$((blocks << ${23}))
    CLEAN=
    # Unmounted cleanly, no errors recorded, no journal to replay.
    [ $((state & 3)) -ne 1 ] || [ $((incompat & 4)) -ne 0 ] || CLEAN=1
    shift 152
    read_label "$1" "$2" "$3" "$4" "$5" "$6" "$7" "$8" "${13}" "${14}" "${15}" "${16}" "${17}" "${18}" "${19}" "${20}"
}

read_label() {
    FS_LABEL=
    for character; do
        case $character in
        nul) return 0 ;;
        sp) FS_LABEL="$FS_LABEL " ;;
        *) FS_LABEL=$FS_LABEL$character ;;
        esac
    done
}

# BusyBox's findfs does not know PARTLABEL; the kernel tells it in the partition's uevent file.
find_partlabel() {
    for path in "${ROOT:-}"/sys/class/block/*; do
        read_partition_name "${path##*/}"
        [ "$PARTITION_NAME" != "$1" ] || MATCHES="$MATCHES ${path##*/}"
    done
}

# Neither does it know PARTUUID, nor does the kernel tell it: read from the partition tables.
find_partuuid() {
    wanted=$(printf '%s' "$1" | tr A-F a-f)
    for path in "${ROOT:-}"/sys/class/block/*; do
        number=
        read -r number 2>/dev/null <"$path/partition" || :
        [ -n "$number" ] || continue
        name=${path##*/}
        find_disk "$name"
        read_partuuid "$DISK" "$number"
        [ "$PARTUUID" != "$wanted" ] || MATCHES="$MATCHES $name"
    done
}

# read_partuuid DISK NUMBER: sets PARTUUID as Linux writes it: a GUID (UEFI 2.10, 5.3.3: entries of 128 bytes
# from the third block on, the GUID at 16), or the MBR's signature and the number.
read_partuuid() {
    block=512
    read -r block 2>/dev/null <"${ROOT:-}/sys/class/block/$1/queue/logical_block_size" || :
    case $(read_bytes "$1" "$block" 8) in
    '45 46 49 20 50 41 52 54')
        # shellcheck disable=SC2046 # a list
        set -- $(read_bytes "$1" $((2 * block + ($2 - 1) * 128 + 16)) 16)
        PARTUUID=
        [ $# -ne 16 ] || PARTUUID="$4$3$2$1-$6$5-$8$7-$9${10}-${11}${12}${13}${14}${15}${16}"
        ;;
    *)
        number=$2
        # shellcheck disable=SC2046 # a list
        set -- $(read_bytes "$1" 440 4)
        PARTUUID=
        [ $# -ne 4 ] || PARTUUID=$(printf '%s-%02x' "$4$3$2$1" "$number")
        ;;
    esac
}

# read_bytes DISK OFFSET COUNT: prints bytes in hexadecimal, one blank between them.
read_bytes() {
    # shellcheck disable=SC2046,SC2005 # blanks and line ends become one blank
    echo $(od -An -v -t x1 -j "$2" -N "$3" "${ROOT:-}/dev/$1" 2>/dev/null)
}
