"""What an update costs where nothing of it is on the node yet: time beside a plain copy, and memory."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from dodo import STUB_NEXT
from tasks import update
from tasks.lib.vm.disks import copy_disk
from tests.vm import site as sites
from tests.vm.conftest import Start
from tests.vm.node import wait_booted

IMAGE_BYTES = 96 << 20
BOOT_SECONDS = 90
SECONDS = 600
MOST_KIB = 40 << 10
# Goal 1.3 with hashing by the processor; emulated, SHA-256 alone takes as long as writing.
COPY = (
    "mkdir -p /run/slot && mount -t ext4 /dev/vda3 /run/slot && sync && "
    "time -f 'copied %e' sh -c 'wget -q -O - {url} | dd of=/run/slot/copy bs=1M conv=fsync 2>/dev/null'; "
    "time -f 'hashed %e' sha256sum /run/slot/copy; rm /run/slot/copy; umount /run/slot"
)

pytestmark = [pytest.mark.timeout(3 * SECONDS), pytest.mark.long]


def test_an_update_is_little_more_than_a_copy(start: Start, stub_disk: Path, tmp_path: Path) -> None:
    with sites.opened(copy_disk(stub_disk, tmp_path / "disk.img"), tmp_path) as site:
        kept = ("vmlinuz", "kubesolo-os.gz")
        files = {name: path for name, path in update.files(STUB_NEXT).items() if name in kept}
        site.bundle.add("0.2.0", {**files, "root.squashfs": os.urandom(IMAGE_BYTES)})
        machine = start(site.hardware(), 2 * SECONDS)
        wait_booted(machine, BOOT_SECONDS)
        site.key.wait(machine)
        url = f"http://{sites.HOST}:{site.port}/stable/amd64/0.2.0/root.squashfs"
        copy = site.key.on(machine, COPY.format(url=url), SECONDS).stdout
        taken = site.key.on(machine, "time -v kubesolo-update apply", SECONDS).stdout
        print(copy, taken)
        assert "version 0.2.0 is in slot B" in taken
        (peak,) = re.findall(r"Maximum resident set size \(kbytes\): (\d+)", taken)
        assert int(peak) < MOST_KIB
        seconds = {name: float(value) for name, value in re.findall(r"(copied|hashed) ([\d.]+)", copy)}
        minutes, rest = re.findall(r"Elapsed .*: (?:\d+h )?(\d+)m ([\d.]+)s", taken)[0]
        spent = int(minutes) * 60 + float(rest)
        print(f"apply {spent} s, {spent / seconds['copied']:.2f} times a copy, {seconds}, peak {peak} KiB")
        # Written once, read back and hashed once, all else is small; a busy host makes each of these slower.
        assert spent < 3 * (seconds["copied"] + 2 * seconds["hashed"]) + 10
