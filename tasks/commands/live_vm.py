"""Interactive machines that boot the Live CD."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from tasks.lib.engine.capacity import processors
from tasks.lib.engine.command import Command, option
from tasks.lib.errors import BuildError
from tasks.lib.release.product import choose

DESCRIPTION = """\
Boots the Kubernetes Live CD in QEMU, with KVM where it works: 2 GiB, all processors, this terminal as the
serial console, SSH on 127.0.0.1:2222, and a disk, build/live-vm/var.qcow2, that keeps what is written until
--fresh.
The seed that is attached gives root the password root, for this machine alone; --key FILE or --seed ISO
(./doit live-seed) replace it. Ctrl-C presses the power button, a second one ends the machine at once.

--init has the first boot make a cluster (kubeadm init). --nodes 2 does so, too, and starts a second machine,
which joins it over a network between the two; its disk is var-2.qcow2, its SSH port the next free one.
"""


class Plugin(Command):
    """Boot the Live CD with the terminal as its console."""

    doc_purpose = "boot the Live CD in a virtual machine, or two that make a cluster"
    doc_description = DESCRIPTION
    cmd_options = (
        option("memory", 2048, "memory of each machine in MiB"),
        option("cpus", 0, "processors of each machine [default: all]"),
        option("nodes", 1, "1, or 2: the second joins the first one's cluster"),
        option("init", False, "the first boot makes a cluster"),
        option("fresh", False, "with new disks"),
        option("disk-size", 16384, "size in MiB of a new disk"),
        option("uefi", False, "UEFI firmware instead of BIOS"),
        option("key", "", "SSH public keys instead of the password"),
        option("seed", "", "another seed (ISO labelled cidata), for one machine"),
        option("iso", "", "another Live CD; nothing is built then"),
        option("no-kvm", False, "emulation in any case"),
        option("graphic", False, "offer the screen over VNC on 127.0.0.1"),
    )

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Build what is stale, make the seeds, start, relay the console until the end."""
        from dodo import LIVE
        from tasks import livecluster, liveiso, liveseed
        from tasks.lib.boot import livemenu
        from tasks.lib.vm import devvm, livevm
        from tasks.lib.vm.accel import EMULATION, acceleration
        from tasks.lib.vm.machine import free_port
        from tasks.lib.vm.media import boot_files

        options = dict(opt_values)
        if options["nodes"] not in (1, 2):
            raise BuildError("live-vm: --nodes is 1 or 2")
        if options["seed"] and (options["key"] or options["init"] or options["nodes"] > 1):
            raise BuildError("live-vm: --seed says all that there is to say", "leave the other option out")
        if pid := livevm.running():
            raise BuildError(f"a live-vm runs already, process {pid}", "end it with Ctrl-C in its terminal")
        iso = choose(liveiso.product(LIVE), options["iso"])
        if options["fresh"]:
            livevm.forget(livevm.FOLDER)
        if options["seed"]:
            seeds = [existing(Path(options["seed"]))]
        else:
            keys = liveseed.read_keys(Path(options["key"])) if options["key"] else ()
            told = livecluster.seeds(keys, options["nodes"], init=options["init"], folder=livevm.FOLDER)
            seeds = []
            for number, seed in enumerate(told, 1):
                path = livevm.FOLDER / f"seed-{number}.iso"
                liveseed.write_seed(seed.user_data(), seed.network, path, LIVE.epoch)
                seeds.append(path)
        files = boot_files(iso, livevm.FOLDER, livemenu.INITRAMFS)
        accelerator = EMULATION if options["no_kvm"] else acceleration(files.kernel)
        vnc = free_port() - devvm.VNC_BASE if options["graphic"] else None
        cpus = options["cpus"] or processors()
        setup = livevm.Setup(
            iso, options["memory"], cpus, options["disk_size"], uefi=options["uefi"], vnc=vnc
        )
        print(f"live-vm: {iso.name} with {accelerator.name} ({accelerator.reason}); Ctrl-C switches it off")
        if vnc is not None:
            print(f"  127.0.0.1:{devvm.VNC_BASE + vnc:<6} screen (VNC)")
        if not options["seed"] and not options["key"]:
            print("live-vm: root has the password root; this is for a development machine alone")
        livevm.run_machines(setup, seeds, accelerator)
        print(f"\nlive-vm: off; the disk is {livevm.disk(livevm.FOLDER, 1)}")
        return 0


def existing(path: Path) -> Path:
    """A file that is there; BuildError when it is not."""
    if not path.is_file():
        raise BuildError(f"{path}: no such file", "make it with ./doit live-seed")
    return path
