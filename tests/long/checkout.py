"""Copies of this checkout that build for themselves."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

from tasks.lib.engine.digests import content_digest
from tasks.lib.paths import TOP, cache_dir

MINUTES = 60
# The host's network settings; all else is made up.
PASSED_ON = ("PATH", "HTTP_PROXY", "HTTPS_PROXY", "http_proxy", "https_proxy", "GOPROXY", "GOSUMDB",
             "SSL_CERT_FILE", "SSL_CERT_DIR")  # fmt: skip
STRANGER = 12345
# A task of every kind, with the files that it makes.
KINDS = {
    "unpacking": ("userland", ["build/*/base-*/*"]),
    "kernel modules": ("modules", ["build/*/kernel-*/modules*"]),
    "go build": ("image-coredns", ["build/*/images/coredns.tar"]),
    "squashfs": ("rootfs-payload-stub", ["build/*/payload-stub/payload.squashfs"]),
    "cpio": ("initramfs-stub", ["build/*/product-stub-*/kubesolo-os.gz"]),
    "fat": ("efi-image", ["build/*/efi.img"]),
    "iso": ("iso-stub", ["build/*/*/*.iso"]),
}


class Checkout:
    """The tree as it is now (tracked and new files), elsewhere, with a cache folder of its own.

    The cache starts with the downloads of this user's, so that nothing depends on a mirror's mood; compiled
    objects and the task database start empty.
    """

    def __init__(self, top: Path, cache: Path, like: Checkout | None = None) -> None:
        self.top = top
        self.cache = cache
        self.temporary = cache / "tmp"
        self.temporary.mkdir(parents=True)
        if like:  # not this checkout once more: somebody may be editing it
            shutil.copytree(like.top, top, symlinks=True)
        else:
            copy_sources(top)
        for kind in ("objects", "go/mod/cache/download"):
            if (cache_dir() / kind).is_dir():
                copy = cache / "kubesolo-os" / kind
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copytree(cache_dir() / kind, copy, symlinks=True)

    def start(
        self, *arguments: str, prefix: Sequence[str] = (), umask: int = 0o022, **env: str
    ) -> subprocess.Popen[str]:
        """Start ./doit with few variables set; its Python environment is made on first use."""
        kept = {
            name: value for name, value in os.environ.items() if name in PASSED_ON or name.startswith("PIP_")
        }
        return subprocess.Popen(
            [*prefix, str(self.top / "doit"), *arguments], cwd="/", umask=umask, text=True,
            env={**kept, "HOME": str(self.cache), "XDG_CACHE_HOME": str(self.cache),
                 "TMPDIR": str(self.temporary), **env},
            stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip

    def run(
        self, *arguments: str, prefix: Sequence[str] = (), umask: int = 0o022, minutes: float = 60, **env: str
    ) -> str:
        """Run ./doit to a good end; returns what it printed."""
        with self.start(*arguments, prefix=prefix, umask=umask, **env) as child:
            try:
                out, _ = child.communicate(timeout=minutes * MINUTES)
            except subprocess.TimeoutExpired:
                child.terminate()
                raise
        assert child.returncode == 0, out
        return out

    def digests(self, *patterns: str) -> dict[str, str]:
        """SHA-256 (hex) of the files that match the patterns, by path in the checkout."""
        paths = sorted(path for pattern in patterns for path in self.top.glob(pattern) if path.is_file())
        return {str(path.relative_to(self.top)): content_digest(str(path)) for path in paths}

    def give_to(self, user: int) -> None:
        """Make the checkout and its cache those of another user."""
        for place in (self.top, self.cache):
            subprocess.run(["chown", "-R", f"{user}:{user}", place], check=True)


def copy_sources(top: Path) -> None:
    """Copy what git tracks, and new files that it does not ignore."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=TOP, capture_output=True, check=True)
    for name in filter(None, os.fsdecode(listed.stdout).split(chr(0))):
        place = top / name
        place.parent.mkdir(parents=True, exist_ok=True)
        if (TOP / name).is_symlink() or (TOP / name).exists():
            shutil.copy2(TOP / name, place, follow_symlinks=False)


def leftovers(checkout: Checkout) -> list[str]:
    """Temporary files of the engine, and of the programs that it runs."""
    found = [path for pattern in (".part-*", "scratch/*") for path in (checkout.top / "build").rglob(pattern)]
    return [str(path) for path in (*found, *checkout.temporary.iterdir())]
