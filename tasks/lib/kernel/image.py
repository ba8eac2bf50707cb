"""The configuration that a kernel image carries in itself, for kernels that come without a .config.

Sources: the kernel's Documentation/arch/x86/boot.rst (payload_offset, payload_length) and kernel/configs.c
(CONFIG_IKCONFIG: a gzip stream between IKCFG_ST and IKCFG_ED).
"""

from __future__ import annotations

import bz2
import gzip
import lzma
import zlib
from collections.abc import Callable
from pathlib import Path

from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.process import run

START, END = b"IKCFG_ST", b"IKCFG_ED"
HEADER, VERSION = b"HdrS", 0x0208  # the first boot protocol with a payload
SECTOR = 512
ZSTD = b"\x28\xb5\x2f\xfd"


def configuration(name: str, image: bytes, scratch: Path) -> bytes | None:
    """The .config in an x86 bzImage or in the module configs.ko; None when it has none.

    name: for BuildError when the image can not be unpacked. scratch: a folder for a temporary file.
    """
    found = embedded(image)
    if found is None and image[0x202:0x206] == HEADER:
        found = embedded(unpacked(name, payload(name, image), scratch))
    return found


def embedded(data: bytes) -> bytes | None:
    """What stands between the marks, unpacked."""
    start, end = data.find(START), data.find(END)
    if start < 0 or end < start:
        return None
    try:
        return gzip.decompress(data[start + len(START) : end])
    except (OSError, EOFError, zlib.error):
        return None


def payload(name: str, image: bytes) -> bytes:
    """The compressed kernel inside a bzImage."""
    if int.from_bytes(image[0x206:0x208], "little") < VERSION:
        raise BuildError(f"{name}: a kernel image of before Linux 2.6.26", "take a newer kernel")
    protected = ((image[0x1F1] or 4) + 1) * SECTOR
    start = protected + int.from_bytes(image[0x248:0x24C], "little")
    return image[start : start + int.from_bytes(image[0x24C:0x250], "little")]


def unpacked(name: str, data: bytes, scratch: Path) -> bytes:
    """The kernel itself. BuildError when its compression is not known here, or it is damaged."""
    ways: tuple[tuple[bytes, Callable[[bytes], bytes]], ...] = (
        (b"\x1f\x8b", lambda text: zlib.decompressobj(wbits=31).decompress(text)),
        (b"\xfd7zXZ", lambda text: lzma.LZMADecompressor().decompress(text)),
        (b"\x5d\x00\x00", lambda text: lzma.LZMADecompressor().decompress(text)),
        (b"BZh", lambda text: bz2.BZ2Decompressor().decompress(text)),
        (ZSTD, lambda text: zstd(text, scratch)),
    )
    for magic, way in ways:
        if data.startswith(magic):
            try:
                return way(data)
            except (lzma.LZMAError, zlib.error, OSError, EOFError) as error:
                raise BuildError(f"{name}: the kernel in it is damaged: {error}", "fetch it again") from error
    raise BuildError(
        f"{name}: the kernel in it is compressed in a way that is not known here ({data[:4].hex()})",
        "name its configuration under downloads in versions.toml: docs/providers.md",
    )


def zstd(data: bytes, scratch: Path) -> bytes:
    """Unpacked by the locked program. Behind the stream, the kernel's build appends the size in 4 bytes."""
    scratch.mkdir(parents=True, exist_ok=True)
    packed = scratch / "kernel.zst"
    try:
        packed.write_bytes(data[:-4])
        return run([*tools.command("zstd"), "-q", "-d", "-c", packed]).stdout
    finally:
        packed.unlink()
