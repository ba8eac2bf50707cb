# The network as it is configured, by an operator on whatever machine or by the configuration file: found, read,
# applied. Sourced after network.sh, ipv4.sh and address.sh.

# Hundredths of a second that the boot waits for a card that the configuration names, or for a link.
CARD_TIMEOUT=${CARD_TIMEOUT:-1000}

# Sets NETWORK_FILES to the configuration: saved on the node, else from cloud-init, a file a card. Lines KEY=VALUE:
#   NETWORK_MODE                      static or dhcp
#   NETWORK_INTERFACE, NETWORK_MAC    the card; none: the first with a link
#   NETWORK_VLAN                      1 to 4094, on that card
#   NETWORK_ADDRESS                   with /prefix or /mask; several, IPv6 too, with blanks between them
#   NETWORK_GATEWAY, NETWORK_DNS, NETWORK_SEARCH    likewise
#   NETWORK_ROUTES                    DESTINATION,GATEWAY with blanks between them
#   NETWORK_MTU                       in bytes
#   NETWORK_IPV6                      auto (router advertisements), static or off
# Read, not sourced: a damaged file must not stop the boot.
find_network_files() {
    NETWORK_FILES=$DATA/network/interfaces.sh
    [ ! -s "$NETWORK_FILES" ] || return 0
    NETWORK_FILES=
    for file in "$STATE"/cloud-init/network.sh "$STATE"/cloud-init/network-*.sh; do
        [ ! -s "$file" ] || NETWORK_FILES="$NETWORK_FILES $file"
    done
}

# The first card is the one that the node is known by. DHCP asks on one card at a time, of those that it may.
configure_network() {
    find_network_files
    FIRST=yes BY_DHCP='' DHCP_CARDS=''
    for NETWORK_FILE in $NETWORK_FILES; do
        read_network_file
        if [ "$NETWORK_MODE" = static ] && ! apply_static; then
            warn "the network configuration in $NETWORK_FILE could not be applied: using DHCP"
            NETWORK_MODE=dhcp NETWORK_INTERFACE='' NETWORK_MAC='' NETWORK_VLAN=''
        fi
        [ "$NETWORK_MODE" = static ] || prepare_dhcp
        FIRST=
    done
    [ -n "$NETWORK_FILES" ] || BY_DHCP=first
    [ -z "$BY_DHCP" ] || start_dhcp
}

# BY_DHCP=second: the node is known by another card.
prepare_dhcp() {
    [ -n "$BY_DHCP" ] || BY_DHCP=${FIRST:+first}
    [ -n "$BY_DHCP" ] || { BY_DHCP=second && : >"$STATE/dhcp.second"; }
    fix_name_servers
    [ -n "$NETWORK_INTERFACE$NETWORK_MAC" ] || return 0
    find_card && prepare_card || return 0
    DHCP_CARDS="$DHCP_CARDS${DHCP_CARDS:+ }$CARD"
    printf '%s\n' "$DHCP_CARDS" >"$STATE/dhcp-cards"
}

# Line ends and byte order marks of Windows, blanks, quotes and a last line without an end are no fault.
read_network_file() {
    NETWORK_MODE='' NETWORK_INTERFACE='' NETWORK_MAC='' NETWORK_VLAN='' NETWORK_ADDRESS='' NETWORK_GATEWAY=''
    NETWORK_DNS='' NETWORK_SEARCH='' NETWORK_ROUTES='' NETWORK_MTU='' NETWORK_IPV6=''
    carriage_return=$(printf '\r')
    mark=$(printf '\357\273\277')
    while read -r line || [ -n "$line" ]; do
        line=${line#"$mark"}
        line=${line%"$carriage_return"}
        read_setting "${line#export }"
    done <"$NETWORK_FILE"
    case $NETWORK_MODE in
    [Ss][Tt][Aa][Tt][Ii][Cc]) NETWORK_MODE=static ;;
    [Dd][Hh][Cc][Pp]) NETWORK_MODE=dhcp ;;
    *)
        warn "$NETWORK_FILE: NETWORK_MODE='$NETWORK_MODE' is neither static nor dhcp"
        NETWORK_MODE=dhcp
        ;;
    esac
}

read_setting() {
    unquote "${1#*=}"
    case $1 in
    '' | '#'*) ;;
    NETWORK_MODE=*) NETWORK_MODE=$VALUE ;;
    NETWORK_INTERFACE=*) NETWORK_INTERFACE=$VALUE ;;
    NETWORK_ADDRESS=*) NETWORK_ADDRESS=$VALUE ;;
    NETWORK_GATEWAY=*) NETWORK_GATEWAY=$VALUE ;;
    NETWORK_DNS=*) NETWORK_DNS=$VALUE ;;
    NETWORK_MAC=*) NETWORK_MAC=$VALUE ;;
    NETWORK_VLAN=*) NETWORK_VLAN=$VALUE ;;
    NETWORK_SEARCH=*) NETWORK_SEARCH=$VALUE ;;
    NETWORK_ROUTES=*) NETWORK_ROUTES=$VALUE ;;
    NETWORK_MTU=*) NETWORK_MTU=$VALUE ;;
    NETWORK_IPV6=*) NETWORK_IPV6=$VALUE ;;
    *) warn "$NETWORK_FILE: '$1' is not understood" ;;
    esac
}

# Sets VALUE to a value without blanks and quotes around it.
unquote() {
    VALUE=${1#"${1%%[! ]*}"}
    VALUE=${VALUE%"${VALUE##*[! ]}"}
    VALUE=${VALUE#[\"\']}
    VALUE=${VALUE%[\"\']}
}

# Applies a static configuration; fails, having said why, when the node would have no address by it.
apply_static() {
    static_prefixes && find_card && prepare_card || return 1
    applied=
    for prefix in $PREFIXES; do
        try "static-$CARD" ip address replace "$prefix" dev "$CARD" || continue
        case $prefix in
        *:*) printf '%s\n' "${prefix%/*}" >>"$STATE/addresses.more" ;;
        *) use_prefix ;;
        esac
    done
    [ -n "$applied" ] || return 1
    add_static_routes
    find_static_dns
    if [ -n "$FIRST" ] || [ -n "$SERVERS" ]; then
        # shellcheck disable=SC2086 # a list of addresses
        write_resolv_conf "$NETWORK_SEARCH" $SERVERS
    fi
    [ -z "$FIRST" ] || note_address "$CARD" "$applied"
}

# The first one of the first card is the node's own, and all are names of the API.
use_prefix() {
    [ -n "$FIRST" ] && [ -z "$applied" ] || printf '%s\n' "${prefix%/*}" >>"$STATE/addresses.more"
    applied=${applied:-$prefix}
}

# Sets PREFIXES to ADDRESS/LENGTH of each address. Without a length it is /24, as on nearly every network of this kind.
static_prefixes() {
    PREFIXES=
    for text in ${NETWORK_ADDRESS:-none}; do
        case $text in
        *:*)
            PREFIXES="$PREFIXES $text"
            continue
            ;;
        */* | none) ;;
        *)
            text=$text/24
            warn "$NETWORK_FILE: NETWORK_ADDRESS=$NETWORK_ADDRESS has no prefix length: taken as /24"
            ;;
        esac
        if ! valid_ipv4 "${text%%/*}" || ! prefix_length "${text#*/}"; then
            warn "$NETWORK_FILE: NETWORK_ADDRESS='$NETWORK_ADDRESS' is not an IPv4 address with a prefix length"
            return 1
        fi
        PREFIXES="$PREFIXES ${text%%/*}/$LENGTH"
    done
}

# Sets CARD to the card that is named, or to the first with a link. Both may take their time.
find_card() {
    read_uptime
    deadline=$((NOW + CARD_TIMEOUT))
    until links_up && named_card; do
        read_uptime
        if [ "$NOW" -ge "$deadline" ]; then
            CARD=${INTERFACES%% *}
            [ -z "$NETWORK_INTERFACE$NETWORK_MAC" ] && [ -n "$CARD" ] && return 0
            warn "$NETWORK_FILE: there is no network card '$NETWORK_INTERFACE$NETWORK_MAC' (there is: ${INTERFACES:-none})"
            return 1
        fi
        sleep 0.2
    done
}

# What a card needs before it has an address. A VLAN is a card of its own on it.
prepare_card() {
    if [ -n "$NETWORK_VLAN" ]; then
        parent=$CARD
        CARD=$CARD.$NETWORK_VLAN
        modprobe -q 8021q 2>/dev/null || :
        [ -e "${ROOT:-}/sys/class/net/$CARD" ] ||
            try "vlan-$CARD" ip link add link "$parent" name "$CARD" type vlan id "$NETWORK_VLAN" || return 1
    fi
    prepare_ipv6
    if [ -n "$NETWORK_MTU" ]; then
        try "mtu-$CARD" ip link set "$CARD" mtu "$NETWORK_MTU" || :
        [ -z "$FIRST" ] || printf '%s\n' "$NETWORK_MTU" >"$STATE/mtu"
    fi
    [ -z "$NETWORK_VLAN" ] || try "vlan-$CARD" ip link set "$CARD" up
}

prepare_ipv6() {
    setting=${ROOT:-}/proc/sys/net/ipv6/conf/$CARD
    [ -d "$setting" ] || return 0
    case $NETWORK_IPV6 in
    off) { echo 1 >"$setting/disable_ipv6"; } 2>/dev/null || complain "ipv6-$CARD" "network: IPv6 on $CARD can not be switched off" ;;
    static) { echo 0 >"$setting/accept_ra"; } 2>/dev/null || : ;;
    *) hear_routers "$CARD" ;;
    esac
}

static_card() {
    read_uptime
    deadline=$((NOW + CARD_TIMEOUT))
    until links_up && static_card; do
        read_uptime
        if [ "$NOW" -ge "$deadline" ]; then
            CARD=${INTERFACES%% *}
            [ -z "$NETWORK_INTERFACE" ] && [ -n "$CARD" ] && return 0
            warn "$NETWORK_FILE: there is no network card '$NETWORK_INTERFACE' (there is: ${INTERFACES:-none})"
            return 1
        fi
        sleep 0.2
    done
}

named_card() {
    if [ -n "$NETWORK_MAC" ]; then
        card_with_mac
        return
    fi
    case $NETWORK_INTERFACE in
    '') ;;
    */* | .*) return 1 ;;
    *)
        CARD=$NETWORK_INTERFACE
        [ -e "${ROOT:-}/sys/class/net/$CARD" ]
        return
        ;;
    esac
    # Of a single card it does not matter whether a cable is in it.
    CARD=$INTERFACES
    case $CARD in
    '' | *' '*) interface_with_link && CARD=$LINKED ;;
    esac
}

card_with_mac() {
    wanted=$(printf '%s' "$NETWORK_MAC" | tr A-F a-f)
    for CARD in $INTERFACES; do
        mac=
        read -r mac 2>/dev/null <"${ROOT:-}/sys/class/net/$CARD/address" || :
        [ "$mac" != "$wanted" ] || return 0
    done
    return 1
}

add_static_routes() {
    for route in $NETWORK_ROUTES; do
        route_by "${route%%,*}" "${route#*,}"
    done
    for gateway in $NETWORK_GATEWAY; do
        route_by default "$gateway"
    done
}

# route_by DESTINATION GATEWAY
route_by() {
    case $2 in
    *:*) try "route6-$1" ip -6 route replace "$1" via "$2" dev "$CARD" || : ;;
    *)
        if valid_ipv4 "$2"; then
            add_route "$1" "$2" "$CARD" || :
        else
            complain gateway "$NETWORK_FILE: NETWORK_GATEWAY='$2' is not an IPv4 address: no default route"
        fi
        ;;
    esac
}

# Name servers of the configuration go before those of a lease.
fix_name_servers() {
    [ -n "$NETWORK_DNS$NETWORK_SEARCH" ] || return 0
    find_static_dns
    printf '%s\n%s\n' "$NETWORK_SEARCH" "$SERVERS" >"$STATE/name-servers"
}

# Sets SERVERS to those name servers that can be ones.
find_static_dns() {
    SERVERS=
    for server in $NETWORK_DNS; do
        case $server in
        *:*) ;;
        *)
            valid_ipv4 "$server" || {
                warn "$NETWORK_FILE: name server '$server' is not an address: ignored"
                continue
            }
            ;;
        esac
        SERVERS="$SERVERS $server"
    done
}
