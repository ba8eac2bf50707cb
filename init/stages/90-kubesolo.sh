# The payload's command line, for the supervisor that BusyBox init starts next.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"
. "$SHARE/network.sh"
. "$SHARE/ipv4.sh"
. "$SHARE/payload-args.sh"
. "$SHARE/address.sh"

wait_for_address
untraced write_payload_args
compare_with_ranges
info "payload: kubesolo$COMMAND_LINE"
stage_complete 90-kubesolo.sh
