# What an /init begins with, before there is anything else.

mount_kernel_filesystems() {
    mkdir -p "${ROOT:-}/proc" "${ROOT:-}/sys" "${ROOT:-}/dev" "${ROOT:-}/run" "${ROOT:-}/tmp" "${ROOT:-}/etc"
    # BusyBox starts its own programs through /proc/self/exe: until that is there, by its name.
    [ -r "${ROOT:-}/proc/uptime" ] || "${ROOT:-}/bin/busybox" mount -t proc -o nosuid,nodev,noexec proc "${ROOT:-}/proc"
    [ -d "${ROOT:-}/sys/class" ] || mount -t sysfs -o nosuid,nodev,noexec sysfs "${ROOT:-}/sys"
    # The kernel may have mounted it; then this fails and nothing is lost.
    mount -t devtmpfs -o nosuid,mode=0755 devtmpfs "${ROOT:-}/dev" 2>/dev/null || :
    mount -t tmpfs -o nosuid,nodev,mode=0755,size=25% tmpfs "${ROOT:-}/run"
    mkdir -p "${ROOT:-}/run/kubesolo" "$MEDIUM" "$LAYERS/images" "$NEW_ROOT"
}

# Disks and CDs by name as well: they show up only after their bus driver, and may be needed in stage 20.
load_storage_drivers() {
    coldplug loop squashfs overlay isofs sr_mod sd_mod
}
