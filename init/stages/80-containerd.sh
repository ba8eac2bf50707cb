# Folders of containerd and CNI; a custom containerd configuration is handed on to the payload.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

mkdir -p "${ROOT:-}/run/containerd"
for folder in /etc/cni/net.d /opt/cni/bin; do
    [ -w "${ROOT:-}$folder" ] || fail "$folder cannot be written"
done
[ ! -s "${ROOT:-}/etc/kubesolo/containerd-config.toml" ] || info 'custom containerd configuration in /etc/kubesolo'
stage_complete 80-containerd.sh
