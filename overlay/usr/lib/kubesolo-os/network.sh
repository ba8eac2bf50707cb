# Network of the node: which interface, links, routes, name servers, DHCP. Sourced by stages and scripts,
# which set STATE (/run/kubesolo), DATA (/mnt/data) and SHARE (/usr/lib/kubesolo-os).

# complain NAME TEXT: says what is wrong, on the console too: once, until it changes or settle NAME ends it.
complain() {
    problem=$STATE/problems/$(echo "$1" | tr / _)
    said=
    read -r said 2>/dev/null <"$problem" || :
    [ "$said" != "$2" ] || return 0
    warn "$2"
    mkdir -p "$STATE/problems" && printf '%s\n' "$2" >"$problem"
}

settle() {
    # No fork where nothing was wrong, which is nearly always.
    [ -e "$STATE/problems" ] || return 0
    rm -f "$STATE/problems/$(echo "$1" | tr / _)"
}

# try NAME COMMAND...: runs a command; when it fails, complains with the command's own words.
try() {
    topic=$1
    shift
    if reason=$("$@" 2>&1); then
        settle "$topic"
    else
        complain "$topic" "network: '$*' failed: ${reason:-no reason given}"
        return 1
    fi
}

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

# Brings every card up that is not: also one that came late, or that came back.
links_up() {
    physical_interfaces
    for card_down in lo $INTERFACES; do
        flags=0
        read -r flags 2>/dev/null <"${ROOT:-}/sys/class/net/$card_down/flags" || :
        [ $((flags & 1)) = 0 ] || continue
        [ "$card_down" = lo ] || hear_routers "$card_down"
        try "link-$card_down" ip link set "$card_down" up || :
    done
}

# A kernel that forwards packets ignores IPv6 router advertisements, unless it is told 2.
hear_routers() {
    setting=${ROOT:-}/proc/sys/net/ipv6/conf/$1/accept_ra
    [ ! -e "$setting" ] || echo 2 >"$setting" || complain "ra-$1" "network: IPv6 routers on $1 are not heard"
}

# add_route DESTINATION GATEWAY INTERFACE: gateway 0.0.0.0 is the wire itself. A router outside the prefix
# (clouds, /32 addresses) is reached once the kernel knows that it is on this very wire: by the route that
# FAR_ROUTER names then.
add_route() {
    FAR_ROUTER=
    if [ "$2" = 0.0.0.0 ]; then
        try "route-$1" ip route replace "$1" dev "$3"
    elif ip route replace "$1" via "$2" dev "$3" 2>/dev/null; then
        settle "route-$1"
    else
        FAR_ROUTER=$2/32
        try "route-$1" ip route replace "$FAR_ROUTER" dev "$3" &&
            try "route-$1" ip route replace "$1" via "$2" dev "$3"
    fi
}

# write_resolv_conf DOMAINS SERVER...: for this boot, and kept for boots without a lease. What is configured
# ($STATE/name-servers: a line of domains, a line of servers) goes first.
write_resolv_conf() {
    domain=$1
    shift
    fixed_domain='' fixed=''
    { read -r fixed_domain && read -r fixed; } 2>/dev/null <"$STATE/name-servers" || :
    domain=${fixed_domain:-$domain}
    # shellcheck disable=SC2086 # a list of addresses
    [ -z "$fixed" ] || set -- $fixed
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
    "$SHARE/keep" "$SHARE/dhcp" </dev/null >/dev/null 2>>"$STATE/dhcp.log" &
}
