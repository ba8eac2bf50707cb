"""GRUB as one EFI program that finds its medium by label (GRUB manual, "Invoking grub-mkimage")."""

from __future__ import annotations

from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.process import run

# What the menu needs and no more: each module is read by firmware before the menu shows.
MODULES = (
    "iso9660", "fat", "part_gpt", "part_msdos", "search", "search_label",
    "linux", "normal", "configfile", "echo", "test", "reboot", "all_video", "serial", "terminal",
)  # fmt: skip


def write_image(out: Path, configuration: str, platform: str, scratch: Path) -> None:
    """Write GRUB with an embedded configuration as an EFI program.

    platform: GRUB's name for firmware and processor (Arch.grub_efi). scratch: a folder for the
    configuration.
    Raises BuildError when grub-mkimage fails.
    """
    modules = tools.tree("boot") / "usr/lib/grub" / platform
    early = scratch / "early.cfg"
    early.write_text(configuration)
    shape: list[str | Path] = ["-O", platform, "-d", modules, "-p", "/boot/grub", "-c", early, "-o", out]
    run([*tools.command("grub-mkimage", set="boot"), *shape, *MODULES])
