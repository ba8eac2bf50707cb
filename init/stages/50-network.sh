# The network: saved configuration > cloud-init > DHCP on the first physical interface with a link.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"
. "$SHARE/network.sh"
. "$SHARE/ipv4.sh"
. "$SHARE/payload-args.sh"
. "$SHARE/address.sh"
. "$SHARE/static.sh"

configure_network
stage_complete 50-network.sh
