# The payload's command line in $STATE/payload.args, for its supervisor: made at boot, and again when the
# node's address changes. Sourced after network.sh and ipv4.sh, before address.sh.

. "$INIT/lib/flags.sh"
. "$SHARE/ranges.sh"

# Host name and addresses, so that the API's certificate is valid for whoever comes from outside.
node_names() {
    read -r names <"$STATE/etc/hostname"
    node_addresses
    for address in $ADDRESSES; do
        names="$names,$address"
    done
}

# Whoever writes last has seen the newest address, even when one comes while this is at work.
write_payload_args() {
    written=
    node_names
    while [ "$names" != "$written" ]; do
        written=$names
        write_command_line
        node_names
    done
}

write_command_line() {
    load_settings
    choose_ranges
    collect_flags "$KUBESOLO_FLAGS" "${ROOT:-}/etc/kubesolo/extra-flags" "$STATE/cloud-init/flags" \
        "--path /var/lib/kubesolo --local-storage$RANGE_FLAGS --apiserver-extra-sans $names"
    (umask 077 && printf '%s\n' "$FLAGS" >"$STATE/payload.args.$$")
    write_environment
    mv "$STATE/payload.args.$$" "$STATE/payload.args"
}

# Sets the Edge credentials from cloud-init, where neither a boot parameter nor an operator's flag has them, and the
# agent's mode, for which a flag on the command line counts first anyway.
read_credentials() {
    edge_async=
    while IFS='=' read -r key value; do
        case $key in
        KUBESOLO_PORTAINER_EDGE_ID) : "${KUBESOLO_EDGE_ID:=$value}" ;;
        KUBESOLO_PORTAINER_EDGE_KEY) : "${KUBESOLO_EDGE_KEY:=$value}" ;;
        KUBESOLO_PORTAINER_EDGE_ASYNC) edge_async=$value ;;
        esac
    done 2>/dev/null <"$STATE/cloud-init/payload.env" || :
}

# Secrets go by a file that only root reads.
write_environment() {
    read_credentials
    (
        umask 077
        exec >"$STATE/payload.env.$$"
        [ -z "$KUBESOLO_EDGE_ID" ] || printf 'KUBESOLO_PORTAINER_EDGE_ID=%s\n' "$KUBESOLO_EDGE_ID"
        [ -z "$KUBESOLO_EDGE_KEY" ] || printf 'KUBESOLO_PORTAINER_EDGE_KEY=%s\n' "$KUBESOLO_EDGE_KEY"
        [ -z "$edge_async" ] || printf 'KUBESOLO_PORTAINER_EDGE_ASYNC=%s\n' "$edge_async"
    )
    mv "$STATE/payload.env.$$" "$STATE/payload.env"
}
