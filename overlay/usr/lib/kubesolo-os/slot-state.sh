# GRUB's environment on the first partition, as boot/slots.cfg and agent/grubenv.py know it: 1,024 bytes that are
# overwritten in place, all variables in the first 512, as a torn write then leaves all of them or none.

SIGNATURE='# GRUB Environment Block'

# read_state FILE: sets ACTIVE_SLOT, BOOT_COUNTER, BOOT_SUCCESS, GOOD_SLOT, and REST to all other lines; fails when the
# block is damaged.
read_state() {
    ACTIVE_SLOT='' BOOT_COUNTER='' BOOT_SUCCESS='' GOOD_SLOT='' REST=''
    [ "$(stat -c %s "$1" 2>/dev/null)" = 1024 ] || return 1
    {
        IFS= read -r line && [ "$line" = "$SIGNATURE" ] || return 1
        # The padding at the end has no line end.
        while IFS= read -r line; do
            case $line in
            active_slot=*) ACTIVE_SLOT=${line#*=} ;;
            boot_counter=*) BOOT_COUNTER=${line#*=} ;;
            boot_success=*) BOOT_SUCCESS=${line#*=} ;;
            good_slot=*) GOOD_SLOT=${line#*=} ;;
            '#'*) ;;
            *) REST="$REST$line
" ;;
            esac
        done
    } <"$1"
}

# state_is_sane: whether GRUB would go by what has been read.
state_is_sane() {
    case $ACTIVE_SLOT/$BOOT_COUNTER/$BOOT_SUCCESS in
    [AB]/[0-3]/[01]) return 0 ;;
    esac
    return 1
}

# padding_is_whole FILE: whether GRUB can write to it: a write that was torn may have left the second half damaged.
padding_is_whole() { [ "$(tail -c 512 "$1" | tr -cd '#' | wc -c)" -eq 512 ]; }

# write_state FILE TEXT [MORE]: overwrites in place, waits for the disk and reads back. MORE is left out when there is no
# room for it: what decides about the boot must be written. A file of another length is no use to GRUB: it is made anew.
write_state() {
    block="$SIGNATURE
$2${3:-}"
    if [ ${#block} -gt 512 ]; then
        warn "the boot environment is full: of ${1##*/}, only what decides about the boot is kept"
        block="$SIGNATURE
$2"
    fi
    while [ ${#block} -lt 1024 ]; do
        block=$block'################################'
    done
    block=$(printf '%.1024s.' "$block")
    block=${block%.}
    place=$1
    [ "$(stat -c %s "$1" 2>/dev/null)" = 1024 ] || place=$1.new
    printf '%s' "$block" | dd of="$place" bs=1024 conv=notrunc,fsync 2>/dev/null || return 1
    if [ "$place" != "$1" ]; then
        mv -f "$place" "$1" && sync "$1" || return 1
    fi
    [ "$(cat "$1"; echo .)" = "$block." ]
}
