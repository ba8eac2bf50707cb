# ruff: noqa: A002 ("set" is the word of versions.toml)
"""Tools trees: programs of locked packages, unpacked and run through their own dynamic loader.

The same bytes run on every host; neither root nor the host's package manager is needed.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import stat
import tempfile
from functools import lru_cache
from pathlib import Path

from tasks.lib.arch import HOST
from tasks.lib.debian import fetch
from tasks.lib.debian.lockfile import digest as lock_digest
from tasks.lib.errors import BuildError
from tasks.lib.net import cache
from tasks.lib.paths import cache_dir

# Raised when trees are laid out differently from the same packages.
LAYOUT = 2
PROGRAM_FOLDERS = ("usr/bin", "usr/sbin", "usr/lib/qemu")
LOADER = f"{HOST.libraries}/{HOST.loader}"
LIBRARIES = (HOST.libraries,)
STAMP = ".complete"
# Python of the suite that all sets come from, on the node too.
PYTHON = "3.13"
MERGED = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64"}
# Trees whose files this process has looked at.
checked: set[Path] = set()


def digest(set: str = "tools") -> str:
    """What the tree's content depends on, as SHA-256 (hex); read from the lock, nothing is downloaded."""
    return f"{LAYOUT}-{lock_digest(fetch.packages(set))}"


def tree(set: str = "tools", progress: fetch.Progress | None = None, note: fetch.Note = fetch.say) -> Path:
    """The folder of a set's unpacked packages, made when it is missing or damaged.

    Raises BuildError when a package can not be had or unpacked.
    """
    place = location(set)
    if intact(place):
        return place
    fetched = fetch.fetch_set(set, progress, note)
    place = location(set)  # another one, if a package has drifted
    with cache.held(f"tools-{place.name}", note):
        if not intact(place):
            unpack([deb for _, deb in fetched], place)
    return place


def location(set: str) -> Path:
    """Where the tree of a set lies or would lie."""
    return cache_dir() / "tools" / digest(set)


def intact(place: Path) -> bool:
    """Whether a tree is there, and its files are those that were unpacked; looked at once a process."""
    if place in checked:
        return True
    try:
        expected = (place / STAMP).read_text()
    except OSError:
        return False
    if expected != listing_digest(place):
        return False
    checked.add(place)
    return True


def listing_digest(folder: Path) -> str:
    """SHA-256 (hex) over the paths, modes, sizes and link targets of a tree, without its stamp."""
    lines = []
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            if name == STAMP:
                continue
            path = os.path.join(root, name)  # noqa: PTH118 (a tree has thousands)
            status = os.lstat(path)
            link = os.readlink(path) if stat.S_ISLNK(status.st_mode) else ""  # noqa: PTH115
            size = status.st_size if stat.S_ISREG(status.st_mode) else 0
            lines.append(f"{os.path.relpath(path, folder)}\0{status.st_mode:o}\0{size}\0{link}\n")
    return hashlib.sha256("".join(sorted(lines)).encode(errors="surrogateescape")).hexdigest()


def unpack(files: list[Path], place: Path) -> None:
    """Unpack .debs to a folder that appears complete or not at all."""
    prefix = f".{place.name}."
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        for left in place.parent.glob(f"{prefix}*"):  # by a process that was killed
            shutil.rmtree(left, ignore_errors=True)
        scratch = Path(tempfile.mkdtemp(prefix=prefix, dir=place.parent))
        try:
            fill(files, scratch)
            if place.exists():
                place.rename(Path(tempfile.mkdtemp(prefix=prefix, dir=place.parent)) / "damaged")
            scratch.rename(place)
        finally:
            for left in place.parent.glob(f"{prefix}*"):
                shutil.rmtree(left, ignore_errors=True)
    except OSError as error:
        raise BuildError(
            f"{place}: can not be unpacked: {error.strerror}", cache.space_hint(error)
        ) from error


def fill(files: list[Path], folder: Path) -> None:
    """Unpack .debs into a new folder, and stamp it."""
    from tasks.lib.debian import debs  # slow to import, and a no-op build needs none of it

    for name, target in MERGED.items():
        (folder / target).mkdir(parents=True, exist_ok=True)
        (folder / name).symlink_to(target)
    for deb in files:
        debs.extract(deb, folder)
    localise(folder)
    folder.chmod(0o755)
    (folder / STAMP).write_text(listing_digest(folder))


def localise(folder: Path) -> None:
    """Make the absolute symlinks of a tree relative, so that they stay inside it."""
    for root, folders, files in os.walk(folder):
        for name in (*folders, *files):
            path = Path(root, name)
            if path.is_symlink() and (target := path.readlink()).is_absolute():
                path.unlink()
                path.symlink_to(os.path.relpath(folder / target.relative_to("/"), path.parent))


def program(name: str, set: str = "tools") -> Path:
    """The path of a program in a tree.

    Raises BuildError when no package of the set has it.
    """
    for folder in PROGRAM_FOLDERS:
        path = tree(set) / folder / name
        if path.is_file():
            return path
    raise BuildError(
        f"{name}: not in the package set {set}", f"add its package to [packages.{set}] in versions.toml"
    )


def command(name: str, set: str = "tools") -> list[str]:
    """The words that start a program of a tree, to be followed by its arguments.

    Raises BuildError when the program is missing.
    """
    path = program(name, set)
    settings = [f"{variable}={value}" for variable, value in environment(set).items()]
    return ["env", *settings, *start(path, name, tree(set))]


def python(set: str) -> list[str]:
    """The words that start the suite's Python from a tree, with its library; it writes nothing there.

    Raises BuildError when the tree has another one.
    """
    first, *words = command(f"python{PYTHON}", set)
    return [first, f"PYTHONHOME={tree(set) / 'usr'}", *words, "-s", "-B"]


@lru_cache
def start(path: Path, name: str, root: Path) -> tuple[str, ...]:
    """A dynamic program is started by the tree's loader, a static one itself, a script by the host's sh."""
    with path.open("rb") as stream:
        head = stream.read(1 << 16)
    if head.startswith(b"#!"):
        interpreter = head.split(b"\n", 1)[0][2:].split()[0].decode()
        if interpreter != "/bin/sh":
            raise BuildError(f"{name}: is a script for {interpreter}, which a tools tree does not have")
        return (interpreter, str(path))
    if b"/ld-linux-" not in head:
        return (str(path),)
    libraries = ":".join(str(root / folder) for folder in LIBRARIES)
    return (str(root / LOADER), "--inhibit-cache", "--library-path", libraries, "--argv0", name, str(path))


def environment(set: str = "tools") -> dict[str, str]:
    """Variables that keep a tree's programs from reading the host's files instead of their own."""
    root = tree(set)
    found = {
        "GCONV_PATH": root / f"{HOST.libraries}/gconv",
        "MKE2FS_CONFIG": root / "etc/mke2fs.conf",
        "QEMU_MODULE_DIR": root / f"{HOST.libraries}/qemu",
    }
    return {name: str(path) for name, path in found.items() if path.exists()}


def qemu_data(set: str = "qemu") -> list[str]:
    """QEMU's options that name its firmware folders."""
    root = tree(set)
    folders = (root / name for name in ("usr/share/qemu", "usr/share/seabios", "usr/lib/ipxe/qemu"))
    return [word for folder in folders if folder.is_dir() for word in ("-L", str(folder))]
