"""An interactive machine that boots the ISO or the disk image."""

from __future__ import annotations

import os
from typing import Any

from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError
from tasks.lib.release.product import choose, named
from tasks.lib.vm import devvm
from tasks.lib.vm.session import running

DESCRIPTION = """\
Boots the ISO in QEMU, as a CD, with a data disk that is kept in build/dev-vm/data.img, and with the
node's ports on 127.0.0.1, each of which is said once something listens behind it. This terminal is the
serial console; Ctrl-C switches the machine off, a second one ends it at once. KVM (macOS: HVF) is used
when a probe guest really boots with it, else emulation.

With --shell, --debug, --edge-id, --edge-key or --append, the ISO's kernel and initramfs are started without
its boot menu, so that boot parameters can be added; the ISO is there as the medium all the same.
The Edge key does not appear in the host's process list when it is given as KUBESOLO_EDGE_KEY in the
environment; inside the machine it is in /proc/cmdline. It is meant for development.

With --disk it boots the disk image instead, and its disk, build/dev-vm/disk.qcow2, is kept until --fresh.

./doit kubeconfig, in another terminal, waits for the node and says how to use kubectl with it.
"""
OPTIONS = (
    option("shell", False, "stop in the emergency shell after stage 10"),
    option("debug", False, "trace every boot stage"),
    option("edge-id", "", "Portainer Edge id"),
    option("edge-key", "", "Portainer Edge key; better: KUBESOLO_EDGE_KEY in the environment"),
    option("append", "", "more boot parameters"),
    option("memory", 1024, "memory in MiB"),
    option("cpus", 2, "number of CPUs"),
    option("uefi", False, "UEFI firmware instead of BIOS"),
    option("disk", False, "boot the disk image, not the ISO; what is written is kept until --fresh"),
    option("fresh", False, "with --disk: from the image as it is built now"),
    option("data-disk", "", "another data disk (raw image, made when missing), or none"),
    option("disk-size", 4096, "size in MiB of a new disk"),
    option("iso", "", "another ISO; nothing is built then"),
    option("no-kvm", False, "emulation in any case"),
    option("graphic", False, "offer the screen over VNC on 127.0.0.1"),
)


class Plugin(Command):
    """Boot a product in QEMU with the terminal as its console."""

    doc_purpose = "boot the ISO in a virtual machine, with this terminal as its console"
    doc_description = DESCRIPTION
    cmd_options = OPTIONS

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Build what is stale, start, relay the console until the end."""
        if found := running():
            raise BuildError(
                f"a dev-vm runs already, process {found.pid}", "end it with Ctrl-C in its terminal"
            )
        from dodo import PRODUCTS, TARGET
        from tasks.bootset import boot_set

        options = dict(opt_values)
        parameters = devvm.boot_parameters(options, os.environ.get("KUBESOLO_EDGE_KEY", ""))
        if not options["disk"]:
            devvm.boot_iso(choose(PRODUCTS[0], options["iso"]), parameters, options)
        elif parameters or options["iso"]:
            hint = "choose there (Tab), or leave --disk out"
            raise BuildError("dev-vm: --disk boots by the disk's own menu", hint)
        else:
            image = choose(named(PRODUCTS, "disk-image"), "")
            devvm.boot_disk(image, boot_set(TARGET).kernel, options)
        return 0
