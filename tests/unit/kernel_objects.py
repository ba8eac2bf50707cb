"""Small kernel modules made on the spot: ELF objects with what depmod and the builder read of a real one."""

from __future__ import annotations

import lzma
import struct
from collections.abc import Iterable, Mapping

from tasks.lib.formats.tree import Tree

RELEASE = "6.12.1-test"
FOLDER = f"usr/lib/modules/{RELEASE}"
CONFIG = "CONFIG_EXT4_FS=m\nCONFIG_INET=y\n# CONFIG_XFS_FS is not set\n"
SECTION_HEADER = struct.Struct("<IIQQQQIIQQ")
SYMBOL = struct.Struct("<IBBHQQ")
PROGBITS, SYMTAB, STRTAB = 1, 2, 3


def ko(
    depends: str = "",
    exports: Iterable[str] = (),
    uses: Iterable[str] = (),
    info: Iterable[tuple[str, str]] = (),
) -> bytes:
    """An ELF64 relocatable object: .modinfo, exported symbols' names, undefined symbols."""
    pairs = [("license", "GPL"), ("depends", depends), *info]
    modinfo = b"".join(f"{key}={value}".encode() + b"\0" for key, value in pairs)
    exported = b"".join(name.encode() + b"\0" for name in exports)
    names = b"\0"
    symbols = SYMBOL.pack(0, 0, 0, 0, 0, 0)
    for name in uses:
        symbols += SYMBOL.pack(len(names), 0x10, 0, 0, 0, 0)  # global, undefined
        names += name.encode() + b"\0"
    return elf(
        [
            (".modinfo", PROGBITS, modinfo, 0, 0),
            ("__ksymtab_strings", PROGBITS, exported, 0, 0),
            (".symtab", SYMTAB, symbols, 4, SYMBOL.size),
            (".strtab", STRTAB, names, 0, 0),
        ]
    )


def elf(sections: list[tuple[str, int, bytes, int, int]]) -> bytes:
    """An object of sections: name, type, content, link, entry size (System V ABI, chapter 4)."""
    names = b"\0"
    offsets = []
    for name in [section[0] for section in sections] + [".shstrtab"]:
        offsets.append(len(names))
        names += name.encode() + b"\0"
    body, headers = b"", SECTION_HEADER.pack(0, 0, 0, 0, 0, 0, 0, 0, 0, 0)
    for offset, (_, kind, content, link, size) in zip(
        offsets, [*sections, ("", STRTAB, names, 0, 0)], strict=True
    ):
        headers += SECTION_HEADER.pack(
            offset, kind, 0, 0, 64 + len(body), len(content), link, 1 if kind == SYMTAB else 0, 8, size
        )
        body += content + b"\0" * (-len(content) % 8)
    count = len(sections) + 2
    identity = b"\x7fELF\x02\x01\x01" + b"\0" * 9
    header = struct.pack("<HHIQQQIHHHHHH", 1, 62, 1, 0, 0, 64 + len(body), 0, 64, 0, 0, 64, count, count - 1)
    return identity + header + body + headers


MODULES: dict[str, bytes] = {
    "lib/crc16": ko(exports=["crc16"]),
    "crypto/crc32c_generic": ko(info=[("alias", "crc32c"), ("alias", "crypto-crc32c")]),
    "arch/x86/crypto/crc32c-intel": ko(
        info=[("alias", "crypto-crc32c"), ("alias", "cpu:type:x86,ven*fam*mod*:feature:*0094*")]
    ),
    "fs/jbd2/jbd2": ko(exports=["jbd2_start"], info=[("softdep", "pre: crypto-crc32c")]),
    "fs/ext4/ext4": ko("jbd2,crc16", uses=["jbd2_start", "crc16"], info=[("alias", "fs-ext4")]),
    "drivers/net/ethernet/maker/alpha": ko("mdio-lib", uses=["mdio"], info=[("firmware", "alpha.bin")]),
    "drivers/net/ethernet/maker/beta/beta": ko(info=[("alias", "pci:v00008086d*"), ("softdep", "pre: gone")]),
    "drivers/net/mdio-lib": ko(exports=["mdio"]),
}
BUILTIN = ("kernel/fs/fuse/fuse.ko", "kernel/crypto/aes-generic.ko")


def kernel_tree(
    modules: Mapping[str, bytes] = MODULES, builtin: Iterable[str] = BUILTIN, *, packed: bool = True
) -> Tree:
    """A kernel as a provider delivers it: usr/lib/modules/<release>/ with .ko.xz files, or unpacked ones."""
    tree = Tree()
    for path, data in modules.items():
        if packed:
            tree.add_file(f"{FOLDER}/kernel/{path}.ko.xz", lzma.compress(data, preset=0))
        else:
            tree.add_file(f"{FOLDER}/kernel/{path}.ko", data)
    tree.add_file(f"{FOLDER}/modules.order", "".join(f"kernel/{path}.ko\n" for path in modules))
    tree.add_file(f"{FOLDER}/modules.builtin", "".join(f"{path}\n" for path in builtin))
    tree.add_file(f"{FOLDER}/modules.builtin.modinfo", b"fuse.alias=fs-fuse\0fuse.license=GPL\0")
    tree.add_file(f"{FOLDER}/config", CONFIG)
    return tree
