# An image on a larger disk: the last partition, that of the data, gets the rest of it. Stage 20 then grows the file
# system. A power cut at any moment leaves a table that firmware and kernel can read: the copy at the end of the disk
# is on it before the first one is touched, and the kernel (parameter gpt) and UEFI take that when the first is torn.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

DATA_NUMBER=4
# Sectors of 512 bytes: less than 2 MiB are not worth a write.
WORTH_IT=4096
COPY=$STATE/partition-table

# Sets START and SIZE of partition NAME, in sectors of 512 bytes.
read_place() {
    START=0 SIZE=0
    read -r START <"${ROOT:-}/sys/class/block/$1/start" && read -r SIZE <"${ROOT:-}/sys/class/block/$1/size"
}

# table_is_settled: whether the first table says that its copy is at the end of the disk, and agrees with the kernel
# about the data partition (UEFI 2.10, 5.3: LBA of the copy at 32; entries of 128 bytes, last LBA at 40).
table_is_settled() {
    # shellcheck disable=SC2046 # a list of numbers
    set -- $(od -An -v -t u4 -j 512 -N 1024 "${ROOT:-}/dev/$DISK" 2>/dev/null)
    [ $# -eq 256 ] || return 1
    copy=$((${9} + (${10} << 32)))
    # The second half are the entries, 32 numbers each.
    shift $((128 + (DATA_NUMBER - 1) * 32 + 10))
    last=$(($1 + ($2 << 32)))
    [ "$copy" -eq $((SECTORS - 1)) ] && [ "$last" -eq $((START + SIZE - 1)) ]
}

# put OFFSET COUNT: copies MiB of the new table to the disk, and waits until they are there.
put() {
    dd if="$COPY" of="${ROOT:-}/dev/$DISK" bs=512 skip="$1" seek="$1" count="$2" conv=notrunc,fsync 2>/dev/null
}

# The new table is made in memory, in a file as long as the disk that holds little but holes.
make_table() {
    rm -f "$COPY"
    truncate -s $((SECTORS * 512)) "$COPY"
    for place in 0 $((SECTORS - 2048)); do
        dd if="${ROOT:-}/dev/$DISK" of="$COPY" bs=512 skip="$place" seek="$place" count=2048 conv=notrunc 2>/dev/null ||
            return 1
    done
    echo ', +' | sfdisk -q --force --no-reread --no-tell-kernel -N "$DATA_NUMBER" "$COPY" >&2
}

# Its last MiB first: nothing there is in use yet.
write_table() {
    make_table && put $((SECTORS - 2048)) 2048 && put 0 34
}

grow_disk() {
    block=512
    read -r block 2>/dev/null <"${ROOT:-}/sys/class/block/$DISK/queue/logical_block_size" || :
    nth_partition "$DISK" "$DATA_NUMBER" && [ "$block" = 512 ] || return 0
    SECTORS=0
    read -r SECTORS <"${ROOT:-}/sys/class/block/$DISK/size"
    read_place "$PARTITION"
    [ $((SECTORS - START - SIZE)) -ge "$WORTH_IT" ] || ! table_is_settled || return 0
    info "growing partition $PARTITION to the end of the disk"
    if write_table && partx -u --nr "$DATA_NUMBER" "${ROOT:-}/dev/$DISK" >&2; then
        read_place "$PARTITION"
        info "$PARTITION has $((SIZE / 2048)) MiB now"
    else
        warn "partition $PARTITION could not be grown to the end of the disk"
    fi
    rm -f "$COPY"
}

! booted_slot || grow_disk
stage_complete 15-grow-disk.sh
