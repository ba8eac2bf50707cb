# Devices without udev: drivers by modalias, block devices by label.

COLDPLUGGED=

# coldplug: loads the drivers of every device that has appeared since the last call, with one modprobe.
# Extra module names may be given as arguments.
coldplug() {
    wanted=$*
    for file in "${ROOT:-}"/sys/bus/*/devices/*/modalias; do
        alias=
        read -r alias 2>/dev/null <"$file" || :
        [ -n "$alias" ] || continue
        case " $COLDPLUGGED $wanted " in
        *" $alias "*) ;;
        *) wanted="$wanted $alias" ;;
        esac
    done
    [ -n "$wanted" ] || return 0
    COLDPLUGGED="$COLDPLUGGED $wanted"
    # Most devices have no module in a curated tree, so a failure says nothing.
    # shellcheck disable=SC2086 # a list of names without blanks
    modprobe -a -q -b $wanted 2>/dev/null || :
}

# Sets BLOCK_DEVICES to the names of all block devices that can hold a file system.
list_block_devices() {
    BLOCK_DEVICES=
    for path in "${ROOT:-}"/sys/class/block/*; do
        name=${path##*/}
        case $name in
        loop* | ram* | zram* | nbd* | fd* | '*') continue ;;
        esac
        size=0
        read -r size 2>/dev/null <"$path/size" || :
        [ "$size" = 0 ] || BLOCK_DEVICES="$BLOCK_DEVICES $name"
    done
}

# find_partition SPEC: sets FOUND to the device path of <dev, LABEL=, UUID=, PARTLABEL=>, or to nothing.
find_partition() {
    FOUND=
    case $1 in
    LABEL=*) find_label "${1#LABEL=}" ;;
    UUID=*) FOUND=$(findfs "$1" 2>/dev/null) || FOUND= ;;
    PARTLABEL=*) find_partlabel "${1#PARTLABEL=}" ;;
    /dev/*) [ ! -b "${ROOT:-}$1" ] || FOUND=${ROOT:-}$1 ;;
    *) [ ! -b "${ROOT:-}/dev/$1" ] || FOUND=${ROOT:-}/dev/$1 ;;
    esac
}

# The data partition is ext4, and findfs takes its time looking for every file system that there is.
find_label() {
    list_block_devices
    for name in $BLOCK_DEVICES; do
        case $name in
        sr*) continue ;;
        esac
        if read_superblock "${ROOT:-}/dev/$name" && [ "$FS_LABEL" = "$1" ]; then
            FOUND=${ROOT:-}/dev/$name
            return 0
        fi
    done
}

# read_superblock DEVICE: sets FS_LABEL, FS_SIZE in KiB and CLEAN (1 or empty) from the superblock of an
# ext4 file system (Linux, Documentation/filesystems/ext4/super.rst: offsets in bytes, little endian).
# od gives 16 bytes a row: four numbers, then sixteen characters.
read_superblock() {
    # Without -f a "*" among the characters would be taken for file names.
    set -f
    # shellcheck disable=SC2046 # a list
    set -- $(od -An -v -t u4 -t a -j 1024 -N 352 "$1" 2>/dev/null)
    set +f
    [ $# -eq 440 ] || return 1
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
        [ -r "$path/uevent" ] || continue
        while IFS= read -r line; do
            if [ "$line" = "PARTNAME=$1" ]; then
                FOUND=${ROOT:-}/dev/${path##*/}
                return 0
            fi
        done <"$path/uevent"
    done
}

# Sets NOW to hundredths of a second since boot.
read_uptime() {
    NOW=0
    read -r NOW _ <"${ROOT:-}/proc/uptime" || :
    NOW=${NOW%.*}${NOW#*.}
    # A leading zero would make it octal.
    NOW=${NOW#"${NOW%%[!0]*}"}
    NOW=${NOW:-0}
}
