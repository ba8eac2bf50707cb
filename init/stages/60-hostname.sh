# Host name and machine id: saved > cloud-init > made up from the primary MAC, and then saved, because
# the host name is the node's name in the cluster.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"
. "$SHARE/network.sh"

# read_name FILE: sets NAME to the host name in FILE, when there is one and RFC 1123 allows it.
read_name() {
    NAME=
    [ -r "$1" ] || return 1
    read -r NAME <"$1" || :
    valid_name "$NAME" && return 0
    warn "host name '$NAME' in $1 is not valid (RFC 1123: a-z, 0-9 and -, at most 63), ignored"
    return 1
}

valid_name() {
    case $1 in
    '' | -* | *- | *[!a-z0-9-]*) return 1 ;;
    esac
    [ ${#1} -le 63 ]
}

# Six hexadecimal digits: the end of the primary MAC, or random ones on a machine without a network card.
make_name() {
    physical_interfaces
    address=
    read -r address 2>/dev/null <"${ROOT:-}/sys/class/net/${INTERFACES%% *}/address" || :
    [ -n "$address" ] || read -r address <"${ROOT:-}/proc/sys/kernel/random/uuid"
    digits=
    while [ -n "$address" ]; do
        digits=$digits${address%%[:-]*}
        case $address in
        *[:-]*) address=${address#*[:-]} ;;
        *) address= ;;
        esac
    done
    NAME=kubesolo-${digits#"${digits%??????}"}
}

# Sets MACHINE_ID, kept with the data.
find_machine_id() {
    file=$DATA/etc-kubesolo/machine-id
    MACHINE_ID=
    [ ! -r "$file" ] || read -r MACHINE_ID <"$file" || :
    [ ${#MACHINE_ID} -ne 32 ] || return 0
    read -r uuid <"${ROOT:-}/proc/sys/kernel/random/uuid"
    MACHINE_ID=
    while [ -n "$uuid" ]; do
        MACHINE_ID=$MACHINE_ID${uuid%%-*}
        case $uuid in
        *-*) uuid=${uuid#*-} ;;
        *) uuid= ;;
        esac
    done
    write_durable "$file" "$MACHINE_ID
" || :
}

saved=$DATA/etc-kubesolo/hostname
if ! read_name "$saved"; then
    read_name "$STATE/cloud-init/hostname" || make_name
    write_durable "$saved" "$NAME
" || :
fi
printf '%s\n' "$NAME" >"${ROOT:-}/proc/sys/kernel/hostname"
printf '%s\n' "$NAME" >"$STATE/etc/hostname"
printf '127.0.0.1 localhost %s\n::1 localhost ip6-localhost ip6-loopback\n' "$NAME" >"$STATE/etc/hosts"
find_machine_id
printf '%s\n' "$MACHINE_ID" >"$STATE/etc/machine-id"
info "host name $NAME"
stage_complete 60-hostname.sh
