# The payload's command line, for the supervisor that BusyBox init starts next.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"
. "$SHARE/network.sh"
. "$INIT/lib/flags.sh"

# Host name and addresses, so that the API's certificate is valid for whoever comes from outside.
node_names() {
    read -r names <"$STATE/etc/hostname"
    node_addresses
    for address in $ADDRESSES; do
        names="$names,$address"
    done
}

# Secrets go by a file that only root reads.
write_environment() (
    umask 077
    : >"$STATE/payload.env"
    [ -z "$KUBESOLO_EDGE_ID" ] || printf 'KUBESOLO_PORTAINER_EDGE_ID=%s\n' "$KUBESOLO_EDGE_ID" >>"$STATE/payload.env"
    [ -z "$KUBESOLO_EDGE_KEY" ] || printf 'KUBESOLO_PORTAINER_EDGE_KEY=%s\n' "$KUBESOLO_EDGE_KEY" >>"$STATE/payload.env"
)

write_command_line() {
    collect_flags "$KUBESOLO_FLAGS" "${ROOT:-}/etc/kubesolo/extra-flags" "$STATE/cloud-init/flags" \
        "--path /var/lib/kubesolo --local-storage --apiserver-extra-sans $names"
    (umask 077 && printf '%s\n' "$FLAGS" >"$STATE/payload.args")
    write_environment
}

wait_for_address
node_names
untraced write_command_line
info "payload: kubesolo$COMMAND_LINE"
stage_complete 90-kubesolo.sh
