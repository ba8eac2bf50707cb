"""An interactive machine that boots the ISO."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from tasks.lib.boot.menu import DATA, SERIAL_LAST
from tasks.lib.engine.command import Command
from tasks.lib.engine.main import build
from tasks.lib.errors import BuildError
from tasks.lib.release.product import choose, named
from tasks.lib.vm.accel import EMULATION, Acceleration, acceleration
from tasks.lib.vm.disks import drop_overlay, write_data_disk, write_overlay
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine, free_port
from tasks.lib.vm.media import boot_files
from tasks.lib.vm.session import FOLDER, Session, choose_ports, running

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
VNC_BASE = 5900
OPTIONS = (
    {"name": "shell", "long": "shell", "type": bool, "default": False,
     "help": "stop in the emergency shell after stage 10"},
    {"name": "debug", "long": "debug", "type": bool, "default": False, "help": "trace every boot stage"},
    {"name": "edge_id", "long": "edge-id", "type": str, "default": "", "help": "Portainer Edge id"},
    {"name": "edge_key", "long": "edge-key", "type": str, "default": "",
     "help": "Portainer Edge key; better: KUBESOLO_EDGE_KEY in the environment"},
    {"name": "append", "long": "append", "type": str, "default": "", "help": "more boot parameters"},
    {"name": "memory", "long": "memory", "type": int, "default": 1024, "help": "memory in MiB"},
    {"name": "cpus", "long": "cpus", "type": int, "default": 2, "help": "number of CPUs"},
    {"name": "uefi", "long": "uefi", "type": bool, "default": False, "help": "UEFI firmware instead of BIOS"},
    {"name": "disk", "long": "disk", "type": bool, "default": False,
     "help": "boot the disk image, not the ISO; what is written is kept until --fresh"},
    {"name": "fresh", "long": "fresh", "type": bool, "default": False,
     "help": "with --disk: from the image as it is built now"},
    {"name": "data_disk", "long": "data-disk", "type": str, "default": "",
     "help": "another data disk (raw image, made when missing), or none"},
    {"name": "disk_size", "long": "disk-size", "type": int, "default": 4096,
     "help": "size in MiB of a new disk"},
    {"name": "iso", "long": "iso", "type": str, "default": "", "help": "another ISO; nothing is built then"},
    {"name": "no_kvm", "long": "no-kvm", "type": bool, "default": False, "help": "emulation in any case"},
    {"name": "graphic", "long": "graphic", "type": bool, "default": False,
     "help": "offer the screen over VNC on 127.0.0.1"},
)  # fmt: skip


class Plugin(Command):
    """Boot the ISO in QEMU with the terminal as its console."""

    name = "dev-vm"
    doc_purpose = "boot the ISO in a virtual machine, with this terminal as its console"
    doc_usage = ""
    doc_description = DESCRIPTION  # type: ignore[assignment]
    cmd_options = OPTIONS

    def execute(self, opt_values: Any, pos_args: list[str]) -> int:
        """Build what is stale, start, relay the console until the end."""
        if pos_args:
            raise BuildError(f"dev-vm: takes no argument: {pos_args[0]}", "see ./doit help dev-vm")
        if found := running():
            raise BuildError(
                f"a dev-vm runs already, process {found.pid}", "end it with Ctrl-C in its terminal"
            )
        from dodo import PRODUCTS

        options = dict(opt_values)
        if options["disk"]:
            return boot_disk(options)
        iso = choose(PRODUCTS[0], options["iso"])
        FOLDER.mkdir(parents=True, exist_ok=True)
        parameters = boot_parameters(options, os.environ.get("KUBESOLO_EDGE_KEY", ""))
        files = boot_files(iso, FOLDER)
        accelerator = EMULATION if options["no_kvm"] else acceleration(files.kernel)
        hardware = Hardware(
            memory=options["memory"],
            cpus=options["cpus"],
            firmware="uefi" if options["uefi"] else "bios",
            cdrom=iso,
            kernel=files.kernel if parameters else None,
            initrd=files.initrd if parameters else None,
            append=parameters,
            data=choose_disk(options["data_disk"], options["disk_size"]),
            data_cache="writeback",
            network="user",
            vnc=free_port() - VNC_BASE if options["graphic"] else None,
            forwards=announce(iso, accelerator),
        )
        if hardware.vnc is not None:
            print(f"  127.0.0.1:{VNC_BASE + hardware.vnc:<6} screen (VNC)")
        run(hardware, accelerator)
        return 0


def run(hardware: Hardware, accelerator: Acceleration) -> None:
    """Start the machine and stay until it has ended."""
    from tasks.lib.vm.console import show

    with Machine(hardware, accelerator, FOLDER, None, show) as machine:
        Session(machine).run()
    print(f"\ndev-vm: off; the console's log is {FOLDER / 'serial.log'}")


def boot_disk(options: dict[str, Any]) -> int:
    """The machine with the disk image; its boot menu is where other ways to start are chosen."""
    from dodo import PRODUCTS, TARGET
    from tasks.bootset import boot_set

    if boot_parameters(options, os.environ.get("KUBESOLO_EDGE_KEY", "")) or options["iso"]:
        raise BuildError(
            "dev-vm: --disk boots by the disk's own menu", "choose there (Tab), or leave --disk out"
        )
    FOLDER.mkdir(parents=True, exist_ok=True)
    product = named(PRODUCTS, "disk-image")
    build(product.task)
    if options["fresh"]:
        drop_overlay(FOLDER)
    disk = write_overlay(product.path, FOLDER, options["disk_size"])
    if not product.path.samefile(disk.with_name("disk.base.img")):
        print("dev-vm: the disk is from an earlier build; --fresh starts from this one")
    accelerator = EMULATION if options["no_kvm"] else acceleration(boot_set(TARGET).kernel)
    hardware = Hardware(
        memory=options["memory"],
        cpus=options["cpus"],
        firmware="uefi" if options["uefi"] else "bios",
        data=disk,
        data_format="qcow2",
        data_cache="writeback",
        network="user",
        vnc=free_port() - VNC_BASE if options["graphic"] else None,
        forwards=announce(product.path, accelerator),
    )
    if hardware.vnc is not None:
        print(f"  127.0.0.1:{VNC_BASE + hardware.vnc:<6} screen (VNC)")
    run(hardware, accelerator)
    return 0


def choose_disk(given: str, size: int) -> Path | None:
    """The data disk, made with `size` MiB when it is missing; None when there is to be none."""
    if given == "none":
        return None
    path = Path(given) if given else FOLDER / "data.img"
    if not path.exists():
        write_data_disk(path, size)
    return path


def boot_parameters(options: dict[str, Any], key: str) -> str:
    """The kernel's command line when the boot menu's default entry does not do, else "".

    options: by name, as in OPTIONS. key: the Edge key from the environment.
    """
    extra = ["kubesolo.shell"] if options["shell"] else []
    extra += ["kubesolo.debug"] if options["debug"] else []
    for name, value in (("edge-id", options["edge_id"]), ("edge-key", options["edge_key"] or key)):
        extra += [f"kubesolo.{name}={value}"] if value else []
    extra += [options["append"]] if options["append"] else []
    return " ".join([DATA, SERIAL_LAST, *extra]) if extra else ""


def announce(iso: Path, accelerator: Acceleration) -> dict[int, int]:
    """Say what is about to start; returns guest port to host port."""
    print(f"dev-vm: {iso.name} with {accelerator.name} ({accelerator.reason}); Ctrl-C switches it off")
    return choose_ports()
