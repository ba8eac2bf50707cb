# Media that are known by their labels: found among all that is not the system's own, and mounted to be read.

STICK=$STATE/stick

# find_medium_labelled LABEL: sets MEDIUM_PATH to the first device with this label.
find_medium_labelled() {
    [ -n "${LABELS+known}" ] || list_labels
    while read -r MEDIUM_PATH label_found; do
        [ "$label_found" != "$1" ] || return 0
    done <<END
$LABELS
END
    return 1
}

# Sets LABELS to lines "DEVICE LABEL" of all file systems that are not the system's own: most nodes have none.
list_labels() {
    LABELS=
    booted='' own=''
    read -r _ booted 2>/dev/null <"$STATE/medium" || :
    read -r _ own 2>/dev/null <"$STATE/data" || :
    list_block_devices
    set --
    for name in $BLOCK_DEVICES; do
        case $name in
        "$booted" | "${own##*/}") continue ;;
        esac
        read_partition_name "$name"
        case $PARTITION_NAME in
        KSOLOEFI | KSOLOA | KSOLOB | KSOLODATA | KSOLOBIOS) ;;
        *) set -- "$@" "${ROOT:-}/dev/$name" ;;
        esac
    done
    [ $# -gt 0 ] || return 0
    LABELS=$(blkid -c /dev/null -s LABEL "$@" 2>/dev/null | sed -n 's/^\([^:]*\):.* LABEL="\([^"]*\)".*/\1 \2/p')
}

# mount_stick: mounts MEDIUM_PATH at STICK, read-only.
mount_stick() {
    mkdir -p "$STICK"
    modprobe -q -a isofs vfat nls_ascii nls_cp437 nls_iso8859-1 2>/dev/null || :
    mount -o ro "$MEDIUM_PATH" "$STICK" 2>/dev/null
}
