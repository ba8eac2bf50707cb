# Kernel file systems and writable memory. /init has mounted some of them already; what is there stays.

. "${INIT:-${ROOT:-}/run/kubesolo-init}/lib/stage.sh"

# Sets MOUNTED to the blank-separated mount points.
list_mounts() {
    MOUNTED=' '
    while read -r _ point _; do
        MOUNTED="$MOUNTED$point "
    done <"${ROOT:-}/proc/mounts"
}

# mount_missing POINT TYPE OPTIONS
mount_missing() {
    case $MOUNTED in
    *" $1 "*) return 0 ;;
    esac
    [ -d "${ROOT:-}$1" ] || mkdir -p "${ROOT:-}$1"
    mount -t "$2" -o "$3" "$2" "${ROOT:-}$1"
}

MOUNTED=' '
[ ! -r "${ROOT:-}/proc/mounts" ] || list_mounts
mount_missing /proc proc nosuid,nodev,noexec
mount_missing /sys sysfs nosuid,nodev,noexec
mount_missing /dev devtmpfs nosuid,mode=0755
mount_missing /run tmpfs nosuid,nodev,mode=0755,size=25%
mount_missing /tmp tmpfs nosuid,nodev,mode=1777,size=25%
mount_missing /dev/pts devpts nosuid,noexec,mode=0620,gid=5,ptmxmode=0666
mount_missing /dev/shm tmpfs nosuid,nodev,mode=1777,size=50%
mount_missing /sys/fs/cgroup cgroup2 nosuid,nodev,noexec,nsdelegate
# What devtmpfs lacks (systemd-tmpfiles and udev make them elsewhere): crun reads /dev/stdin to resize a pod.
[ -L "${ROOT:-}/dev/fd" ] || cp -P "$SHARE"/dev/* "${ROOT:-}/dev/"
# Pods' mounts must propagate between the host and the payload's containers.
mount --make-rshared "${ROOT:-}/"

# Files that links in the read-only /etc point to.
mkdir -p "$STATE/etc" "$STATE/cni"
: >>"$STATE/etc/resolv.conf"
[ -e "$STATE/etc/hosts" ] || printf '127.0.0.1 localhost\n::1 localhost ip6-localhost\n' >"$STATE/etc/hosts"

# No process may sit in the root group when its controllers are handed down (cgroup v2).
CGROUP=${ROOT:-}/sys/fs/cgroup
[ -d "$CGROUP/init" ] || mkdir "$CGROUP/init"
echo 1 >"$CGROUP/init/cgroup.procs"
for controller in cpuset cpu io memory pids; do
    echo "+$controller" >"$CGROUP/cgroup.subtree_control" || warn "cgroup controller $controller is not there"
done
stage_complete 00-early-mount.sh
