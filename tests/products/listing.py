"""What is in a product, as lines of text that can be reviewed: mode, owner and path, partitions, parts.

Numbers that change with every build of a kernel or an image are left out of paths.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from stat import S_IFBLK, S_IFCHR, S_IFDIR, S_IFLNK, S_IFREG, filemode

from libarchive.exception import ArchiveError
from libarchive.read import memory_reader

from tasks.diskimage import SLOTS
from tasks.lib.debian import tools
from tasks.lib.formats.entry import Entry
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run
from tasks.lib.release.product import Product

TYPES = {"file": S_IFREG, "dir": S_IFDIR, "symlink": S_IFLNK, "char": S_IFCHR, "block": S_IFBLK}
RELEASE = re.compile(r"lib/modules/\d[^/ ]*")
DIGEST = re.compile(r"\b[0-9a-f]{64}\b")


def neutral(lines: list[str]) -> str:
    """With kernel releases and digests replaced."""
    return "".join(f"{DIGEST.sub('SHA-256', RELEASE.sub('lib/modules/RELEASE', line))}\n" for line in lines)


def squashfs(path: Path) -> str:
    """Mode, owner and path of everything in a squashfs image (unsquashfs(1), -lln)."""
    text = run([*tools.command("unsquashfs"), "-lln", path]).stdout.decode()
    rows = re.findall(r"^(\S{10}) +(\d+/\d+) .*? \d\d:\d\d squashfs-root/(.+)$", text, re.MULTILINE)
    return neutral(
        [
            f"{mode} {owner} {name}"
            for mode, owner, name in sorted(rows, key=lambda row: DIGEST.sub("", row[2]))
        ]
    )


def archive(content: bytes) -> str:
    """The same for what libarchive reads: ISO 9660 with Rock Ridge, cpio."""
    rows = []
    with memory_reader(content) as entries:
        for entry in entries:
            target = f" -> {entry.linkpath}" if entry.linkpath else ""
            rows.append(
                (entry.pathname, f"{filemode(entry.mode)} {entry.uid}/{entry.gid} {entry.pathname}{target}")
            )
    return neutral([line for _, line in sorted(rows)])


def is_any(entry: Entry) -> bool:
    """Everything."""
    return True


def is_special(entry: Entry) -> bool:
    """What is not root's, and what has set-id or sticky bits, attributes, or is a device."""
    device = entry.kind in ("char", "block")
    return entry.owner != (0, 0) or bool(entry.mode & 0o7000 or entry.xattrs) or device


def tar(path: Path, wanted: Callable[[Entry], bool]) -> str:
    """Mode, owner and path of those entries of an uncompressed tar that are wanted."""
    tree = Tree()
    tree.add_tar(path)
    lines = []
    for name, entry in tree.items():
        if wanted(entry):
            owner = "/".join(map(str, entry.owner))
            mode = filemode(TYPES[entry.kind] | entry.mode)
            target = f" -> {entry.target}" if entry.target else ""
            lines.append(f"{mode} {owner} {name}{target}")
    return neutral(lines)


def initramfs(whole: bytes, drivers: int) -> str:
    """Both segments of an initramfs, of which the first has that many bytes; each is followed by up to three
    zeros, which libarchive takes for another frame."""
    second = whole[drivers:].lstrip(b"\0")
    ends = [len(second) - n for n in range(4) if not second[len(second) - n :].strip(b"\0")]
    for end in ends:
        with suppress(ArchiveError):
            return archive(whole[:drivers]) + archive(second[:end])
    raise AssertionError("the second segment can not be read")


def disk(path: Path) -> str:
    """The partition table, the files of the EFI system partition and of both slots."""
    table = run([*tools.command("sgdisk"), "-p", path]).stdout.decode()
    lines = []
    for number, start, end, code, name in re.findall(
        r"^ +(\d+) +(\d+) +(\d+) +\S+ \S+ +(\S+) +(\S+)$", table, re.MULTILINE
    ):
        lines.append(f"partition {number} {start}-{end} {code} {name}")
        place = int(start) * 512
        if code == "EF00":
            listed = run([*tools.command("mdir"), "-b", "-/", "-i", f"{path}@@{place}", "::"]).stdout.decode()
            lines += sorted(f"  {row.removeprefix('::/')}" for row in listed.splitlines())
        elif int(number) in SLOTS:
            where = f"{path}?offset={place}"
            listed = run([*tools.command("debugfs"), "-R", "ls -p /", where]).stdout.decode()
            rows = [row.split("/") for row in listed.splitlines() if row]
            lines += sorted(f"  {row[2]} {row[3]}/{row[4]} {row[5]}" for row in rows if row[5])
    return neutral(lines)


def parts(product: Product) -> str:
    """Kind, name and version of each row of the manifest."""
    rows = json.loads(product.manifest.read_text())["parts"]
    return "".join(sorted(f"{row['kind']} {row['name']} {row['version']}\n" for row in rows))
