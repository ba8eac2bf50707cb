# The configuration file (cloud-init): found, read once for each content, its results left where stages 50, 60, 70
# and 90 look. A node without one does nothing here.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"
. "$SHARE/network.sh"
. "$SHARE/config.sh"

mkdir -p "$RESULT"
find_configuration
untraced apply_configuration
stage_complete 45-cloud-init.sh
