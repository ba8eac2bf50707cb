# Which disk? Asked on every console; the first answer counts, wherever it is typed.

ANSWERS=$STATE/install-answers

listen() {
    rm -f "$ANSWERS"
    mkfifo "$ANSWERS"
    LISTENERS=
    for console in $CONSOLES; do
        # tty0 is whichever terminal is in front.
        case $console in
        */tty0) console=${console%0}1 ;;
        esac
        { while IFS= read -r line; do printf '%s\n' "$line" 1<>"$ANSWERS" >&1; done <"$console"; } 2>/dev/null &
        LISTENERS="$LISTENERS $!"
    done
}

stop_listening() {
    # shellcheck disable=SC2086 # process ids
    kill $LISTENERS 2>/dev/null || :
    rm -f "$ANSWERS"
}

# Sets ANSWER to the next line that somebody types.
hear() {
    ANSWER=
    read -r ANSWER <>"$ANSWERS" || :
    ANSWER=${ANSWER%"$(printf '\r')"}
}

show_disks() {
    to_consoles ''
    to_consoles 'Install KubeSolo OS to a disk'
    count=0
    for name in $DISKS; do
        count=$((count + 1))
        describe "$name"
        to_consoles "  $count  $DESCRIPTION"
    done
    [ "$count" -gt 0 ] || to_consoles '  This machine has no disk.'
    to_consoles 'Type the number of the disk, l to look again, or reboot.'
}

# Sets TARGET to the disk with number ANSWER, or to nothing.
take_number() {
    TARGET=
    count=0
    for name in $DISKS; do
        count=$((count + 1))
        [ "$ANSWER" != "$count" ] || TARGET=$name
    done
}

# Sets TARGET to a disk that a person has chosen and confirmed.
ask_for_disk() {
    listen
    while :; do
        list_disks
        show_disks
        hear
        [ "$ANSWER" != reboot ] || { sync; reboot -f; }
        take_number
        [ -n "$TARGET" ] || continue
        if unfit "$TARGET"; then
            to_consoles "$WHY."
            continue
        fi
        describe "$TARGET"
        to_consoles "All that is on it will be lost: $DESCRIPTION"
        to_consoles 'Type yes to install.'
        hear
        [ "$ANSWER" != yes ] || break
    done
    stop_listening
}
