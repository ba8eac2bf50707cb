# Kernel modules: the drivers of all devices found, and what containers and their network need.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

# Sets MODULES to the names in a list, LATER to those marked "later"; # starts a comment.
read_module_list() {
    MODULES=
    LATER=
    while read -r name when _; do
        case $name/$when in
        / | '#'*) ;;
        */later) LATER="$LATER $name" ;;
        *) MODULES="$MODULES $name" ;;
        esac
    done <"$1"
}

# Sets MISSING to those that are neither loaded nor built in.
find_missing() {
    loaded=' '
    while read -r name _; do
        loaded="$loaded$name "
    done <"${ROOT:-}/proc/modules"
    MISSING=
    for name in $MODULES $LATER; do
        case $loaded in
        *" $name "*) continue ;;
        esac
        [ -d "${ROOT:-}/sys/module/$name" ] || MISSING="$MISSING $name"
    done
}

# What only pods will need is loaded while the boot goes on.
load_later() {
    # shellcheck disable=SC2086 # a list of module names
    [ -z "$LATER" ] || modprobe -a -q -b $LATER 2>/dev/null || :
    find_missing
    # Modules without parameters leave no trace in /sys when they are built in.
    [ -z "$MISSING" ] || warn "not loaded, built in or missing:$MISSING"
}

read_module_list "$SHARE/modules.list"
# shellcheck disable=SC2086 # a list of module names
coldplug $MODULES
load_later &
stage_complete 30-kernel-modules.sh
