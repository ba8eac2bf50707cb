"""One archive for whoever helps: `kubesolo-os support [--out FILE]`: logs, state, versions, timings.

What is known to be secret - Edge credentials, tokens - is taken out of every file by its value.
"""

from __future__ import annotations

import io
import json
import re
import subprocess
import sys
import tarfile
import time
from collections.abc import Iterable, Sequence
from pathlib import Path

from agent import status
from agent.node import Node

USAGE = "usage: kubesolo-os support [--out FILE]\n"
WRONG_USAGE = 2
REMOVED = b"[removed]"
# Of a longer file the end counts.
LONGEST = 4 << 20
COMMAND_SECONDS = 20
FILES = (
    "usr/lib/os-release", "proc/cmdline", "proc/meminfo", "proc/mounts", "proc/modules", "proc/partitions",
    "proc/pressure/memory", "proc/pressure/io", "run/kubesolo/boot.log", "run/kubesolo/milestones",
    "run/kubesolo/settings", "run/kubesolo/payload.args", "run/kubesolo/payload.health",
    "run/kubesolo/payload.ended", "run/kubesolo/medium", "run/kubesolo/data", "run/kubesolo/address",
    "run/kubesolo/lease", "run/kubesolo/etc/resolv.conf", "run/kubesolo/cloud-init/report.json",
    "run/kubesolo/cloud-init/problems", "etc/kubesolo/cloud-init.yaml", "etc/kubesolo/extra-flags",
    "etc/kubesolo/update.conf", "mnt/data/network/interfaces.sh", "mnt/data/update/state.json",
    "run/kubesolo/bootenv", "run/kubesolo/update.prom", "mnt/data/kubesolo/.version",
    "mnt/data/containerd/kubesolo-archives.json",
)  # fmt: skip
PATTERNS = ("run/kubesolo/*.log", "run/kubesolo/problems/*", "var/log/kubesolo.log*")
COMMANDS = {
    "dmesg": ["dmesg"],
    "ip-address": ["ip", "address"],
    "ip-route": ["ip", "route"],
    "nft": ["nft", "list", "ruleset"],
    "df": ["df", "-k"],
    "ps": ["ps", "-o", "pid,ppid,vsz,rss,stat,time,args"],
}
# Their values are secret, wherever they are set.
SECRET_FILES = ("run/kubesolo/payload.env", "run/kubesolo/cloud-init/payload.env")
REGISTRIES_FILE = "run/kubesolo/cloud-init/registries"
TOKEN_FILE = "run/kubesolo/cloud-init/kubeconfig-token"
SECRET_KEYS = re.compile(
    rb"(?im)^(?P<key>[ \t\"'{]*[\w.-]*(?:edge-?(?:id|key)|token|password|secret)[\"']?\s*[:=]\s*)"
    rb"(?P<value>[^\s,}]+)"
)
# Name and password in an address, such as that of a proxy.
USER_INFO = re.compile(rb"(?<=://)[^/\s@'\"]+(?=@)")
SECRET_PARAMETERS = re.compile(rb"(?i)(?P<key>(?:edge-(?:id|key))=)(?P<value>\S+)")


def main(arguments: Sequence[str], node: Node | None = None) -> int:
    """Write the archive; returns the exit status."""
    words = list(arguments)
    node = node or Node()
    name = node.text("run/kubesolo/etc/hostname") or "node"
    out = Path(f"/tmp/kubesolo-support-{name}-{time.strftime('%Y%m%dT%H%M%S', time.gmtime())}.tar.gz")
    if words[:1] == ["--out"] and len(words) == 2:
        out = Path(words[1])
    elif words:
        sys.stderr.write(USAGE)
        return WRONG_USAGE
    try:
        write(node, out)
    except OSError as error:
        out.unlink(missing_ok=True)
        sys.stderr.write(f"kubesolo-os: {out} cannot be written: {error.strerror}\n")
        return 1
    print(out)
    return 0


def write(node: Node, out: Path) -> None:
    """Write the archive; raises OSError."""
    hidden = secrets(node)
    out.parent.mkdir(parents=True, exist_ok=True)
    with out.open("xb") as stream:
        out.chmod(0o600)
        with tarfile.open(fileobj=stream, mode="w:gz") as archive:
            for name, content in collect(node):
                add(archive, name, without(content, hidden))


def collect(node: Node) -> Iterable[tuple[str, bytes]]:
    """Names in the archive, and what is there; what is missing says so."""
    yield "status.json", json.dumps(status.describe(node), indent=2).encode()
    found = [path for pattern in PATTERNS for path in sorted(node.root.glob(pattern))]
    for path in dict.fromkeys([*(node.root / name for name in FILES), *found]):
        content = end_of(path)
        if content is not None:
            yield str(path.relative_to(node.root)), content
    for name, command in COMMANDS.items():
        yield f"commands/{name}", output(command)


def end_of(path: Path) -> bytes | None:
    """The last bytes of a file; None when it can not be read."""
    try:
        with path.open("rb") as stream:
            if path.stat().st_size > LONGEST:
                stream.seek(-LONGEST, 2)
            return stream.read(LONGEST)
    except OSError:
        return None


def output(command: list[str]) -> bytes:
    """What a command says, or why it says nothing."""
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=COMMAND_SECONDS, check=False
        )
    except (OSError, subprocess.SubprocessError) as error:
        return f"{error}\n".encode()
    return (done.stdout + done.stderr)[-LONGEST:]


def secrets(node: Node) -> list[bytes]:
    """Values that must not be in the archive, the longest first."""
    values = {value for name in SECRET_FILES for value in node.pairs(name).values()}
    values.add(node.text(TOKEN_FILE))
    values.update(passwords(node.text(REGISTRIES_FILE)))
    values.update(node.parameter(f"kubesolo.edge-{part}") for part in ("id", "key"))
    return sorted((value.encode() for value in values if len(value) >= 4), key=len, reverse=True)


def passwords(registries: str) -> list[str]:
    """Those of the registries' logins."""
    try:
        return [str(entry.get("password", "")) for entry in json.loads(registries).values()]
    except (ValueError, AttributeError):
        return []


def without(content: bytes, hidden: Iterable[bytes]) -> bytes:
    """The content without secrets: known ones by value, others by the key that they belong to."""
    for value in hidden:
        content = content.replace(value, REMOVED)
    content = SECRET_KEYS.sub(rb"\g<key>" + REMOVED, content)
    content = USER_INFO.sub(REMOVED, content)
    return SECRET_PARAMETERS.sub(rb"\g<key>" + REMOVED, content)


def add(archive: tarfile.TarFile, name: str, content: bytes) -> None:
    """Add a file that root alone reads."""
    member = tarfile.TarInfo(f"support/{name}")
    member.size, member.mode, member.mtime = len(content), 0o600, int(time.time())
    archive.addfile(member, io.BytesIO(content))
