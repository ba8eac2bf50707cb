# The address that the node is known by, in $STATE/address ("INTERFACE ADDRESS"): written here alone, and here
# everything follows that knows it. Sourced after network.sh, ipv4.sh and payload-args.sh.

DUMMY_ADDRESS=192.0.2.1

# note_address INTERFACE ADDRESS/LENGTH: the node has this address now. MOVED says whether the payload had to be
# started again for that.
note_address() {
    MOVED=
    known=
    read -r _ known 2>/dev/null <"$STATE/address" || :
    printf '%s %s\n' "$1" "$2" >"$STATE/prefix"
    printf '%s %s\n' "$1" "${2%/*}" >"$STATE/address.$$"
    mv "$STATE/address.$$" "$STATE/address"
    [ ! -e "$STATE/payload.args" ] || compare_with_ranges
    [ "$known" != "${2%/*}" ] || return 0
    info "address: $2 on $1"
    # Before it has its command line, the payload finds the new address by itself.
    [ -z "$known" ] || [ ! -e "$STATE/payload.args" ] || move_payload "${2%/*}"
    [ "$known" != "$DUMMY_ADDRESS" ] || try dummy ip link del kubesolo0 || :
}

# A node that started before its router did, or that was moved, follows its new address.
move_payload() {
    MOVED=1
    warn "the address of the node changes from $known to $1: the payload is started again"
    untraced write_payload_args
    restart_payload
}

restart_payload() {
    supervisor=
    read -r supervisor 2>/dev/null <"$STATE/run-payload.pid" || return 0
    kill -HUP "$supervisor" 2>/dev/null || complain payload "the payload's supervisor $supervisor has gone"
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
    modprobe -q dummy numdummies=0 2>/dev/null || :
    if [ ! -e "${ROOT:-}/sys/class/net/kubesolo0" ]; then
        try dummy ip link add kubesolo0 type dummy || :
    fi
    try dummy ip address replace "$DUMMY_ADDRESS/32" dev kubesolo0 || :
    try dummy ip link set kubesolo0 up || :
    # Behind every other route: whoever looks for the host's own address finds this one.
    try dummy ip route replace default dev kubesolo0 metric 65535 || :
    printf 'kubesolo0 %s\n' "$DUMMY_ADDRESS" >"$STATE/address.dummy"
    # A lease may have come meanwhile: a link is made only where there is no file.
    if ln "$STATE/address.dummy" "$STATE/address" 2>/dev/null; then
        warn "no network address: the node uses $DUMMY_ADDRESS on a dummy interface"
    else
        try dummy ip link del kubesolo0 || :
    fi
    rm -f "$STATE/address.dummy"
}

# Sets ADDRESSES to the addresses that the node is known by: what DHCP or the configuration gave, and further ones
# that are configured ($STATE/addresses.more).
node_addresses() {
    ADDRESSES=
    while read -r _ address; do
        ADDRESSES="$ADDRESSES${ADDRESSES:+ }$address"
    done <"$STATE/address"
    while read -r address; do
        ADDRESSES="$ADDRESSES${ADDRESSES:+ }$address"
    done 2>/dev/null <"$STATE/addresses.more" || :
}
