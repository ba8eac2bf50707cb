# Disks that hold nothing at all. Only such a disk is ever formatted.

# Containers and etcd need as much.
LEAST_SECTORS=2097152
# How much is read at either end, in units of 4 KiB: 4 MiB.
END=1024

# find_blank: sets FOUND to the first blank disk: fixed ones before portable ones, then the order of their places in
# the machine. Disks that hold something are named on the console.
find_blank() {
    FOUND=
    booted=
    list_block_devices
    # shellcheck disable=SC2046 # a list: rank and name of each
    set -- $(for name in $BLOCK_DEVICES; do ! may_be_taken "$name" || rank_partition "$name"; done | sort)
    while [ $# -ge 2 ]; do
        if is_blank "$2"; then
            FOUND=${ROOT:-}/dev/$2
            return 0
        fi
        log_line "$TITLE /dev/$2 is not blank: it is left alone"
        shift 2
    done
    return 1
}

# may_be_taken NAME: whether it is a whole disk that is large enough, can be written, and is in nobody's use.
may_be_taken() {
    case $1 in
    sr* | dm-* | md*) return 1 ;;
    esac
    path=${ROOT:-}/sys/class/block/$1
    read -r size <"$path/size"
    [ ! -e "$path/partition" ] && [ "$1" != "$MEDIUM_DEVICE" ] && [ "$size" -ge "$LEAST_SECTORS" ] &&
        ! has_partitions "$1" && ! there "$path"/holders/* && ! write_protected "$1"
}

# is_blank NAME: whether there are only zeros where partition tables, file systems, volume managers and RAIDs have
# their marks: in the first and the last 4 MiB, and at every power of two between them, where file systems keep
# copies of their superblocks (btrfs at 64 MiB, ext4 at 128 MiB). What can not be read is not blank.
is_blank() {
    read -r size <"${ROOT:-}/sys/class/block/$1/size"
    bytes=$((size * 512))
    last=$((bytes / 4096 - END))
    zeros "$1" 0 $((END * 4096)) && zeros "$1" "$last" $((bytes - last * 4096)) || return 1
    place=$((2 * END))
    while [ "$place" -lt "$last" ]; do
        zeros "$1" "$place" 65536 || return 1
        place=$((place * 2))
    done
}

# zeros NAME PLACE BYTES: whether that many bytes from PLACE (in units of 4 KiB) on can be read and are zero.
zeros() {
    dd "if=${ROOT:-}/dev/$1" bs=4096 "skip=$2" "count=$((($3 + 4095) / 4096))" 2>/dev/null |
        cmp -s -n "$3" - /dev/zero
}
