"""Keys of cloud-init (its module reference) that have no meaning here, and what to do instead."""

from __future__ import annotations

READ_ONLY = "the system is read-only and has no package manager: run software as a pod"
NO_SCRIPTS = (
    "nothing of the configuration is executed: run a pod (a DaemonSet or a Job), or use 'kubectl debug'"
)
NO_USERS = (
    "nobody logs in with a password; SSH keys of root go into 'ssh: {enabled: true, authorized_keys: [...]}'"
)
NO_FILES = "the system is read-only: use ConfigMaps and Secrets, or put files on the data partition"
NO_DISKS = "the disk has a fixed layout, and the data partition grows by itself"
HOST_KEYS = "the host keys are made at the first start and kept on the data partition"
ONE_NAME = (
    "use 'hostname'; a domain goes into 'network: {search: [...]}', more names into 'apiserver-extra-sans'"
)
OWN_HOST = "the node keeps /etc/hosts and /etc/resolv.conf itself"

_REASONS = (
                (READ_ONLY, """packages package_update package_upgrade package_reboot_if_required apt
                apt_update apt_upgrade apk_repos yum_repos yum_repo_dir snap zypper ubuntu_pro
                ubuntu_advantage drivers keyboard"""),
                 (NO_SCRIPTS, """runcmd bootcmd cloud_init_modules cloud_config_modules cloud_final_modules
                 ansible chef puppet salt_minion mcollective landscape rh_subscription autoinstall"""),
    (NO_USERS, """users user groups chpasswd password ssh_pwauth disable_root disable_root_opts ssh_import_id
        no_ssh_fingerprints"""),
    (NO_FILES, "write_files ca_certs ca-certs rsyslog output"),
    (NO_DISKS, "disk_setup fs_setup mounts mount_default_fields swap growpart resize_rootfs device_aliases"),
    (OWN_HOST, "manage_etc_hosts manage_resolv_conf resolv_conf"),
    (HOST_KEYS, "ssh_keys ssh_deletekeys ssh_genkeytypes ssh_publish_hostkeys"),
    (ONE_NAME, "fqdn prefer_fqdn_over_hostname preserve_hostname create_hostname_file"),
    ("the clock is UTC and texts are English; pods have their own", "timezone locale locale_configfile"),
    ("watch the node's API", "phone_home final_message power_state"),
    ("run it as a pod", "lxd wireguard"),
)  # fmt: skip
FOREIGN = {
    name: f"a key of cloud-init that is not supported here; instead: {reason}"
    for reason, names in _REASONS
    for name in names.split()
}
