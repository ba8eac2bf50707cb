"""The boot set: kernel, initramfs and root images of a target. Every medium is an arrangement of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tasks import initramfs, kernel
from tasks.lib.target import Target


@dataclass(frozen=True)
class BootSet:
    """What starts a node.

    images: the layers of the root by the names that the initramfs knows, lowest first, and what is mounted
    when it is wanted; it knows their digests too, so that it stands for the whole set.
    """

    kernel: Path
    initramfs: Path
    images: Mapping[str, Path] = field(default_factory=dict)

    def files(self) -> list[Path]:
        """All of it, for a task that depends on it."""
        return [self.kernel, self.initramfs, *self.images.values()]

    def own(self) -> dict[str, Path]:
        """What was built here, by name."""
        return {"kubesolo-os.gz": self.initramfs, **self.images}


def boot_set(target: Target) -> BootSet:
    """The boot set of a target."""
    return BootSet(kernel.vmlinuz(target), initramfs.initramfs(target), initramfs.images(target))
