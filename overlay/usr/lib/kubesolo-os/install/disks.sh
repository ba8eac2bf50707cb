# The disks that the system could be installed on: what they are, what they hold, and why one is refused.

# 4 GB, as makers of disks count; a little less, as some count.
LEAST_KB=3700000

# Sets DISKS to the names of whole disks, MEDIUM_DISK to the one that this system was started from.
list_disks() {
    list_block_devices
    DISKS=
    for name in $BLOCK_DEVICES; do
        case $name in
        # What is no disk, and what eMMC has besides its own memory.
        sr* | dm-* | md* | mmcblk*boot* | mmcblk*rpmb) continue ;;
        esac
        [ -e "${ROOT:-}/sys/class/block/$name/partition" ] || DISKS="$DISKS $name"
    done
    booted=
    read -r _ booted 2>/dev/null <"$STATE/medium" || :
    MEDIUM_DISK=
    [ -z "$booted" ] || { find_disk "$booted" && MEDIUM_DISK=$DISK; }
}

# Sets KILOBYTES to the size of a block device.
read_size() {
    KILOBYTES=0
    read -r KILOBYTES 2>/dev/null <"${ROOT:-}/sys/class/block/$1/size" || :
    KILOBYTES=$((KILOBYTES / 2))
}

# gigabytes KIB: prints a size as makers of disks count.
gigabytes() { printf '%s.%s GB' $(($1 * 1024 / 1000000000)) $(($1 * 1024 / 100000000 % 10)); }

read_model() {
    MODEL=
    for file in model name; do
        [ -n "$MODEL" ] || read -r MODEL 2>/dev/null <"${ROOT:-}/sys/class/block/$1/device/$file" || :
    done
    MODEL=${MODEL:-virtual disk}
}

# is_empty DISK: neither partitions nor anything in its first MiB. One that can not be read is not.
is_empty() {
    ! has_partitions "$1" || return 1
    zeros=$(head -c 1048576 "${ROOT:-}/dev/$1" 2>/dev/null | tr -d '\1-\377' | wc -c)
    [ "$zeros" -eq 1048576 ]
}

# Sets CONTENT to what a disk holds, in words.
read_content() {
    CONTENT=
    for path in "${ROOT:-}/sys/class/block/$1"/*/partition; do
        [ -e "$path" ] || break
        path=${path%/partition}
        part=${path##*/}
        read_partition_name "$part"
        FS_LABEL=
        [ -n "$PARTITION_NAME" ] || read_superblock "${ROOT:-}/dev/$part" || :
        CONTENT="$CONTENT${CONTENT:+, }$part${PARTITION_NAME:+ $PARTITION_NAME}${FS_LABEL:+ $FS_LABEL}"
    done
    [ -z "$CONTENT" ] || return 0
    CONTENT='data without partitions'
    ! is_empty "$1" || CONTENT=empty
}

# describe DISK: sets DESCRIPTION.
describe() {
    read_model "$1"
    read_size "$1"
    read_content "$1"
    DESCRIPTION="/dev/$1  $MODEL, $(gigabytes "$KILOBYTES"): $CONTENT"
    [ "$1" != "$MEDIUM_DISK" ] || DESCRIPTION="$DESCRIPTION (what this system was started from)"
}

# unfit DISK: whether it can never be installed on; sets WHY.
unfit() {
    WHY=
    read_size "$1"
    if [ "$1" = "$MEDIUM_DISK" ]; then
        WHY="/dev/$1 is what this system was started from"
    elif write_protected "$1"; then
        WHY="/dev/$1 is write-protected"
    elif [ "$KILOBYTES" -lt "$LEAST_KB" ]; then
        WHY="/dev/$1 has $(gigabytes "$KILOBYTES"), $(gigabytes $((LEAST_KB - KILOBYTES + 99999))) less than the system needs"
    fi
    [ -n "$WHY" ]
}

# refused NAME: the same for a name that somebody has given, and for a disk that holds data.
refused() {
    if [ -e "${ROOT:-}/sys/class/block/$1/partition" ]; then
        find_disk "$1"
        WHY="/dev/$1 is a partition; the whole disk is /dev/$DISK"
        return 0
    fi
    case " $DISKS " in
    *" $1 "*) ;;
    *)
        WHY="/dev/$1 is no disk of this machine (disks:${DISKS:- none})"
        return 0
        ;;
    esac
    ! unfit "$1" || return 0
    [ -z "$KUBESOLO_INSTALL_FORCE" ] && ! is_empty "$1" || return 1
    read_content "$1"
    WHY="/dev/$1 holds data ($CONTENT): with kubesolo.install-force=yes it is overwritten"
}

# Sets TARGETS to the fixed disks that are empty and can be installed on.
find_targets() {
    TARGETS=
    for name in $DISKS; do
        if ! is_portable "$name" && ! unfit "$name" && is_empty "$name"; then
            TARGETS="$TARGETS $name"
        fi
    done
    TARGETS=${TARGETS# }
}
