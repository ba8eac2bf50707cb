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
# Format, module folder and file name that firmware looks for on removable media (UEFI 2.10, 3.5.1.1).
TARGETS = {"amd64": ("x86_64-efi", "BOOTX64.EFI"), "arm64": ("arm64-efi", "BOOTAA64.EFI")}


def write_image(out: Path, configuration: str, architecture: str, scratch: Path) -> None:
    """Write GRUB with an embedded configuration as an EFI program.

    architecture: Debian's name, amd64 or arm64. scratch: a folder for the configuration.
    Raises BuildError when grub-mkimage fails.
    """
    target, _ = TARGETS[architecture]
    modules = tools.tree("boot") / "usr/lib/grub" / target
    early = scratch / "early.cfg"
    early.write_text(configuration)
    shape: list[str | Path] = ["-O", target, "-d", modules, "-p", "/boot/grub", "-c", early, "-o", out]
    run([*tools.command("grub-mkimage", set="boot"), *shape, *MODULES])
