# First-boot configuration. Nothing reads the file yet; what will, leaves its results in
# /run/kubesolo/cloud-init/{network.sh,hostname,flags}, where stages 50, 60 and 90 look.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

mkdir -p "$STATE/cloud-init"
[ ! -e "${ROOT:-}$KUBESOLO_CLOUDINIT" ] || warn "$KUBESOLO_CLOUDINIT is not read by this version"
stage_complete 45-cloud-init.sh
