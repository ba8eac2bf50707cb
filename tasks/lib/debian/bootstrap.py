"""A Debian root out of locked packages, installed by mmdebstrap, which runs their scripts.

mmdebstrap is one Perl script of a locked package; Perl, apt and dpkg are the host's. It is fed with a
repository that holds the locked packages and nothing else, so the host's apt has no choice to make.
"""

from __future__ import annotations

import hashlib
import os
import platform
import pwd
import shutil
import sys
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path

from tasks.lib import process
from tasks.lib.arch import Arch, is_host
from tasks.lib.debian import debs, tools
from tasks.lib.debian.lockfile import Package
from tasks.lib.errors import BuildError

SET = "mmdebstrap"
PROGRAM = "usr/bin/mmdebstrap"
NOWHERE = Path("/dev/null")
NEEDED = ("perl", "apt-get", "dpkg", "tar", "unshare")
# What an ordinary user needs, to have more than one user's number in a name space (subuid(5)).
MAPPERS = ("newuidmap", "newgidmap")
SUBORDINATE = (Path("/etc/subuid"), Path("/etc/subgid"))
INSTALL = "apt-get install -y perl apt dpkg tar util-linux"
# What root mounts for the packages' scripts is seen by nobody else, and gone when mmdebstrap is.
# A build that is stopped leaves nothing of it running.
NAMESPACE = {
    "root": (
        "unshare",
        "--mount",
        "--propagation",
        "private",
        "--pid",
        "--fork",
        "--kill-child",
        "--mount-proc",
    ),
    "unshare": (),
}


def mode() -> str:
    """How mmdebstrap is to get at a root's owners here, "root" or "unshare".

    Raises BuildError when it can not.
    """
    if missing := [name for name in NEEDED if shutil.which(name) is None]:
        raise BuildError(f"mmdebstrap needs {', '.join(missing)}, which this host has not", INSTALL)
    if os.geteuid() == 0:
        return "root"
    if missing := [name for name in MAPPERS if shutil.which(name) is None]:
        raise BuildError(
            f"mmdebstrap needs {' and '.join(missing)} to install packages as an ordinary user",
            "apt-get install -y uidmap, or run this target as root",
        )
    if unmapped := [str(path) for path in SUBORDINATE if not mapped(path)]:
        raise BuildError(
            f"{' and '.join(unmapped)}: no line gives this user further user numbers",
            "usermod --add-subuids 100000-165535 --add-subgids 100000-165535 $USER, or be root",
        )
    return "unshare"


def mapped(path: Path) -> bool:
    """Whether a file of subordinate numbers has a line for this user."""
    names = {str(os.geteuid())}
    with suppress(KeyError):
        names.add(pwd.getpwuid(os.geteuid()).pw_name)
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
    except OSError:
        return False
    return any(line.partition(":")[0] in names for line in lines)


def install(
    fetched: Sequence[tuple[Package, Path]],
    suite: str,
    arch: Arch,
    exclude: Iterable[str],
    out: Path,
    epoch: int,
    scratch: Path,
    hooks: Sequence[str] = (),
) -> None:
    """Install packages into a new root and write it as an uncompressed tar, with owners and attributes.

    exclude: options of dpkg (dpkg(1), path-exclude=… and path-include=…), which stay in force in the root.
    out: /dev/null when only the hooks' work is wanted. epoch: date of what is made, in seconds since 1970.
    scratch: a folder. hooks: what is done in the finished root (mmdebstrap(1), --customize-hook).
    Raises BuildError.
    """
    if not is_host(arch):
        raise BuildError(
            f"this machine ({platform.machine()}) can not run the scripts of {arch.name} packages",
            f"build this target on a machine of architecture {arch.name}",
        )
    way = mode()
    with workplace(scratch, shared=way == "unshare") as place:
        repository = place / "repository"
        write_repository(fetched, repository, suite)
        options = [f"--dpkgopt={option}" for option in exclude]
        names = ",".join(sorted(package.name for package, _ in fetched))
        words: list[str | Path] = [*NAMESPACE[way], "perl", tools.tree(SET) / PROGRAM]
        words += [f"--mode={way}", "--variant=apt", f"--include={names}", f"--architectures={arch.name}"]
        words += [f"--customize-hook={hook}" for hook in hooks]
        words += [f"--format={'null' if out == NOWHERE else 'tar'}", *options]
        words += [suite, out, f"deb [trusted=yes] copy://{repository} ./"]
        with process.outside_of_rules():
            process.run(words, cwd=place, env=environment(epoch, place))


def environment(epoch: int, folder: Path) -> dict[str, str]:
    """What mmdebstrap is told. A helper of its package is for Python: the builder's is there."""
    folders = [str((tools.tree(SET) / PROGRAM).parent), str(Path(sys.executable).parent), os.environ["PATH"]]
    return {"SOURCE_DATE_EPOCH": str(epoch), "TMPDIR": str(folder), "PATH": os.pathsep.join(folders)}


@contextmanager
def workplace(scratch: Path, *, shared: bool) -> Iterator[Path]:
    """A folder to work in; where other users' numbers are used, one that these can reach."""
    if not shared:
        yield scratch
        return
    place = Path(tempfile.mkdtemp(prefix="mmdebstrap-", dir="/var/tmp"))
    try:
        place.chmod(0o755)
        yield place
    finally:
        shutil.rmtree(place, ignore_errors=True)


def write_repository(fetched: Iterable[tuple[Package, Path]], folder: Path, suite: str) -> None:
    """A flat repository of packages, without signature: their digests are those of the lock.

    suite: mmdebstrap looks for essential packages in what calls itself so. Format: deb822(5), Debian Policy
    5.3, sources.list(5).
    """
    folder.mkdir(parents=True)
    stanzas = []
    for package, deb in fetched:
        place(deb, folder / package.file)
        control = debs.control_file(deb, "control").strip()
        stanzas.append(
            f"{control}\nFilename: ./{package.file}\nSize: {package.size}\nSHA256: {package.sha256}\n"
        )
    index = "\n".join(stanzas).encode()
    (folder / "Packages").write_bytes(index)
    row = f" {hashlib.sha256(index).hexdigest()} {len(index)} Packages"
    (folder / "Release").write_text(f"Suite: {suite}\nCodename: {suite}\nSHA256:\n{row}\n", encoding="utf-8")


def place(source: Path, target: Path) -> None:
    """The same file under another name, a copy where that is not possible."""
    try:
        target.hardlink_to(source)
    except OSError:
        shutil.copyfile(source, target)
