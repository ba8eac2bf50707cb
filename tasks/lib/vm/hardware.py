"""What a virtual machine consists of, and the QEMU options that say so."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from tasks.lib.errors import BuildError

HOST_PORT = "os.kubesolo.host"
LOOPBACK = "127.0.0.1"
# The longest value that QEMU's configuration file parser takes (util/qemu-config.c), less its end mark.
LONGEST_SETTING = 1000
DISK_DEVICES = {
    "virtio": ["-device", "virtio-blk-pci,drive=data,bootindex=5"],
    "sata": ["-device", "ide-hd,drive=data,bus=ide.1,bootindex=5"],
    "nvme": ["-device", "nvme,drive=data,serial=kubesolo,bootindex=5"],
    "usb": [
        "-device",
        "qemu-xhci,id=disks",
        "-device",
        "usb-storage,id=disk,drive=data,bus=disks.0,bootindex=5",
    ],
}


@dataclass(frozen=True)
class Hardware:
    """One machine as its builder describes it; sizes in MiB.

    cdrom, usb: an image given as a CD or written raw to a USB stick, both read-only, unless stick_writable.
    seed: a second CD, which is not started from.
    card: an image as an SD card; its size has to be a power of two.
    kernel, initrd, append: started directly instead of a medium's boot loader.
    data: the disk: of data alone, or one that it starts from. data_bus: how it is attached.
    data_cache: "unsafe" ignores the guest's flushes (quick, right for a disk that is thrown away),
    "writeback" honours them.
    data_log: gets every request to the data disk in the form of dm-log-writes; an empty or missing file.
    data_requests: how many requests a second the data disk serves; 0: as many as it can.
    data_socket: the data disk is served there over NBD, instead of `data`.
    network: "isolated" reaches nothing but the forwarded ports, "user" reaches what the host reaches,
    "silent" is a card on which nobody answers, "none" is no card.
    wire: one more card, on a wire between two machines: sockets that stand for this end and the other one.
    wire_mac: that card's address, where it has to be another than QEMU's first.
    forwards: guest TCP port to port on the host's loopback address.
    firmware_files: what the hypervisor tells the guest (fw_cfg), by names such as opt/os.kubesolo/...
    rtc: where the hardware clock starts: "utc" is the host's time, else a date like 2034-01-31T12:00:00.
    vnc: the number of the VNC display that shows the screen, also on the loopback address.
    """

    memory: int = 1024
    cpus: int = 2
    firmware: Literal["bios", "uefi"] = "bios"
    cdrom: Path | None = None
    usb: Path | None = None
    stick_writable: bool = False
    seed: Path | None = None
    card: Path | None = None
    kernel: Path | None = None
    initrd: Path | None = None
    append: str = ""
    data: Path | None = None
    data_format: Literal["raw", "qcow2"] = "raw"
    data_bus: Literal["virtio", "sata", "nvme", "usb"] = "virtio"
    data_cache: Literal["unsafe", "writeback"] = "unsafe"
    data_log: Path | None = None
    data_requests: int = 0
    data_socket: Path | None = None
    network: Literal["isolated", "user", "silent", "none"] = "isolated"
    wire: tuple[Path, Path] | None = None
    wire_mac: str = ""
    forwards: Mapping[int, int] = field(default_factory=dict)
    vnc: int | None = None
    firmware_files: Mapping[str, str] = field(default_factory=dict)
    rtc: str = "utc"

    def options(self) -> list[str]:
        """QEMU's options for all of it but firmware, accelerator, command line and the host's channels."""
        words = [
            "-nodefaults",
            "-no-user-config",
            "-machine",
            "q35",
            "-m",
            str(self.memory),
            "-rtc",
            f"base={self.rtc}",
        ]
        words += ["-smp", str(self.cpus), "-device", "virtio-rng-pci", "-vga", "std"]
        words += ["-display", "none" if self.vnc is None else f"vnc={LOOPBACK}:{self.vnc}"]
        network = self.network_options() + self.wire_options()
        return words + self.boot_options() + self.disk_options() + network + self.firmware_options()

    def firmware_options(self) -> list[str]:
        """What the guest finds below /sys/firmware/qemu_fw_cfg; commas as QEMU's parser wants them."""
        rows = [f"name={name},string={text.replace(',', ',,')}" for name, text in self.firmware_files.items()]
        return [word for row in rows for word in ("-fw_cfg", row)]

    def boot_options(self) -> list[str]:
        """What it starts from."""
        words = []
        if self.cdrom:
            words += [
                *drive("cd", self.cdrom, "media=cdrom,readonly=on"),
                "ide-cd,drive=cd,bus=ide.0,bootindex=1",
            ]
        if self.seed:
            words += [*drive("seed", self.seed, "media=cdrom,readonly=on"), "ide-cd,drive=seed,bus=ide.2"]
        if self.usb:
            mode = "cache=unsafe" if self.stick_writable else "readonly=on"
            words += ["-device", "qemu-xhci", *drive("usb", self.usb, mode)]
            words += ["usb-storage,drive=usb,removable=on,bootindex=2"]
        if self.card:
            words += ["-device", "sdhci-pci", *drive("card", self.card, "cache=unsafe"), "sd-card,drive=card"]
        if self.kernel:
            words += ["-kernel", str(self.kernel)]
        if self.initrd:
            words += ["-initrd", str(self.initrd)]
        return words

    def disk_options(self) -> list[str]:
        """The disk."""
        device = DISK_DEVICES[self.data_bus]
        if self.data_socket:
            server = {"type": "unix", "path": str(self.data_socket)}
            return [*blockdev(driver="nbd", **{"node-name": "data"}, server=server), *device]
        if not self.data:
            return []
        if self.data_log:
            return [*logged_disk(self.data, self.data_log), *device]
        mode = f"cache={self.data_cache},discard=unmap"
        if self.data_requests:
            mode += f",throttling.iops-total={self.data_requests}"
        return [*drive("data", self.data, mode, self.data_format)[:-1], *device]

    def network_options(self) -> list[str]:
        """The network card. romfile= leaves out the card's own boot program, which costs a second."""
        card = ["-device", "virtio-net-pci,netdev=net,romfile="]
        if self.network == "none":
            return []
        if self.network == "silent":
            return ["-netdev", "hubport,id=net,hubid=0", *card]
        rules = [f"hostfwd=tcp:{LOOPBACK}:{host}-:{guest}" for guest, host in self.forwards.items()]
        outside = ["restrict=on"] if self.network == "isolated" else []
        return ["-netdev", ",".join(["user", "id=net", "ipv6=off", *outside, *rules]), *card]

    def wire_options(self) -> list[str]:
        """The card with the wire: its cable is pulled with set_link and the name wirecard."""
        if not self.wire:
            return []
        mac = f",mac={self.wire_mac}" if self.wire_mac else ""
        here, there = (str(path).replace(",", ",,") for path in self.wire)
        ends = f"local.type=unix,local.path={here},remote.type=unix,remote.path={there}"
        return [
            "-netdev",
            f"dgram,id=wire,{ends}",
            "-device",
            f"virtio-net-pci,netdev=wire,id=wirecard,romfile={mac}",
        ]


def drive(name: str, path: Path, options: str, form: str = "raw") -> list[str]:
    """An image as a drive, up to the word -device. A comma in a path is doubled for QEMU's parser."""
    file = str(path).replace(",", ",,")
    return ["-drive", f"id={name},if=none,format={form},file={file},{options}", "-device"]


def blockdev(**options: object) -> list[str]:
    """A node of QEMU's block layer, as JSON, in which paths need no escapes."""
    return ["-blockdev", json.dumps(options)]


def logged_disk(disk: Path, log: Path) -> list[str]:
    """The node "data": a raw image of which every request is written down. Flushes are only logged."""
    log.touch()
    names = {"file": "data-file", "log": "data-log"}
    words = []
    for path, name in ((disk, names["file"]), (log, names["log"])):
        words += blockdev(
            driver="file", filename=str(path), **{"node-name": name, "cache": {"no-flush": True}}
        )
    return words + blockdev(driver="blklogwrites", **{"node-name": "data", "log-sector-size": 512, **names})


def uefi_options(code: Path, variables: Path) -> list[str]:
    """UEFI in flash; `variables` is this machine's own copy."""
    files = ((code, "readonly=on"), (variables, "readonly=off"))
    return [
        word
        for unit, (path, mode) in enumerate(files)
        for word in ("-drive", f"if=pflash,unit={unit},format=raw,{mode},file={str(path).replace(',', ',,')}")
    ]


def settings(append: str) -> str:
    """A QEMU configuration file that holds the kernel's command line, so that no process list shows it.

    Raises BuildError when QEMU's parser could not read it back.
    """
    if '"' in append or "\n" in append or len(append) > LONGEST_SETTING:
        raise BuildError(
            "the kernel command line holds a quotation mark or line end, or is too long",
            f"use at most {LONGEST_SETTING} characters and none of these",
        )
    return f'[machine]\n  append = "{append}"\n'
