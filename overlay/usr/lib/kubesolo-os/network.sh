# Network of the node: which interface, saved configuration, DHCP, addresses. Sourced by stages and scripts,
# which set STATE (/run/kubesolo), DATA (/mnt/data) and SHARE (/usr/lib/kubesolo-os).

NETWORK_MODE=dhcp

# Sets INTERFACES to the physical network interfaces in name order; a real device stands behind each.
physical_interfaces() {
    INTERFACES=
    for path in "${ROOT:-}"/sys/class/net/*; do
        name=${path##*/}
        case $name in
        lo | docker* | veth* | br* | cni*) continue ;;
        esac
        [ ! -e "$path/device" ] || INTERFACES="$INTERFACES${INTERFACES:+ }$name"
    done
}

# Sets LINKED to the first physical interface that has a link; fails when none has.
interface_with_link() {
    physical_interfaces
    for LINKED in $INTERFACES; do
        carrier=0
        read -r carrier 2>/dev/null <"${ROOT:-}/sys/class/net/$LINKED/carrier" || :
        [ "$carrier" != 1 ] || return 0
    done
    LINKED=
    return 1
}

links_up() {
    physical_interfaces
    for interface in lo $INTERFACES; do
        ip link set "$interface" up || :
    done
}

# Looks for a static configuration: saved by the node, then from cloud-init. Lines KEY=VALUE with
# NETWORK_MODE (static or dhcp), NETWORK_INTERFACE, NETWORK_ADDRESS (with /prefix), NETWORK_GATEWAY and
# NETWORK_DNS (blank-separated). Read, not sourced: a damaged file must not stop the boot.
find_static_config() {
    for NETWORK_FILE in "$DATA/network/interfaces.sh" "$STATE/cloud-init/network.sh"; do
        [ -s "$NETWORK_FILE" ] || continue
        read_network_file
        [ "$NETWORK_MODE" != static ] || return 0
        return 1
    done
    return 1
}

read_network_file() {
    NETWORK_INTERFACE='' NETWORK_ADDRESS='' NETWORK_GATEWAY='' NETWORK_DNS=''
    while IFS='=' read -r key value; do
        value=${value#[\"\']}
        value=${value%[\"\']}
        case $key in
        NETWORK_MODE) NETWORK_MODE=$value ;;
        NETWORK_INTERFACE) NETWORK_INTERFACE=$value ;;
        NETWORK_ADDRESS) NETWORK_ADDRESS=$value ;;
        NETWORK_GATEWAY) NETWORK_GATEWAY=$value ;;
        NETWORK_DNS) NETWORK_DNS=$value ;;
        esac
    done <"$NETWORK_FILE"
}

# Applies what find_static_config found; on failure the mode is dhcp again.
apply_static_config() {
    links_up
    interface=$NETWORK_INTERFACE
    [ -n "$interface" ] || { interface_with_link && interface=$LINKED; } || interface=${INTERFACES%% *}
    if [ -n "$NETWORK_ADDRESS" ] && [ -n "$interface" ] &&
        ip address replace "$NETWORK_ADDRESS" dev "$interface"; then
        [ -z "$NETWORK_GATEWAY" ] || ip route replace default via "$NETWORK_GATEWAY" dev "$interface" || :
        # shellcheck disable=SC2086 # a list of addresses
        write_resolv_conf '' $NETWORK_DNS
        printf '%s %s\n' "$interface" "${NETWORK_ADDRESS%/*}" >"$STATE/address"
        return 0
    fi
    NETWORK_MODE=dhcp
    return 1
}

# write_resolv_conf DOMAIN SERVER...: for this boot, and kept for boots without a lease.
write_resolv_conf() {
    domain=$1
    shift
    text=
    [ -z "$domain" ] || text="search $domain
"
    for server; do
        text="${text}nameserver $server
"
    done
    # In place: the payload's containers have this very file mounted.
    printf '%s' "$text" >"$STATE/etc/resolv.conf"
    write_durable "$DATA/resolv.conf" "$text" || :
}

# DHCP goes on in the background for as long as the node runs. Until a lease arrives, names are
# resolved as on the last boot.
start_dhcp() {
    [ ! -s "$DATA/resolv.conf" ] || cat "$DATA/resolv.conf" >"$STATE/etc/resolv.conf"
    links_up
    [ -n "$INTERFACES" ] || info 'no network card'
    "$SHARE/dhcp" </dev/null >>"$STATE/dhcp.log" 2>&1 &
}

# Waits for the first address, for a few seconds and only where one may come. Without one the node gets an
# address on a dummy interface, because the API server does not accept a loopback address as its own.
wait_for_address() {
    read_uptime
    deadline=$((NOW + 400))
    while [ ! -s "$STATE/address" ]; do
        physical_interfaces
        if [ -z "$INTERFACES" ] || [ "$NOW" -ge "$deadline" ]; then
            break
        fi
        sleep 0.05
        read_uptime
    done
    [ -s "$STATE/address" ] || make_dummy_interface
}

# 192.0.2.1 is of a documentation range (RFC 5737): it stands in nobody's way.
make_dummy_interface() {
    warn 'no network address: the node uses 192.0.2.1 on a dummy interface'
    modprobe -q dummy numdummies=0 2>/dev/null || :
    if [ ! -e "${ROOT:-}/sys/class/net/kubesolo0" ]; then
        ip link add kubesolo0 type dummy || return 0
    fi
    ip address replace 192.0.2.1/32 dev kubesolo0 || :
    ip link set kubesolo0 up || :
    # Behind every other route: whoever looks for the host's own address finds this one.
    ip route replace default dev kubesolo0 metric 65535 || :
    printf 'kubesolo0 192.0.2.1\n' >"$STATE/address"
}

# Sets ADDRESSES to the addresses that the node is known by: what DHCP or the saved configuration gave.
node_addresses() {
    ADDRESSES=
    while read -r _ address; do
        ADDRESSES="$ADDRESSES${ADDRESSES:+ }$address"
    done <"$STATE/address"
}
