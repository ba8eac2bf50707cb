# Host names. Sourced by stage 60 and by the DHCP client.

# clean_name TEXT: sets NAME to the text as a host name: without blanks and line ends, in small letters.
# Fails when RFC 1123 does not allow what is left, or when it is longer than the kernel's names.
clean_name() {
    NAME=$1
    case $NAME in
    *[!a-z0-9-]*) NAME=$(printf '%s' "$NAME" | tr -d ' \t\r\n' | tr '[:upper:]' '[:lower:]') ;;
    esac
    case $NAME in
    '' | -* | *- | *[!a-z0-9-]*) return 1 ;;
    esac
    [ ${#NAME} -le 63 ]
}
