# Kernel modules: the drivers of all devices found, and what containers and their network need.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

# Sets MODULES to the names in a list: one per line, # starts a comment.
read_module_list() {
    MODULES=
    while read -r name _; do
        case $name in
        '' | '#'*) ;;
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
    for name in $MODULES; do
        case $loaded in
        *" $name "*) continue ;;
        esac
        [ -d "${ROOT:-}/sys/module/$name" ] || MISSING="$MISSING $name"
    done
}

read_module_list "$SHARE/modules.list"
# shellcheck disable=SC2086 # a list of module names
coldplug $MODULES
find_missing
# Modules without parameters leave no trace in /sys when they are built in.
[ -z "$MISSING" ] || warn "not loaded, built in or missing:$MISSING"
stage_complete 30-kernel-modules.sh
