"""A file tree in memory: what an image will contain, free of the host's owners, modes, times and order."""

from __future__ import annotations

import posixpath
import tarfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

from tasks.lib.errors import BuildError
from tasks.lib.formats.entry import XATTR, Content, Entry, Slice, tar_header

MAX_LINKS = 40


class Tree:
    """Paths to entries, without a leading slash, parents always present, the root itself left out.

    Symlinks to folders inside the tree are followed for the parents of what is added, so that with
    bin -> usr/bin an added bin/sh becomes usr/bin/sh. Later additions replace earlier ones; a folder
    never replaces or is replaced by something else while it holds entries (BuildError).
    """

    def __init__(self) -> None:
        self._entries: dict[str, Entry] = {}

    def __contains__(self, path: str) -> bool:
        return clean(path) in self._entries

    def __getitem__(self, path: str) -> Entry:
        return self._entries[clean(path)]

    def __iter__(self) -> Iterator[str]:
        return iter(sorted(self._entries))

    def __len__(self) -> int:
        return len(self._entries)

    def items(self) -> Iterator[tuple[str, Entry]]:
        """Path and entry in path order: a folder comes before what it holds."""
        for path in self:
            yield path, self._entries[path]

    def add_file(self, path: str, content: Content | str, mode: int = 0o644) -> None:
        """A regular file with the given bytes, text (UTF-8) or the content of a file on disk."""
        data = content.encode() if isinstance(content, str) else content
        if isinstance(data, Path) and not data.is_file():
            raise BuildError(f"{data}: no such file, wanted as {path}")
        self._put(path, Entry("file", mode & 0o7777, data))

    def add_dir(self, path: str, mode: int = 0o755) -> None:
        """A folder; one that is there already gets the mode, a symlink to a folder stays as it is."""
        if clean(path):
            self._put(path, Entry("dir", mode & 0o7777))

    def add_symlink(self, path: str, target: str) -> None:
        """A symbolic link with exactly this target text."""
        self._put(path, Entry("symlink", 0o777, target=target))

    def add_device(
        self, path: str, kind: Literal["char", "block"], major: int, minor: int, mode: int
    ) -> None:
        """A device node."""
        self._put(path, Entry(kind, mode & 0o7777, device=(major, minor)))

    def add_folder(self, source: Path, dest: str = "/") -> None:
        """What a folder on disk holds, under dest, with modes as git keeps them.

        Folders and executables get 0755, other files 0644, whatever the umask of the checkout was.
        """
        if not source.is_dir():
            raise BuildError(f"{source}: no such folder")
        self.add_dir(dest)
        for found in sorted(source.rglob("*")):
            path = posixpath.join(dest, found.relative_to(source).as_posix())
            if found.is_symlink():
                self.add_symlink(path, str(found.readlink()))
            elif found.is_dir():
                self.add_dir(path)
            elif found.is_file():
                self.add_file(path, found, 0o755 if found.stat().st_mode & 0o100 else 0o644)
            else:
                raise BuildError(f"{found}: neither file, folder nor symlink")

    def add_tar(self, path: Path, dest: str = "/") -> None:
        """The members of an uncompressed tar, with all but their times; their bytes stay in the tar."""
        try:
            with tarfile.open(path, "r:") as tar:
                for member in tar:
                    self._add_member(path, member, dest)
        except (tarfile.TarError, OSError) as error:
            raise BuildError(f"{path}: not readable as a tar: {error}") from error

    def _add_member(self, tar: Path, member: tarfile.TarInfo, dest: str) -> None:
        path = posixpath.join(dest, member.name.lstrip("/"))
        self._add_typed(tar, path, member, dest)
        pairs = member.pax_headers.items()
        xattrs = {key[len(XATTR) :]: text for key, text in pairs if key.startswith(XATTR)}
        if member.uid or member.gid or xattrs:
            self.own(path, member.uid, member.gid, xattrs)

    def _add_typed(self, tar: Path, path: str, member: tarfile.TarInfo, dest: str) -> None:
        mode = member.mode & 0o7777
        if member.isfile():
            self.add_file(path, Slice(tar, member.offset_data, member.size), mode)
        elif member.isdir():
            self.add_dir(path, mode)
        elif member.issym():
            self.add_symlink(path, member.linkname)
        elif member.islnk():
            self.add_hardlink(path, posixpath.join(dest, member.linkname.lstrip("/")))
        elif member.ischr() or member.isblk():
            kind: Literal["char", "block"] = "char" if member.ischr() else "block"
            self.add_device(path, kind, member.devmajor, member.devminor, mode)
        else:
            raise BuildError(f"{tar}: member {member.name} has a type that images do not hold")

    def add_hardlink(self, path: str, existing: str) -> None:
        """Another file with the content and mode of one that is in the tree."""
        self._put(path, self._entries[self.resolve(existing)])

    def add_tree(self, other: Tree, dest: str = "/") -> None:
        """All entries of another tree, under dest."""
        for path, entry in other.items():
            self._put(posixpath.join(dest, path), entry)

    def only(self, wanted: Callable[[str], bool]) -> Tree:
        """A tree of the entries that are wanted, except folders: those come with what they hold."""
        part = Tree()
        for path, entry in self.items():
            if entry.kind != "dir" and wanted(path):
                part._put(path, entry)
        return part

    def remove(self, path: str) -> None:
        """Take out an entry and everything below it; BuildError when it is not there."""
        name = clean(path)
        gone = [found for found in self._entries if found == name or found.startswith(f"{name}/")]
        if not gone:
            raise BuildError(f"{path}: not in the tree, can not be removed")
        for found in gone:
            del self._entries[found]

    def chmod(self, path: str, mode: int) -> None:
        """Set the permission bits of an entry."""
        name = self.resolve(path)
        self._entries[name] = replace(self._entries[name], mode=mode & 0o7777)

    def own(self, path: str, uid: int, gid: int, xattrs: Mapping[str, str] | None = None) -> None:
        """Set owner, group and extended attributes (text) of an entry itself, also of a symlink."""
        name, pairs = self.locate(path), tuple(sorted((xattrs or {}).items()))
        self._entries[name] = replace(self._entries[name], owner=(uid, gid), xattrs=pairs)

    def resolve(self, path: str) -> str:
        """The path with every symlink followed inside the tree, as a chroot would see it.

        Raises BuildError when it does not exist or the links go round in a circle.
        """
        found = self._follow(clean(path), last=True)
        if found and found not in self._entries:
            raise BuildError(f"{path}: not in the tree")
        return found

    def locate(self, path: str) -> str:
        """The path with the symlinks among its folders followed, but not one at its end; need not exist."""
        return self._follow(clean(path), last=False)

    def hop(self, path: str) -> str:
        """Where one symlink points, as a path whose folders are resolved; it need not exist."""
        name = self.locate(path)
        target = self._entries[name].target
        start = "" if target.startswith("/") else posixpath.dirname(name)
        return self._follow(posixpath.join(start, target.lstrip("/")), last=False)

    def has(self, path: str) -> bool:
        """Whether the path leads to an entry when symlinks are followed."""
        return self._follow(clean(path), last=True) in self._entries

    def _follow(self, path: str, *, last: bool) -> str:
        """Follow symlinks in the folders of a path and, with `last`, in its final component too."""
        done: list[str] = []
        todo = path.split("/") if path else []
        links = 0
        while todo:
            part = todo.pop(0)
            if part in ("", "."):
                continue
            if part == "..":
                done = done[:-1]
                continue
            entry = self._entries.get("/".join([*done, part]))
            if entry is None or entry.kind != "symlink" or not (todo or last):
                done.append(part)
                continue
            links += 1
            if links > MAX_LINKS:
                raise BuildError(f"{path}: symlinks go round in a circle")
            done = [] if entry.target.startswith("/") else done
            todo = entry.target.split("/") + todo
        return "/".join(done)

    def _put(self, path: str, entry: Entry) -> None:
        name = self._follow(clean(path), last=False)
        if not name:
            raise BuildError(f"{path!r}: an entry of a tree needs a name")
        parent = posixpath.dirname(name)
        if parent:
            self._need_folder(parent)
        old = self._entries.get(name)
        if entry.kind == "dir" and old is not None and old.kind == "symlink" and self._leads_to_folder(name):
            return
        if old is not None and (old.kind == "dir") != (entry.kind == "dir") and self._holds_entries(name):
            raise BuildError(f"{name}: a {entry.kind} can not replace a folder that is not empty")
        self._entries[name] = entry

    def _need_folder(self, name: str) -> None:
        entry = self._entries.get(name)
        if entry is None:
            self._put(name, Entry("dir", 0o755))
        elif entry.kind != "dir":
            raise BuildError(f"{name}: is a {entry.kind}, so nothing can be put below it")

    def _leads_to_folder(self, name: str) -> bool:
        found = self._entries.get(self._follow(name, last=True))
        return found is not None and found.kind == "dir"

    def _holds_entries(self, name: str) -> bool:
        return any(found.startswith(f"{name}/") for found in self._entries)

    def write_tar(self, path: Path, epoch: int, first: Sequence[str] = ()) -> None:
        """Write the tree as an uncompressed pax tar (POSIX.1-2001): same tree and epoch, same bytes.

        epoch: the time of every entry, in seconds since 1970 (SOURCE_DATE_EPOCH). first: files that come
        before all others, in this order, once there are the folders.
        Raises BuildError when one of them is no file of the tree.
        """
        if missing := [name for name in first if name not in self or self[name].kind != "file"]:
            raise BuildError(f"no files, and were to come first: {', '.join(missing)}")
        places = {name: place for place, name in enumerate(first)}

        def place(named: tuple[str, Entry]) -> tuple[bool, int]:
            return named[1].kind != "dir", places.get(named[0], len(places))

        with (
            path.open("wb") as stream,
            tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as tar,
        ):
            for name, entry in sorted(self.items(), key=place) if first else self.items():
                with ExitStack() as stack:
                    content = stack.enter_context(entry.open()) if entry.kind == "file" else None
                    tar.addfile(tar_header(name, entry, epoch), content)


def clean(path: str) -> str:
    """A path as the tree keeps it: relative to the root, no empty or dot components.

    Raises BuildError when `..` is in it: what comes from an archive must not leave the tree.
    """
    parts = [part for part in path.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise BuildError(f"{path}: leaves the tree")
    return "/".join(parts)
