"""What a file that versions.toml names holds: a program, or an archive of some."""

from __future__ import annotations

import io
import tarfile
from collections.abc import Iterable
from pathlib import Path, PurePosixPath

from tasks.lib.errors import BuildError

ELF = b"\x7fELF"
CORRECT = "correct the component's url and sha256 in versions.toml"


def programs(path: Path, url: str, names: Iterable[str]) -> dict[str, bytes]:
    """The programs of these names that a file holds, wherever they are in it; a program has any name.

    A * among the names stands for all programs of an archive. Raises BuildError when one is missing.
    """
    wanted = list(names)
    data = path.read_bytes()
    if data.startswith(ELF):
        if len(wanted) > 1 or wanted == ["*"]:
            raise BuildError(f"{url}: is one program, wanted are {', '.join(wanted)}", CORRECT)
        return {wanted[0]: data}
    found = archived(data, url)
    if wanted == ["*"]:
        return found
    if missing := [name for name in wanted if name not in found]:
        raise BuildError(
            f"{url}: has no program {', '.join(missing)}; it has {', '.join(sorted(found)) or 'none'}",
            CORRECT,
        )
    return {name: found[name] for name in wanted}


def archived(data: bytes, url: str) -> dict[str, bytes]:
    """The programs (ELF) in a tar, compressed or not, by their names without folders."""
    try:
        with tarfile.open(fileobj=io.BytesIO(data)) as tar:
            files = {
                PurePosixPath(member.name).name: tar.extractfile(member) for member in tar if member.isfile()
            }
            contents = {name: stream.read() for name, stream in files.items() if stream is not None}
    except (tarfile.TarError, OSError, EOFError) as error:
        raise BuildError(f"{url}: is neither a program nor a tar: {error}", CORRECT) from error
    return {name: content for name, content in contents.items() if content.startswith(ELF)}
