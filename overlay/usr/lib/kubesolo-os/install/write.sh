# Writes the system to a disk: partitions, both slots, data, boot loaders. What firmware starts comes last, and the disk's
# old beginning goes first: an installation that is cut short leaves a disk that does not start, and can be run again.

. "$SHARE/sticks.sh"

WORK=$STATE/install
SOURCE=$WORK/medium
PLACE=$WORK/disk
CHUNK_KB=4096
# As in tasks/diskimage.py. The programs are named by their paths, as the shell prefers its own.
SLOT_OPTIONS='-O ^has_journal,^resize_inode -m 0 -N 64'
BIOS_BOOT=21686148-6449-6E6F-744E-656564454649
ESP_TYPE=C12A7328-F81F-11D2-BA4B-00A0C93EC93B

# Sets PART to the device path of partition NUMBER of the target.
part() {
    case $TARGET in
    *[0-9]) PART=${ROOT:-}/dev/${TARGET}p$1 ;;
    *) PART=${ROOT:-}/dev/$TARGET$1 ;;
    esac
}

# broken WHAT: ends the stage with one sentence.
broken() {
    umount "$PLACE" 2>/dev/null || :
    if [ -e "${ROOT:-}/dev/$TARGET" ]; then
        fail "$1 on /dev/$TARGET failed; the disk does not start now, and the installation can be run again"
    else
        fail "/dev/$TARGET has vanished while it was written; it does not start now, and the installation can be run again"
    fi
}

# The medium, mounted once more: its root images may lie in memory. Its files are what is compared with, too.
open_source() {
    mkdir -p "$SOURCE" "$PLACE"
    read -r _ booted <"$STATE/medium"
    [ -e "$SOURCE/boot" ] || mount -t iso9660 -o ro "${ROOT:-}/dev/$booted" "$SOURCE" 2>/dev/null ||
        fail "the medium this system was started from ($booted) can not be read; start from the ISO to install"
    [ -e "$SOURCE/boot/disk.tar" ] || fail 'this medium has no boot loaders for disks'
    tar -xf "$SOURCE/boot/disk.tar" -C "$WORK" || fail 'the boot loaders on the medium can not be read'
    TOTAL_KB=0
    slot_files count_twice
    DONE_KB=0
    read_uptime
    BEGAN=$NOW
    SAID=$NOW
}

# Its beginning and its end, where a table and its copy may lie.
wipe() {
    read_size "$TARGET"
    dd if=/dev/zero of="${ROOT:-}/dev/$TARGET" bs=1024 count=1024 conv=notrunc,fsync 2>/dev/null &&
        dd if=/dev/zero of="${ROOT:-}/dev/$TARGET" bs=1024 seek=$((KILOBYTES - 1024)) count=1024 conv=notrunc,fsync \
            2>/dev/null
}

# GUIDs are this disk's own, so that a stick with the same image is never taken for it.
make_partitions() {
    sfdisk -q --wipe always --wipe-partitions always "${ROOT:-}/dev/$TARGET" >&2 <<END
label: gpt
first-lba: 34
unit: sectors
1 : start=4096, size=524288, type=$ESP_TYPE, name="KSOLOEFI"
2 : start=528384, size=1048576, type=L, name="KSOLOA"
3 : start=1576960, size=1048576, type=L, name="KSOLOB"
4 : start=2625536, type=L, name="KSOLODATA"
5 : start=2048, size=2048, type=$BIOS_BOOT, name="KSOLOBIOS"
END
    waited=0
    part 4
    until [ -e "$PART" ]; do
        [ "$waited" -lt 50 ] || return 1
        waited=$((waited + 1))
        sleep 0.2
    done
}

# Said every other second at most.
show_progress() {
    read_uptime
    [ $((NOW - SAID)) -ge 200 ] || [ "$DONE_KB" -ge "$TOTAL_KB" ] || return 0
    SAID=$NOW
    spent=$((NOW - BEGAN + 1))
    tenths=$((DONE_KB * 1000 / spent / 1024))
    left=$(((TOTAL_KB - DONE_KB) * spent / (DONE_KB + 1) / 100))
    to_consoles "  $((DONE_KB * 100 / TOTAL_KB)) % of $((TOTAL_KB / 1024)) MB, $((tenths / 10)).$((tenths % 10)) MB/s, $left s left"
}

# Sets KB to the size of a file.
file_size() { KB=$((($(stat -c %s "$1") + 1023) / 1024)); }

# For both slots.
count_twice() {
    file_size "$1"
    TOTAL_KB=$((TOTAL_KB + KB * 2))
}

# copy_file FROM TO: in pieces that are on the disk before they count.
copy_file() {
    file_size "$1"
    at=0
    while [ $((at * CHUNK_KB)) -lt "$KB" ]; do
        dd if="$1" of="$2" bs="${CHUNK_KB}k" skip=$at seek=$at count=1 conv=notrunc,fsync 2>/dev/null || return 1
        at=$((at + 1))
        written=$CHUNK_KB
        [ $((at * CHUNK_KB)) -le "$KB" ] || written=$((KB - (at - 1) * CHUNK_KB))
        DONE_KB=$((DONE_KB + written))
        show_progress
    done
}

slot_files() {
    for file in "$SOURCE"/boot/vmlinuz "$SOURCE"/boot/kubesolo-os.gz "$SOURCE"/boot/*.squashfs; do
        "$1" "$file" "$PLACE/${file##*/}" || return 1
    done
}

same() { cmp -s "$1" "$2" || { warn "${1##*/} reads back differently"; return 1; }; }

# What memory remembers of the disk says nothing about the disk.
forget() { echo 3 >"${ROOT:-}/proc/sys/vm/drop_caches"; }

fill_slot() { mount -t ext4 "$PART" "$PLACE" && slot_files copy_file && umount "$PLACE"; }

compare_slot() { mount -t ext4 -o ro "$PART" "$PLACE" && slot_files same && umount "$PLACE"; }

# write_slot NUMBER LABEL
write_slot() {
    part "$1"
    # shellcheck disable=SC2086 # a list of options
    "${ROOT:-}/usr/sbin/mke2fs" -q -F -t ext4 -L "$2" $SLOT_OPTIONS "$PART" >&2 || broken "making a file system for slot ${2#KSOLO}"
    fill_slot || broken "writing slot ${2#KSOLO}"
    forget
    compare_slot || broken "comparing slot ${2#KSOLO} with the medium"
}

# choose_configuration: sets CONFIGURATION to a file on a stick that is labelled for it, or on the medium.
choose_configuration() {
    CONFIGURATION=
    ! find_medium_labelled KSOLOCONF || mount_stick || warn "$MEDIUM_PATH (KSOLOCONF) can not be read"
    for file in "$STICK/cloud-init.yaml" "$SOURCE/cloud-init.yaml" "$SOURCE/boot/cloud-init.yaml"; do
        [ ! -s "$file" ] || { CONFIGURATION=$file; return 0; }
    done
}

write_data() {
    part 4
    "${ROOT:-}/usr/sbin/mke2fs" -q -F -t ext4 -L KSOLODATA "$PART" >&2 || broken 'making the file system for data'
    choose_configuration
    [ -n "$CONFIGURATION" ] || return 0
    copy_configuration || broken 'copying the configuration'
    info "the configuration ${CONFIGURATION#"$STATE"/} goes with it"
}

copy_configuration() {
    mount -t ext4 "$PART" "$PLACE" && mkdir -p "$PLACE/etc-kubesolo" &&
        copy_text "$CONFIGURATION" "$PLACE/etc-kubesolo/cloud-init.yaml" && umount "$PLACE"
}

# copy_text FROM TO: a small file, on the disk when this returns.
copy_text() { (umask 077 && dd if="$1" of="$2" conv=fsync 2>/dev/null); }

write_grub() {
    part 1
    mkfs.fat -F 32 -n KSOLOEFI "$PART" >&2 && mount -t vfat "$PART" "$PLACE" &&
        mkdir -p "$PLACE/grub" "$PLACE/EFI/BOOT" || return 1
    for file in "$WORK"/esp/grub/*; do
        copy_text "$file" "$PLACE/grub/${file##*/}" && same "$file" "$PLACE/grub/${file##*/}" || return 1
    done
    part 5
    [ ! -e "$WORK/core.img" ] || dd if="$WORK/core.img" of="$PART" conv=notrunc,fsync 2>/dev/null
}

write_efi_program() {
    for file in "$WORK"/esp/EFI/BOOT/*; do
        new=$PLACE/EFI/BOOT/new
        copy_text "$file" "$new" && sync "$new" && mv "$new" "$PLACE/EFI/BOOT/${file##*/}" || return 1
    done
    umount "$PLACE" && sync "${ROOT:-}/dev/$TARGET"
}

write_boot_sector() {
    [ ! -e "$WORK/boot.img" ] ||
        dd if="$WORK/boot.img" of="${ROOT:-}/dev/$TARGET" bs=440 count=1 conv=notrunc,fsync 2>/dev/null
}

same_quietly() { cmp -s "$1" "$2"; }

# holds_this NUMBER: whether that slot of the target is what would be written to it.
holds_this() {
    part "$1"
    mount -t ext4 -o ro "$PART" "$PLACE" 2>/dev/null || return 1
    held=0
    slot_files same_quietly || held=1
    umount "$PLACE"
    return $held
}

# Whether firmware would start the target: what is written last is there.
is_finished() {
    part 1
    mount -t vfat -o ro "$PART" "$PLACE" 2>/dev/null || return 1
    finished=1
    for file in "$WORK"/esp/EFI/BOOT/*; do
        same_quietly "$file" "$PLACE/EFI/BOOT/${file##*/}" || finished=0
    done
    umount "$PLACE"
    [ ! -e "$WORK/boot.img" ] || head -c 440 "${ROOT:-}/dev/$TARGET" | cmp -s -n 440 - "$WORK/boot.img" || finished=0
    [ "$finished" = 1 ]
}

# A machine that is told to overwrite, and whose firmware prefers the medium, would do so for ever and lose its data
# each time.
refuse_again() {
    [ "$KUBESOLO_INSTALL_FORCE" = yes ] && { holds_this 2 || holds_this 3; } && is_finished || return 0
    fail "this very system is on /dev/$TARGET already: take the medium out, or write it anew with kubesolo.install-force=again"
}

# install_to DISK
install_to() {
    TARGET=$1
    open_source
    refuse_again
    describe "$TARGET"
    to_consoles "Installing to $DESCRIPTION"
    wipe || broken 'clearing the old beginning'
    make_partitions || broken 'making partitions'
    write_slot 2 KSOLOA
    write_slot 3 KSOLOB
    write_data
    # The program that UEFI starts gets its name, and BIOS its first sector, when all else is on the disk.
    write_grub || broken 'writing the boot menu'
    write_efi_program || broken 'writing the boot loader for UEFI'
    write_boot_sector || broken 'writing the boot sector'
    to_consoles "KubeSolo OS is on /dev/$TARGET. Take the medium out before the machine starts again."
}
