"""Makes the virtual environment of ./doit. Runs under the host's Python: standard library only.

Usage: environment.py PREFIX; prints the folder, which is PREFIX-<Python version>-<machine>. An environment
is used only when the file `complete` is in it, which is written last: an interrupted creation starts anew.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import platform
import re
import shutil
import ssl
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

TOP = Path(__file__).resolve().parents[2]
LOCK = TOP / "requirements.lock"
UNREACHABLE = re.compile(
    r"NewConnectionError|NameResolutionError|ConnectTimeout|ReadTimeout|ProxyError|ConnectionRefused|"
    r"Temporary failure in name resolution|Network is unreachable|SSLError|Max retries|from versions: none"
)
LIBC = ctypes.CDLL(None)
KEPT_S = 30 * 24 * 3600
INSTALLERS = {
    "apt-get": "apt-get update && {sudo}apt-get install -y --no-install-recommends {packages}",
    "dnf": "dnf install -y {packages}",
    "zypper": "zypper install -y {packages}",
    "pacman": "pacman -S --noconfirm {packages}",
    "apk": "apk add {packages}",
}
LAUNCHER = """\
#!/bin/sh
# The same as ./doit of the checkout that the current folder is in.
top=$(pwd)
while [ "$top" != / ] && ! [ -e "$top/tasks/lib/environment.py" ]; do top=$(dirname "$top"); done
[ -x "$top/doit" ] || { echo "doit: not inside a checkout of KubeSolo OS" >&2; exit 1; }
exec "$top/doit" "$@"
"""


class RefusalError(Exception):
    """A failure as one line for the user."""


def say(text: str) -> None:
    """Progress goes to standard error: standard output is the result."""
    print(f"doit: {text}", file=sys.stderr, flush=True)


def main(prefix: str) -> int:
    """Make or find the environment and print its folder; 1 after an error message."""
    folder = Path(f"{prefix}-py{sys.version_info[0]}.{sys.version_info[1]}-{platform.machine()}")
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        with _locked(folder.parent / ".lock"):
            if not is_complete(folder):
                provide_host_packages(missing_host_packages())
                make(folder)
        _link(folder)
    except (RefusalError, OSError) as error:
        say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    print(folder)
    return 0


def is_complete(folder: Path) -> bool:
    """Whether the environment was finished and its interpreter still exists."""
    return (folder / "complete").exists() and os.access(folder / "bin" / "python", os.X_OK)


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another ./doit that makes the Python environment")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def missing_host_packages() -> list[str]:
    """Debian names of what the builder needs from the host and does not find."""
    missing = []
    try:
        import ensurepip  # noqa: F401
    except ImportError:
        missing.append("python3-venv")
    if not any(_loads(name) for name in ("libarchive.so.13", "libarchive.so", "libarchive.dylib")):
        missing.append("libarchive13")
    if not _has_certificates():
        missing.append("ca-certificates")
    return missing


def _loads(library: str) -> bool:
    try:
        ctypes.CDLL(library)
    except OSError:
        return False
    return True


def _has_certificates() -> bool:
    if {"SSL_CERT_FILE", "SSL_CERT_DIR", "PIP_CERT", "REQUESTS_CA_BUNDLE"} & os.environ.keys():
        return True
    paths = ssl.get_default_verify_paths()
    has_folder = paths.capath is not None and any(Path(paths.capath).glob("*"))
    return bool(paths.cafile) or has_folder


def provide_host_packages(packages: list[str]) -> None:
    """Install packages with apt where that needs no question, else say the command to run."""
    if not packages:
        return
    tool = next((name for name in INSTALLERS if shutil.which(name)), None)
    if tool is None:
        raise RefusalError(
            f"this host lacks {', '.join(packages)} (Debian's names): install them and run again"
        )
    root = os.geteuid() == 0
    sudo = "" if root else "sudo "
    command = sudo + INSTALLERS[tool].format(sudo=sudo, packages=" ".join(packages))
    if tool != "apt-get" or not (root or _can_sudo()):
        raise RefusalError(f"this host lacks {', '.join(packages)}; run: {command}")
    say(f"installing {', '.join(packages)} with apt")
    prefix = ["env"] if root else ["sudo", "-n", "env"]
    for arguments in (["update"], ["install", "-y", "--no-install-recommends", *packages]):
        done = subprocess.run(
            [*prefix, "DEBIAN_FRONTEND=noninteractive", "apt-get", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False,
        )  # fmt: skip
    if done.returncode:
        lines = [line for line in done.stderr.splitlines() if line.startswith("E:")] or ["apt-get failed"]
        raise RefusalError(f"{lines[-1]}; run: {command}")


def _can_sudo() -> bool:
    return bool(shutil.which("sudo")) and subprocess.run(
        ["sudo", "-n", "true"], stdin=subprocess.DEVNULL, capture_output=True, check=False
    ).returncode == 0  # fmt: skip


def make(folder: Path) -> None:
    """Make the environment from nothing.

    Raises RefusalError.
    """
    shutil.rmtree(folder, ignore_errors=True)
    packages = re.findall(r"^[A-Za-z]\S*==", LOCK.read_text(), re.MULTILINE)
    say(f"making the Python environment ({len(packages)} packages, once) in {folder}")
    log = folder.with_name(f"{folder.name}.log")
    interpreter = os.path.realpath(sys.executable)
    with log.open("w") as output:
        _run([interpreter, "-m", "venv", str(folder)], output, log)
        _install(folder, output, log)
    launcher = folder / "bin" / "doit"
    launcher.unlink(missing_ok=True)
    launcher.write_text(LAUNCHER)
    launcher.chmod(0o755)
    (folder / "complete").touch()
    log.unlink()
    _prune(folder)


def _prune(folder: Path) -> None:
    """Remove environments that nobody has used for a while; ./doit touches `complete` at every start."""
    for other in folder.parent.glob("*-py*"):
        mark = other / "complete"
        if mark.exists() and time.time() - mark.stat().st_mtime > KEPT_S:
            shutil.rmtree(other, ignore_errors=True)


def _die_with_parent() -> None:
    """prctl(PR_SET_PDEATHSIG, SIGKILL): no pip goes on filling a folder that the next run empties."""
    if sys.platform == "linux":
        LIBC.prctl(1, 9, 0, 0, 0)


def _install(folder: Path, output: object, log: Path) -> None:
    """Install what the lock names; pip refuses another package, and a file with another hash."""
    pip = [str(folder / "bin" / "python"), "-m", "pip", "--disable-pip-version-check", "--no-input"]
    environment = {"PIP_RETRIES": "2", "PIP_PROGRESS_BAR": "off", **os.environ}
    environment.pop("PIP_REQUIRE_VIRTUALENV", None)
    _run([*pip, "install", "--require-hashes", "--requirement", str(LOCK)], output, log, environment)


def _run(argv: list[str], output: object, log: Path, environment: dict[str, str] | None = None) -> None:
    """Run a step, showing on a terminal in one line what it is at."""
    live = sys.stderr.isatty()
    with subprocess.Popen(
        argv,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env=environment,
        preexec_fn=_die_with_parent,
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            print(line, end="", file=output, flush=True)  # type: ignore[call-overload]
            if live and line.startswith(("Collecting", "Downloading", "Installing")):
                print(f"\r\033[Kdoit: {line.strip()[:70]}", end="", file=sys.stderr, flush=True)
    if live:
        print("\r\033[K", end="", file=sys.stderr, flush=True)
    if child.returncode == 0:
        return
    text = log.read_text(errors="replace")
    if UNREACHABLE.search(text):
        raise RefusalError(
            f"the Python package index can not be reached: check the network and pip's settings (log: {log})"
        )
    errors = [line for line in text.splitlines() if line.startswith("ERROR:")] or text.splitlines()[-1:]
    raise RefusalError(f"{' '.join(argv[1:5])} failed: {' '.join(errors[-1:])} (log: {log})")


def _link(folder: Path) -> None:
    """Offer the environment as .venv in the checkout, for `. .venv/bin/activate`.

    A real folder of that name is left alone.
    """
    link = TOP / ".venv"
    try:
        if link.is_symlink() and link.readlink() == folder:
            return
        if link.is_symlink() or not link.exists():
            link.unlink(missing_ok=True)
            link.symlink_to(folder)
    except OSError:
        pass


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
