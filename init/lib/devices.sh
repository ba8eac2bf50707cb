# Devices without udev: drivers by modalias, block devices by label.

COLDPLUGGED=

# coldplug: loads the drivers of every device that has appeared since the last call, with one modprobe.
# Extra module names may be given as arguments. The uevent files of every bus name what a device is; the mmc
# bus, and with it eMMC and SD cards, has no modalias files.
coldplug() {
    wanted=$*
    lines=$(grep -hs '^MODALIAS=' "${ROOT:-}"/sys/bus/*/devices/*/uevent) || :
    # Without -f a "*" in an alias would be taken for file names.
    set -f
    for alias in $lines; do
        alias=${alias#MODALIAS=}
        case " $COLDPLUGGED $wanted " in
        *" $alias "*) ;;
        *) wanted="$wanted $alias" ;;
        esac
    done
    # Most devices have no module in a curated tree, so a failure says nothing.
    # shellcheck disable=SC2086 # a list of names without blanks
    [ -z "$wanted" ] || modprobe -a -q -b $wanted 2>/dev/null || :
    set +f
    COLDPLUGGED="$COLDPLUGGED $wanted"
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
        # Empty drives have none, extended partitions one KiB: neither holds a file system.
        [ "$size" -lt 128 ] || BLOCK_DEVICES="$BLOCK_DEVICES $name"
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

# there PATH...: whether the first of what a pattern gave exists.
there() { [ -e "$1" ]; }

# Sets STORAGE to what the kernel knows of storage below the block devices, to see when something is new.
list_storage() {
    set -- "${ROOT:-}"/sys/class/scsi_host/* "${ROOT:-}"/sys/bus/scsi/devices/* \
        "${ROOT:-}"/sys/class/mmc_host/* "${ROOT:-}"/sys/bus/mmc/devices/* "${ROOT:-}"/sys/class/nvme/*
    STORAGE=$*
}

# storage_coming_up: whether a storage device that has a driver has no block device yet.
storage_coming_up() {
    usb_coming_up || scsi_coming_up || mmc_coming_up || nvme_coming_up
}

# usb-storage lets a disk settle for a second before it looks what it is.
usb_coming_up() {
    for path in "${ROOT:-}"/sys/bus/usb/devices/*/bInterfaceClass; do
        class=
        read -r class 2>/dev/null <"$path" || :
        path=${path%/*}
        # 08: mass storage (USB class codes)
        if [ "$class" = 08 ] && [ -e "$path/driver" ]; then
            there "$path"/host*/target* || return 0
        fi
    done
    return 1
}

scsi_coming_up() {
    for path in "${ROOT:-}"/sys/bus/scsi/devices/*:*:*:*; do
        type=
        read -r type 2>/dev/null <"$path/type" || :
        # Disks, CDs, optical and simple disks (SPC-5, peripheral device types)
        case $type in
        0 | 5 | 7 | 14) [ ! -e "$path/driver" ] || there "$path"/block/* || return 0 ;;
        esac
    done
    return 1
}

mmc_coming_up() {
    for path in "${ROOT:-}"/sys/bus/mmc/devices/*; do
        type=
        read -r type 2>/dev/null <"$path/type" || :
        case $type in
        MMC | SD) [ ! -e "$path/driver" ] || there "$path"/block/* || return 0 ;;
        esac
    done
    return 1
}

nvme_coming_up() {
    for path in "${ROOT:-}"/sys/class/nvme/*; do
        state=
        read -r state 2>/dev/null <"$path/state" || :
        case $state in
        new | resetting | connecting) return 0 ;;
        esac
    done
    return 1
}

# Sets DISK to the disk that block device NAME is a partition of, or to NAME itself.
find_disk() {
    DISK=$1
    [ -e "${ROOT:-}/sys/class/block/$1/partition" ] || return 0
    DISK=$(readlink -f "${ROOT:-}/sys/class/block/$1/..")
    DISK=${DISK##*/}
}

# has_partitions NAME: whether the kernel has found partitions on this disk.
has_partitions() { there "${ROOT:-}/sys/class/block/$1"/*/partition; }

# is_portable NAME: whether a disk is made to be carried about: removable, on USB (hard disks there do not call
# themselves removable), or an SD card.
is_portable() {
    find_disk "$1"
    flag=0
    read -r flag 2>/dev/null <"${ROOT:-}/sys/class/block/$DISK/removable" || :
    type=
    read -r type 2>/dev/null <"${ROOT:-}/sys/class/block/$DISK/device/type" || :
    case $DISK/$flag/$type in
    sr* | */1/* | mmcblk*/SD) return 0 ;;
    esac
    case $(readlink -f "${ROOT:-}/sys/class/block/$DISK") in
    */usb[0-9]*) return 0 ;;
    esac
    return 1
}

# write_protected DEVICE: whether nothing can be written to it.
write_protected() {
    protected=0
    read -r protected 2>/dev/null <"${ROOT:-}/sys/class/block/${1##*/}/ro" || :
    [ "$protected" = 1 ]
}

# Sets PARTITION_NAME to the name that block device NAME has in a GUID partition table.
read_partition_name() {
    PARTITION_NAME=
    while IFS= read -r line; do
        case $line in
        PARTNAME=*) PARTITION_NAME=${line#PARTNAME=} ;;
        esac
    done 2>/dev/null <"${ROOT:-}/sys/class/block/$1/uevent" || :
}
