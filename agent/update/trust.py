"""The public keys whose signatures this node takes."""

from __future__ import annotations

import os
import re
from pathlib import Path

from agent.durable import replace_file
from agent.update.errors import UsageError
from agent.update.keys import TEST_KEY

SHIPPED = "usr/lib/kubesolo-os/update-keys"
ACCEPTED = "mnt/data/update/keys"
TEST_IMAGE = "usr/lib/kubesolo-os/test-image"
KEY = re.compile(r"[0-9a-fA-F]{64}", re.ASCII)
LARGEST = 64 << 10
FROM_MANIFEST = "from-manifests.pub"


def trusted(root: Path, pubkey: str) -> dict[str, str]:
    """All keys, in small letters, and where they are from; UsageError when `pubkey` is of no use."""
    found: dict[str, str] = {}
    for folder in (SHIPPED, ACCEPTED):
        for path in sorted((root / folder).glob("*.pub")):
            found.update(dict.fromkeys(keys_in(path), str(path)))
    if pubkey:
        found.update(configured(root, pubkey))
    if not (root / TEST_IMAGE).exists():
        found.pop(TEST_KEY, None)
    return found


def configured(root: Path, pubkey: str) -> dict[str, str]:
    """The key, or the keys of the file, that the configuration names."""
    if KEY.fullmatch(pubkey):
        return {pubkey.lower(): "the configuration"}
    path = root / pubkey.lstrip("/")
    if not (keys := keys_in(path)):
        raise UsageError(f"pubkey: {pubkey} is neither 64 hexadecimal digits nor a file with such lines")
    return dict.fromkeys(keys, pubkey)


def keys_in(path: Path) -> list[str]:
    """The keys of a file, one a line; what is no key is passed over."""
    try:
        with path.open("rb") as stream:
            lines = stream.read(LARGEST).decode(errors="replace").splitlines()
    except OSError:
        return []
    return [line.strip().lower() for line in lines if KEY.fullmatch(line.strip())]


def accept(root: Path, keys: tuple[str, ...]) -> None:
    """Trust further keys, which an accepted manifest has named; raises OSError."""
    folder = root / ACCEPTED
    path = folder / FROM_MANIFEST
    known = keys_in(path)
    new = [key for key in keys if key not in known and key != TEST_KEY]
    if not new:
        return
    os.makedirs(folder, exist_ok=True)
    replace_file(str(path), "".join(f"{key}\n" for key in [*known, *new]).encode(), 0o644)
