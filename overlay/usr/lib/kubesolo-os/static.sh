# A static network configuration, as an operator writes it on whatever machine: found, read, applied.
# Sourced after network.sh, ipv4.sh and address.sh.

# Hundredths of a second that the boot waits for a card that the configuration names, or for a link.
CARD_TIMEOUT=${CARD_TIMEOUT:-1000}

# Looks for a configuration: saved by the node, then from cloud-init. Lines KEY=VALUE with NETWORK_MODE (static
# or dhcp), NETWORK_INTERFACE, NETWORK_ADDRESS (with /prefix or /mask), NETWORK_GATEWAY and NETWORK_DNS
# (blank-separated). Read, not sourced: a damaged file must not stop the boot. Status 0 for a static one.
find_static_config() {
    NETWORK_MODE=dhcp
    for NETWORK_FILE in "$DATA/network/interfaces.sh" "$STATE/cloud-init/network.sh"; do
        [ -s "$NETWORK_FILE" ] || continue
        read_network_file
        [ "$NETWORK_MODE" = static ]
        return
    done
    return 1
}

# Line ends and byte order marks of Windows, blanks, quotes and a last line without an end are no fault.
read_network_file() {
    NETWORK_MODE='' NETWORK_INTERFACE='' NETWORK_ADDRESS='' NETWORK_GATEWAY='' NETWORK_DNS=''
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

# Applies what find_static_config found. On failure, which has been said, the mode is dhcp again.
apply_static_config() {
    if static_prefix && find_static_card && try static ip address replace "$PREFIX" dev "$CARD"; then
        add_static_gateway
        find_static_dns
        # shellcheck disable=SC2086 # a list of addresses
        write_resolv_conf '' $SERVERS
        note_address "$CARD" "$PREFIX"
        return 0
    fi
    NETWORK_MODE=dhcp
    return 1
}

# Sets PREFIX to ADDRESS/LENGTH. Without a length it is /24, as on nearly every network of this kind.
static_prefix() {
    text=$NETWORK_ADDRESS
    case $text in
    */*) ;;
    *)
        text=$text/24
        warn "$NETWORK_FILE: NETWORK_ADDRESS=$NETWORK_ADDRESS has no prefix length: taken as /24"
        ;;
    esac
    if valid_ipv4 "${text%%/*}" && prefix_length "${text#*/}"; then
        PREFIX=${text%%/*}/$LENGTH
    else
        warn "$NETWORK_FILE: NETWORK_ADDRESS='$NETWORK_ADDRESS' is not an IPv4 address with a prefix length"
        return 1
    fi
}

# Sets CARD to the card that is named, or to the first with a link. Both may take their time.
find_static_card() {
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

static_card() {
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

add_static_gateway() {
    [ -n "$NETWORK_GATEWAY" ] || return 0
    if valid_ipv4 "$NETWORK_GATEWAY"; then
        add_route default "$NETWORK_GATEWAY" "$CARD" || :
    else
        complain gateway "$NETWORK_FILE: NETWORK_GATEWAY='$NETWORK_GATEWAY' is not an IPv4 address: no default route"
    fi
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
