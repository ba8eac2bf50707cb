# What every stage starts with: messages, devices, the parsed boot parameters.

if [ -z "${STAGE_LIBRARY:-}" ]; then
    STAGE_LIBRARY=loaded
    INIT=${INIT:-${ROOT:-}/run/kubesolo-init}
    . "$INIT/lib/log.sh"
    . "$INIT/lib/cmdline.sh"
    . "$INIT/lib/devices.sh"
    . "$INIT/lib/partitions.sh"
    . "$INIT/lib/slots.sh"
fi

STATE=${ROOT:-}/run/kubesolo
DATA=${ROOT:-}/mnt/data
SHARE=${ROOT:-}/usr/lib/kubesolo-os
SETTINGS=$STATE/settings
. "$INIT/lib/durable.sh"

# Sets the KUBESOLO_* variables of stage 10, or their defaults before it has run.
load_settings() {
    KUBESOLO_DATA=LABEL=KSOLODATA
    KUBESOLO_DEBUG=
    KUBESOLO_SHELL=
    KUBESOLO_NOPERSIST=
    KUBESOLO_CLOUDINIT=/mnt/data/etc-kubesolo/cloud-init.yaml
    KUBESOLO_FLAGS=
    KUBESOLO_TORAM=
    KUBESOLO_SLOT=
    KUBESOLO_INSTALL=
    KUBESOLO_INSTALL_FORCE=
    KUBESOLO_INSTALL_END=reboot
    KUBESOLO_EDGE_ID=
    KUBESOLO_EDGE_KEY=
    [ ! -r "$SETTINGS" ] || . "$SETTINGS"
}

# quote TEXT: sets QUOTED to TEXT as one word for sh.
quote() {
    QUOTED="'"
    text=$1
    while :; do
        case $text in
        *\'*)
            QUOTED="$QUOTED${text%%\'*}'\\''"
            text=${text#*\'}
            ;;
        *) break ;;
        esac
    done
    QUOTED="$QUOTED$text'"
}

untraced load_settings
