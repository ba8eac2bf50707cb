"""GRUB as one EFI program that finds its medium by label (GRUB manual, "Invoking grub-mkimage")."""

from __future__ import annotations

from pathlib import Path

from tasks.lib.arch import Arch
from tasks.lib.debian import tools
from tasks.lib.debian.lockfile import keyed
from tasks.lib.process import run

# What the menu needs and no more: each module is read by firmware before the menu shows.
MODULES = (
    "iso9660", "fat", "part_gpt", "part_msdos", "search", "search_label",
    "linux", "normal", "configfile", "echo", "test", "reboot", "all_video", "serial", "terminal",
)  # fmt: skip


def write_image(out: Path, configuration: str, arch: Arch, scratch: Path) -> None:
    """Write GRUB with an embedded configuration as an EFI program.

    arch: what it is for; grub-mkimage itself is the host's. scratch: a folder for the configuration.
    Raises BuildError when grub-mkimage fails.
    """
    modules = tools.tree(keyed("boot", arch.name)) / "usr/lib/grub" / arch.grub_efi
    early = scratch / "early.cfg"
    early.write_text(configuration)
    shape: list[str | Path] = ["-O", arch.grub_efi, "-d", modules, "-p", "/boot/grub", "-c", early, "-o", out]
    run([*tools.command("grub-mkimage", set="boot"), *shape, *MODULES])
