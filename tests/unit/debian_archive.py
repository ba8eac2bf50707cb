"""A small signed Debian archive, made on the spot, with its key."""

from __future__ import annotations

import hashlib
import io
import subprocess
import tarfile
from dataclasses import dataclass, field, replace
from pathlib import Path

from tests.unit.mirror_server import Mirror

DATE = "Sat, 14 Nov 2026 08:00:00 UTC"


def tar(files: dict[str, bytes]) -> bytes:
    """A tar.xz of files; a content that starts with "->" makes a symlink."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:xz", format=tarfile.GNU_FORMAT) as archive:
        folders = {str(parent) for path in files for parent in Path(path).parents if str(parent) != "."}
        for folder in sorted(folders):
            member = tarfile.TarInfo(f"./{folder}")
            member.type, member.mode = tarfile.DIRTYPE, 0o755
            archive.addfile(member)
        for path, content in files.items():
            member = tarfile.TarInfo(f"./{path}")
            if content.startswith(b"->"):
                member.type, member.linkname = tarfile.SYMTYPE, content[2:].decode()
                archive.addfile(member)
            else:
                member.size, member.mode = len(content), 0o755
                archive.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def ar(members: dict[str, bytes]) -> bytes:
    """A common ar archive (deb(5))."""
    parts = [b"!<arch>\n"]
    for name, content in members.items():
        parts.append(f"{name:<16}{0:<12}{0:<6}{0:<6}{'100644':<8}{len(content):<10}`\n".encode())
        parts.append(content + b"\n" * (len(content) % 2))
    return b"".join(parts)


def deb(control: str, files: dict[str, bytes]) -> bytes:
    """A Debian package."""
    return ar(
        {
            "debian-binary": b"2.0\n",
            "control.tar.xz": tar({"control": control.encode()}),
            "data.tar.xz": tar(files),
        }
    )


@dataclass
class Archive:
    """The archive that a mirror serves below /debian and /debian-security."""

    mirror: Mirror
    rsop_command: list[str]
    folder: Path
    records: dict[str, list[str]] = field(default_factory=dict)
    key: bytes = b""

    @property
    def keyring(self) -> Path:
        return self.folder / "keyring.gpg"

    @classmethod
    def new(cls, mirror: Mirror, rsop_command: list[str], folder: Path) -> Archive:
        """An empty archive with a new key."""
        made = cls(mirror, rsop_command, folder)
        made.key = made.rsop("generate-key", "--no-armor", "test")
        made.keyring.write_bytes(made.rsop("extract-cert", "--no-armor", stdin=made.key))
        return made

    def on(self, mirror: Mirror) -> Archive:
        """A copy, with the same key, that another mirror serves."""
        mirror.files.update(self.mirror.files)
        return replace(
            self, mirror=mirror, records={name: list(known) for name, known in self.records.items()}
        )

    def rsop(self, *words: str, stdin: bytes = b"") -> bytes:
        return subprocess.run(
            [*self.rsop_command, *words], input=stdin, capture_output=True, check=True
        ).stdout

    def add(
        self,
        name: str,
        version: str = "1.0",
        *,
        suite: str = "trixie",
        depends: str = "",
        source: str = "",
        files: dict[str, bytes] | None = None,
    ) -> str:
        """Put a package into the pool and the next index; the path of its file on the server."""
        control = f"Package: {name}\nVersion: {version}\nArchitecture: amd64\n"
        control += f"Source: {source}\n" if source else ""
        control += f"Depends: {depends}\n" if depends else ""
        content = deb(control, files or {f"usr/share/{name}": version.encode()})
        path = f"pool/main/{name[0]}/{name}/{name}_{version}_amd64.deb"
        self.mirror.files[f"{base(suite)}/{path}"] = content
        digest = hashlib.sha256(content).hexdigest()
        record = f"{control}Filename: {path}\nSize: {len(content)}\nSHA256: {digest}\n"
        self.records.setdefault(suite, []).append(record)
        return f"{base(suite)}/{path}"

    def publish(self, date: str = DATE, key: bytes | None = None) -> None:
        """Write and sign the indexes."""
        (self.folder / "key").write_bytes(key or self.key)
        for suite in ("trixie", "trixie-updates", "trixie-security"):
            packages = "\n".join(self.records.get(suite, [])).encode()
            name = "main/binary-amd64/Packages"
            release = (
                f"Origin: Debian\nLabel: Debian\nSuite: {suite}\nCodename: {suite}\nDate: {date}\n"
                f"Architectures: amd64\nComponents: main\n"
                f"SHA256:\n {hashlib.sha256(packages).hexdigest()} {len(packages)} {name}\n"
            )
            top = f"{base(suite)}/dists/{suite}"
            signed = self.rsop(
                "inline-sign", "--as=clearsigned", str(self.folder / "key"), stdin=release.encode()
            )
            self.mirror.files |= {f"{top}/InRelease": signed, f"{top}/{name}": packages}


def base(suite: str) -> str:
    """Where a suite lies on the server."""
    return "/debian-security" if suite.endswith("-security") else "/debian"
