"""What reading a configuration may cost a node of 512 MB under emulation. Bounds are for a busy host."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from agent.config.encoding import MAX_BYTES
from tasks.lib.paths import TOP

MEMORY_KB = 30_000
SECONDS = 5.0
# Reads a file as the boot does, and says the peak of its memory in kB and its processor time in seconds.
PROGRAM = """
import json, resource, sys
from agent import apply
apply.main(["--out", sys.argv[1], "--file", sys.argv[2]])
used = resource.getrusage(resource.RUSAGE_SELF)
# Not ru_maxrss, which begins with that of the parent.
[peak] = [line.split()[1] for line in open("/proc/self/status") if line.startswith("VmHWM:")]
loaded = sorted(name for name in sys.modules if "." not in name)
print(json.dumps([int(peak), used.ru_utime + used.ru_stime, loaded]))
"""
LINE = "    - ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEomZZsWxLBx5lCQHAfcLaiY9K2BiqwB0q2mQ7lf0bOe a\n"


def cost(tmp_path: Path, text: str) -> tuple[int, float, list[str]]:
    """Peak memory in kB, processor time in seconds, modules."""
    file = tmp_path / "f"
    file.write_text(text)
    words = [sys.executable, "-c", PROGRAM, str(tmp_path / "out"), str(file)]
    done = subprocess.run(words, cwd=TOP, capture_output=True, text=True, check=True)
    memory, seconds, loaded = json.loads(done.stdout)
    return memory, seconds, loaded


@pytest.mark.parametrize(
    "text",
    [
        "#cloud-config\nhostname: a\n" + "# remark\n" * (MAX_BYTES // 9 - 10),
        ("#cloud-config\nssh:\n  authorized_keys:\n" + LINE * 20_000)[:MAX_BYTES],
        "#cloud-config\nntp: {servers: [" + "a, " * (MAX_BYTES // 3 - 20) + "a]}\n",
        "#cloud-config\n" + "".join(f"key{number}: 1\n" for number in range(2_400)),
        "#cloud-config\nhostname: '" + "a" * (MAX_BYTES - 50) + "'\n",
    ],
    ids=["remarks", "keys", "more values than allowed", "unknown keys", "one long text"],
)
def test_a_megabyte(text: str, tmp_path: Path) -> None:
    memory, seconds, _ = cost(tmp_path, text)
    assert memory < MEMORY_KB
    assert seconds < SECONDS


def test_a_usual_file_needs_few_modules(tmp_path: Path) -> None:
    """Each of these takes longer to load than the file takes to be read."""
    _, _, loaded = cost(tmp_path, "#cloud-config\nhostname: a\nnetwork: {address: 10.0.0.5/24}\n")
    slow = {"argparse", "dataclasses", "difflib", "inspect", "pathlib", "tempfile", "typing", "ssl", "urllib"}
    if sys.version_info >= (3, 12):
        slow.add("hashlib")
    # What Python itself has loaded before, by way of an environment's .pth files.
    start = subprocess.run(
        [sys.executable, "-c", "import sys; print(*sys.modules)"], capture_output=True, text=True, check=True
    )
    assert slow & set(loaded) - set(start.stdout.split()) == set()
