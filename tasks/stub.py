"""The ISO for tests of the boot logic: the product's own parts, with a payload that starts in no time."""

from __future__ import annotations

from collections.abc import Iterator

from tasks import initramfs, rootfs
from tasks.iso import build_stub_iso, media_files
from tasks.lib.config import load_config
from tasks.lib.engine import artifact
from tasks.lib.paths import BUILD
from tasks.lib.release.manifest import ARCHITECTURE
from tasks.parts import BOOT_SET

PROVIDER = "stub"
ISO = BUILD / f"kubesolo-os-stub-{ARCHITECTURE}.iso"


def task_stub() -> Iterator[dict[str, object]]:
    """The stub's layers and initramfs, unless the product itself has the stub, and its ISO."""
    config = load_config()
    if config.payload.provider != PROVIDER:
        yield from rootfs.payload_tasks(PROVIDER, "tests")
        yield initramfs.initramfs_task("initramfs-stub", PROVIDER, "tests")
    yield artifact(
        "iso-stub",
        doc="ISO with the stub payload, for tests of the boot logic",
        build=build_stub_iso,
        targets=[ISO],
        files=media_files(PROVIDER),
        values={"epoch": config.os.epoch, "version": config.os.version},
        tools=[BOOT_SET],
        group="tests",
    )
