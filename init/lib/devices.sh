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
        loop* | ram* | zram* | nbd* | '*') continue ;;
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
    LABEL=* | UUID=*) FOUND=$(findfs "$1" 2>/dev/null) || FOUND= ;;
    PARTLABEL=*) find_partlabel "${1#PARTLABEL=}" ;;
    /dev/*) [ ! -b "${ROOT:-}$1" ] || FOUND=${ROOT:-}$1 ;;
    *) [ ! -b "${ROOT:-}/dev/$1" ] || FOUND=${ROOT:-}/dev/$1 ;;
    esac
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
