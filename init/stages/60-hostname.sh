# Host name and machine id: saved > cloud-init > made up from the primary MAC, and then saved, because
# the host name is the node's name in the cluster.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"
. "$SHARE/network.sh"
. "$SHARE/names.sh"

# read_name FILE: sets NAME to the host name in FILE, when there is one and it can be one.
read_name() {
    [ -r "$1" ] || return 1
    asked=
    read -r asked <"$1" || :
    if clean_name "$asked"; then
        [ "$(echo "$asked" | tr -d '\r')" = "$NAME" ] || warn "host name '$asked' in $1 is used as $NAME"
        return 0
    fi
    warn "host name '$asked' in $1 is not valid (RFC 1123: a-z, 0-9 and -, at most 63), ignored"
    return 1
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

# Sets NAME. What the operator has asked for is never written over, be it valid or not.
find_name() {
    saved=$DATA/etc-kubesolo/hostname
    configured=$STATE/cloud-init/hostname
    if read_name "$saved"; then
        refuse_rename
        return 0
    fi
    read_name "$configured" || read_name "$saved.made" || make_name
    # The name must be the same at the next boot.
    [ ! -s "$saved" ] || saved=$saved.made
    write_durable "$saved" "$NAME
" || :
}

# The cluster knows the node by its name: under another one its pods and volumes would be somebody else's.
refuse_rename() {
    kept=$NAME
    if [ -s "$configured" ] && read_name "$configured" && [ "$NAME" != "$kept" ]; then
        complain hostname "hostname: $NAME is asked for, but this node is $kept and its cluster knows it so; a new name needs a new cluster: kubesolo-os reset"
    else
        settle hostname
    fi
    NAME=$kept
}

find_name
printf '%s\n' "$NAME" >"${ROOT:-}/proc/sys/kernel/hostname"
printf '%s\n' "$NAME" >"$STATE/etc/hostname"
printf '127.0.0.1 localhost %s\n::1 localhost ip6-localhost ip6-loopback\n' "$NAME" >"$STATE/etc/hosts"
find_machine_id
printf '%s\n' "$MACHINE_ID" >"$STATE/etc/machine-id"
info "host name $NAME"
stage_complete 60-hostname.sh
