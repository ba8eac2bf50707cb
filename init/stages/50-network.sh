# The network: saved configuration > cloud-init > DHCP on the first physical interface with a link.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"
. "$SHARE/network.sh"
. "$SHARE/ipv4.sh"
. "$SHARE/payload-args.sh"
. "$SHARE/address.sh"
. "$SHARE/static.sh"

if find_static_config; then
    apply_static_config || warn "the network configuration in $NETWORK_FILE could not be applied: using DHCP"
fi
[ "$NETWORK_MODE" = static ] || start_dhcp
stage_complete 50-network.sh
