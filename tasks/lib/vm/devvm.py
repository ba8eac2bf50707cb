"""What dev-vm starts: the ISO with a data disk, or a disk that begins as the disk image."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

from tasks.lib.boot.menu import DATA, SERIAL_LAST
from tasks.lib.vm.accel import EMULATION, acceleration
from tasks.lib.vm.console import show
from tasks.lib.vm.disks import drop_overlay, write_data_disk, write_overlay
from tasks.lib.vm.hardware import Hardware
from tasks.lib.vm.machine import Machine, free_port
from tasks.lib.vm.media import boot_files
from tasks.lib.vm.session import FOLDER, Session, choose_ports

VNC_BASE = 5900
# By name, as tasks/commands/dev_vm.py lists them.
Options = dict[str, Any]


def boot_iso(iso: Path, parameters: str, options: Options) -> None:
    """The machine with the ISO as CD; with boot parameters, it starts without the ISO's boot menu."""
    files = boot_files(iso, FOLDER)
    hardware = Hardware(cdrom=iso, data=choose_disk(options["data_disk"], options["disk_size"]))
    if parameters:
        hardware = replace(hardware, kernel=files.kernel, initrd=files.initrd, append=parameters)
    run(iso, hardware, files.kernel, options)


def boot_disk(image: Path, kernel: Path, options: Options) -> None:
    """The machine with the disk image; its boot menu is where other ways to start are chosen."""
    FOLDER.mkdir(parents=True, exist_ok=True)
    if options["fresh"]:
        drop_overlay(FOLDER)
    disk = write_overlay(image, FOLDER, options["disk_size"])
    if not image.samefile(disk.with_name("disk.base.img")):
        print("dev-vm: the disk is from an earlier build; --fresh starts from this one")
    run(image, Hardware(data=disk, data_format="qcow2"), kernel, options)


def run(medium: Path, hardware: Hardware, kernel: Path, options: Options) -> None:
    """Start the machine and stay until it has ended. kernel: what a probe guest boots."""
    accelerator = EMULATION if options["no_kvm"] else acceleration(kernel)
    print(f"dev-vm: {medium.name} with {accelerator.name} ({accelerator.reason}); Ctrl-C switches it off")
    hardware = replace(
        hardware,
        memory=options["memory"],
        cpus=options["cpus"],
        firmware="uefi" if options["uefi"] else "bios",
        data_cache="writeback",
        network="user",
        vnc=free_port() - VNC_BASE if options["graphic"] else None,
        forwards=choose_ports(),
    )
    if hardware.vnc is not None:
        print(f"  127.0.0.1:{VNC_BASE + hardware.vnc:<6} screen (VNC)")
    with Machine(hardware, accelerator, FOLDER, None, show) as machine:
        Session(machine).run()
    print(f"\ndev-vm: off; the console's log is {FOLDER / 'serial.log'}")


def choose_disk(given: str, size: int) -> Path | None:
    """The data disk, made with `size` MiB when it is missing; None when there is to be none."""
    if given == "none":
        return None
    path = Path(given) if given else FOLDER / "data.img"
    if not path.exists():
        write_data_disk(path, size)
    return path


def boot_parameters(options: Options, key: str) -> str:
    """The kernel's command line when the boot menu's default entry does not do, else "".

    key: the Edge key from the environment.
    """
    extra = ["kubesolo.shell"] if options["shell"] else []
    extra += ["kubesolo.debug"] if options["debug"] else []
    for name, value in (("edge-id", options["edge_id"]), ("edge-key", options["edge_key"] or key)):
        extra += [f"kubesolo.{name}={value}"] if value else []
    extra += [options["append"]] if options["append"] else []
    return " ".join([DATA, SERIAL_LAST, *extra]) if extra else ""
