# Boot parameters kubesolo.* -> KUBESOLO_* variables, kept in a file for the later stages.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

# keep VARIABLE VALUE
keep() {
    quote "$2"
    printf '%s=%s\n' "$1" "$QUOTED" >>"$SETTINGS"
}

take_parameter() {
    value=${1#*=}
    case $1 in
    kubesolo.debug) keep KUBESOLO_DEBUG 1 ;;
    kubesolo.shell) keep KUBESOLO_SHELL 1 ;;
    kubesolo.nopersist) keep KUBESOLO_NOPERSIST 1 ;;
    kubesolo.toram=yes | kubesolo.toram=no) keep KUBESOLO_TORAM "$value" ;;
    kubesolo.toram=*) warn "$1: must be yes or no, ignored" ;;
    kubesolo.data= | kubesolo.cloudinit= | kubesolo.root=) warn "$1: has no value, ignored" ;;
    kubesolo.data=*) keep KUBESOLO_DATA "$value" ;;
    # Read by /init and by the emergency shell.
    kubesolo.root=* | kubesolo.shell-seconds=*) ;;
    kubesolo.slot=A | kubesolo.slot=B) keep KUBESOLO_SLOT "$value" ;;
    kubesolo.slot=*) warn "$1: must be A or B, ignored" ;;
    kubesolo.install=/dev/* | kubesolo.install=auto | kubesolo.install=ask) keep KUBESOLO_INSTALL "$value" ;;
    kubesolo.install=*) warn "$1: must be /dev/..., auto or ask, ignored" ;;
    kubesolo.install-force=yes | kubesolo.install-force=again) keep KUBESOLO_INSTALL_FORCE "${1#*=}" ;;
    kubesolo.install-force=*) warn "$1: must be yes or again, ignored" ;;
    kubesolo.install-end=reboot | kubesolo.install-end=poweroff) keep KUBESOLO_INSTALL_END "$value" ;;
    kubesolo.install-end=*) warn "$1: must be reboot or poweroff, ignored" ;;
    kubesolo.cloudinit=*) keep KUBESOLO_CLOUDINIT "$value" ;;
    kubesolo.flags=*) keep KUBESOLO_FLAGS "$value" ;;
    kubesolo.edge-id=*) keep KUBESOLO_EDGE_ID "$value" ;;
    kubesolo.edge-key=*) keep KUBESOLO_EDGE_KEY "$value" ;;
    kubesolo.*) warn "unknown boot parameter ${1%%=*}" ;;
    esac
}

# Secrets may be among them.
umask 077
: >"$SETTINGS"
read_cmdline
for_each_parameter take_parameter "$cmdline"
stage_complete 10-parse-cmdline.sh
