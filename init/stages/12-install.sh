# kubesolo.install=: writes the system to a disk and ends the machine; without that parameter, nothing.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

# What an ordinary boot does not need it does not read.
load_installer() {
    . "$SHARE/install/disks.sh"
    . "$SHARE/install/ask.sh"
    . "$SHARE/install/write.sh"
}

# Disks come up one after the other.
settle() {
    read_uptime
    deadline=$((NOW + 1500))
    quiet=$NOW
    seen=
    while [ "$NOW" -lt "$deadline" ]; do
        list_disks
        list_storage
        [ "$DISKS/$STORAGE" = "$seen" ] || quiet=$NOW
        seen=$DISKS/$STORAGE
        storage_coming_up || [ $((NOW - quiet)) -lt 200 ] || break
        sleep 0.2
        coldplug
        read_uptime
    done
}

# Sets TARGET.
choose_target() {
    case $KUBESOLO_INSTALL in
    ask) ask_for_disk ;;
    auto)
        find_targets
        case $TARGETS in
        '') fail "no fixed disk of this machine is empty and large enough (disks:${DISKS:- none}): name one with kubesolo.install=/dev/..." ;;
        *' '*)
            warn "more than one disk is empty: $TARGETS"
            ask_for_disk
            ;;
        *) TARGET=$TARGETS ;;
        esac
        ;;
    *)
        TARGET=${KUBESOLO_INSTALL#/dev/}
        ! refused "$TARGET" || fail "$WHY"
        ;;
    esac
}

install() {
    load_installer
    QUIET=
    modprobe -q -a vfat nls_ascii nls_cp437 nls_iso8859-1 || :
    settle
    choose_target
    install_to "$TARGET"
    milestone installed
    sync
    sleep 3
    if [ "$KUBESOLO_INSTALL_END" = poweroff ]; then
        poweroff -f
    else
        reboot -f
    fi
    sleep 60
}

[ -z "$KUBESOLO_INSTALL" ] || install
stage_complete 12-install.sh
