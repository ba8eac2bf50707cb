"""Where the layers of the Kubernetes Live CD lie: what its tasks know of each other."""

from __future__ import annotations

from pathlib import Path

from tasks.lib.target import Target

NAME = "Kubernetes Live CD"
ID = "k8s-livecd"
# Lowest first: Debian, Kubernetes, and what is edited by hand.
LAYERS = ("base", "kubernetes", "config")


def folder(target: Target) -> Path:
    """Where its intermediates lie."""
    return target.folder / "live"


def vmlinuz(target: Target) -> Path:
    """The bootable kernel."""
    return folder(target) / "vmlinuz"


def modules(target: Target) -> Path:
    """An uncompressed tar of usr/lib/modules/<release>/: all modules as they come, and `config`."""
    return folder(target) / "modules.tar"


def layer(target: Target, name: str) -> Path:
    """One of LAYERS, as an uncompressed tar."""
    return folder(target) / f"{name}.tar"


def parts(target: Target) -> tuple[Path, ...]:
    """The lists of its parts."""
    return tuple(folder(target) / f"{name}.parts.json" for name in ("kernel", "base", "kubernetes"))
