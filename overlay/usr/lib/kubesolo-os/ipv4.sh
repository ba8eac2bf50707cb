# IPv4 addresses as text and as numbers.

# valid_ipv4 TEXT: four numbers without leading zeros, which some programs take for octal ones.
valid_ipv4() {
    case $1 in
    '' | *[!0-9.]* | .* | *. | *..*) return 1 ;;
    esac
    octets=0
    rest=$1.
    while [ -n "$rest" ]; do
        octet=${rest%%.*}
        rest=${rest#*.}
        octets=$((octets + 1))
        case $octet in
        0?* | ????*) return 1 ;;
        esac
        [ "$octet" -le 255 ] || return 1
    done
    [ "$octets" = 4 ]
}

# Sets NUMBER to a valid address as a number.
ipv4_number() {
    NUMBER=0
    rest=$1.
    while [ -n "$rest" ]; do
        NUMBER=$((NUMBER * 256 + ${rest%%.*}))
        rest=${rest#*.}
    done
}

# Sets LENGTH to a prefix length, given as one or as a mask (255.255.255.0); fails when it is neither.
prefix_length() {
    case $1 in
    *.*)
        valid_ipv4 "$1" || return 1
        ipv4_number "$1"
        LENGTH=0
        while [ $((NUMBER & 0x80000000)) != 0 ]; do
            LENGTH=$((LENGTH + 1))
            NUMBER=$((NUMBER << 1 & 0xffffffff))
        done
        [ "$NUMBER" = 0 ]
        ;;
    '' | *[!0-9]* | 0?* | ???*) return 1 ;;
    *)
        LENGTH=$1
        [ "$LENGTH" -le 32 ]
        ;;
    esac
}

# prefixes_overlap ADDRESS/LENGTH ADDRESS/LENGTH: whether they have addresses in common.
prefixes_overlap() {
    shorter=${1#*/}
    [ "$shorter" -le "${2#*/}" ] || shorter=${2#*/}
    mask=$((0xffffffff << (32 - shorter) & 0xffffffff))
    ipv4_number "${1%/*}"
    first=$NUMBER
    ipv4_number "${2%/*}"
    [ $((first & mask)) = $((NUMBER & mask)) ]
}
