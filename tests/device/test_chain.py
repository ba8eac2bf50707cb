"""/init and the runner of the stages: the right root, the right order, what happens when something fails."""

from __future__ import annotations

import hashlib
import os
import subprocess
import threading

import pytest

from tests.device.fakeroot import FakeRoot

# What mounting does in the fake root: media are folders /media/<device>, file systems have no content.
MOUNT = """
case "$*" in
'-t iso9660 '*) [ -d "$ROOT/media/${5##*/}" ] && cp -r "$ROOT/media/${5##*/}/." "$6" ;;
'-t ext4 '* | '-t vfat '*) return 1 ;;
'--move '*) [ ! -d "$3" ] || rmdir "$3"; mkdir -p "${3%/*}"; cp -r "$2" "$3" ;;
esac
"""
UMOUNT = 'case $1 in */run/kubesolo-medium) rm -rf "$1"; mkdir "$1" ;; esac'


@pytest.fixture
def initramfs(root: FakeRoot) -> FakeRoot:
    """The root as /init finds it."""
    (root.path / "lib").mkdir()
    (root.path / "run/kubesolo-init").rename(root.path / "lib/kubesolo-init")
    root.fake("mount", MOUNT)
    root.fake("umount", UMOUNT)
    root.write("sys/class/tty/console/active", "tty0 ttyS0\n")
    for console in ("tty0", "tty1", "ttyS0"):
        root.write(f"dev/{console}", "")
    root.program("bin/busybox", 'echo "busybox $*" >>"${0%/bin/busybox}/calls"\n')
    return root


def medium(root: FakeRoot, device: str, damage: str = "") -> dict[str, bytes]:
    """A CD with two images, listed in the initramfs; `damage` names one that is not what the list says."""
    images = {"root.squashfs": b"r" * 3000, "overlay.squashfs": b"o" * 1000}
    rows = [f"{hashlib.sha256(data).hexdigest()} {len(data)} {name}\n" for name, data in images.items()]
    root.write("etc/kubesolo-os/root.images", "".join(rows))
    for name, data in images.items():
        path = root.path / "media" / device / "boot" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data[:-1] + b"x" if name == damage else data)
    root.block_device(device)
    root.write(f"sys/class/block/{device}/removable", "1\n")
    return images


def boot(root: FakeRoot) -> subprocess.CompletedProcess[str]:
    return root.shell('. "$1"', str(root.path / "lib/kubesolo-init/init"))


def test_images_are_checked_copied_and_stacked(initramfs: FakeRoot) -> None:
    medium(initramfs, "sr0")
    result = boot(initramfs)
    assert result.returncode == 0, result.stderr
    mounts = initramfs.called("mount")
    assert any(mount.startswith("-t tmpfs -o size=1028k") for mount in mounts), "room for both images"
    overlay = next(mount for mount in mounts if mount.startswith("-t overlay"))
    layers = "/run/kubesolo-root"
    assert overlay == f"-t overlay -o ro,lowerdir={layers}/overlay:{layers}/root root /newroot"
    assert initramfs.called("umount") == ["/run/kubesolo-medium"], "the medium can be pulled"
    state = initramfs.path / "newroot/run"
    assert (state / "kubesolo/medium").read_text() == "removable sr0\n"
    assert (state / "kubesolo/root-images-kb").read_text() == "4\n"
    assert (state / "kubesolo/milestones").read_text().startswith("init-start 5.00\n")
    assert (state / "kubesolo-init/stages/00-early-mount.sh").exists()
    runner = "/bin/busybox sh /run/kubesolo-init/lib/run-stages.sh"
    assert initramfs.calls[-1] == f"busybox switch_root /newroot {runner}"


def test_images_stay_on_the_medium_when_asked(initramfs: FakeRoot) -> None:
    medium(initramfs, "sr0")
    initramfs.write("proc/cmdline", "kubesolo.toram=no\n")
    assert boot(initramfs).returncode == 0
    assert not initramfs.called("umount")
    assert (initramfs.path / "newroot/run/kubesolo/root-images-kb").read_text() == "0\n"
    squashfs = [mount for mount in initramfs.called("mount") if mount.startswith("-t squashfs")]
    assert all("/run/kubesolo-medium/boot/" in mount for mount in squashfs)


@pytest.mark.parametrize(
    ("memory", "cmdline", "kilobytes"),
    [(470000, "quiet", "0"), (470000, "kubesolo.toram=yes", "4"), (960000, "quiet", "4")],
)
def test_little_memory_is_not_filled_with_images(
    initramfs: FakeRoot, memory: int, cmdline: str, kilobytes: str
) -> None:
    medium(initramfs, "sr0")
    initramfs.write("proc/cmdline", f"{cmdline}\n")
    initramfs.write("proc/meminfo", f"MemTotal:         {memory} kB\nMemFree:          300000 kB\n")
    assert boot(initramfs).returncode == 0
    assert (initramfs.path / "newroot/run/kubesolo/root-images-kb").read_text() == f"{kilobytes}\n"
    said = "little memory: the root images stay on sr0, leave it in" in initramfs.read("dev/ttyS0")
    assert said == (kilobytes == "0"), "whoever looks at the screen must know not to pull the medium"


def test_images_inside_the_initramfs_are_used(initramfs: FakeRoot) -> None:
    for name, data in medium(initramfs, "sr0").items():
        path = initramfs.path / "boot" / name
        path.parent.mkdir(exist_ok=True)
        path.write_bytes(data)
    assert boot(initramfs).returncode == 0
    assert (initramfs.path / "newroot/run/kubesolo/medium").read_text() == "initramfs initramfs\n"
    assert (initramfs.path / "newroot/run/kubesolo/root-images-kb").read_text() == "4\n", "that is memory too"
    assert not any("iso9660" in mount for mount in initramfs.called("mount"))


def test_damaged_medium_is_passed_over_for_the_next(initramfs: FakeRoot) -> None:
    medium(initramfs, "sr0", damage="overlay.squashfs")
    medium(initramfs, "sr1")
    assert boot(initramfs).returncode == 0
    assert (initramfs.path / "newroot/run/kubesolo/medium").read_text() == "removable sr1\n"
    log = (initramfs.path / "newroot/run/kubesolo/boot.log").read_text()
    expected = hashlib.sha256(b"o" * 1000).hexdigest()
    assert f"overlay.squashfs on sr0 is damaged: expected sha256 {expected}, found " in log


def failing(root: FakeRoot) -> dict[str, str]:
    """Boot with an emergency shell that ends the machine; returns what each console showed."""
    emergency = root.path / "lib/kubesolo-init/lib/emergency.sh"
    emergency.write_text(emergency.read_text() + "\nopen_shells() { exit 9; }\n")
    assert boot(root).returncode == 9
    assert not any("squashfs" in mount for mount in root.called("mount")), "nothing unchecked is started"
    return {name: root.read(f"dev/{name}") for name in ("tty0", "ttyS0")}


@pytest.mark.parametrize("damage", ["root.squashfs", "overlay.squashfs"])
def test_only_a_damaged_medium_ends_in_the_emergency_shell(initramfs: FakeRoot, damage: str) -> None:
    medium(initramfs, "sr0", damage=damage)
    for text in failing(initramfs).values():
        assert f"root image {damage} on sr0 is damaged" in text


def test_no_medium_ends_in_the_emergency_shell_on_every_console(initramfs: FakeRoot) -> None:
    medium(initramfs, "sr0")
    initramfs.block_device("vda")
    for image in (initramfs.path / "media/sr0/boot").iterdir():
        image.unlink()
    for text in failing(initramfs).values():
        assert "no removable medium with the root images found within 30 s; block devices: sr0 vda" in text
    assert float(initramfs.read("proc/uptime").split()[0]) >= 35


def test_late_medium_is_found(initramfs: FakeRoot) -> None:
    medium(initramfs, "sda")
    folder = initramfs.path / "sys/class/block/sda"
    folder.rename(initramfs.path / "sda-later")
    appear = '[ -d "$ROOT/sys/class/block/sda" ] || cp -r "$ROOT/sda-later" "$ROOT/sys/class/block/sda"'
    initramfs.fake("sleep", f'[ "$up" -lt 1500 ] || {appear}')
    assert boot(initramfs).returncode == 0
    assert (initramfs.path / "newroot/run/kubesolo/medium").read_text() == "removable sda\n"


def on_fixed_disk(root: FakeRoot, device: str) -> None:
    """The images in an ext4 partition of a disk, as in a slot."""
    medium(root, device)
    root.write(f"sys/class/block/{device}/removable", "0\n")
    swapped = MOUNT.replace("-t iso9660", "-t x").replace("-t ext4", "-t iso9660").replace("-t x", "-t ext4")
    root.fake("mount", swapped)


def test_fixed_disk_is_taken_only_when_it_is_named(initramfs: FakeRoot) -> None:
    on_fixed_disk(initramfs, "vda")
    for text in failing(initramfs).values():
        assert "no removable medium" in text
        assert "named with kubesolo.root=" in text


@pytest.mark.parametrize("spec", ["PARTLABEL=KSOLOA", "LABEL=KSOLOA"])
def test_named_root_is_taken_from_a_fixed_disk(initramfs: FakeRoot, spec: str) -> None:
    on_fixed_disk(initramfs, "vda")
    initramfs.write("sys/class/block/vda/uevent", "DEVNAME=vda\nPARTNAME=KSOLOA\n")
    initramfs.fake("findfs", 'echo "$ROOT/dev/vda"')
    initramfs.write("proc/cmdline", f"kubesolo.root={spec}\n")
    result = boot(initramfs)
    assert result.returncode == 0, result.stderr
    assert (initramfs.path / "newroot/run/kubesolo/medium").read_text() == "disk vda\n"


@pytest.mark.parametrize(
    ("spec", "words"),
    [
        ("LABEL=NONE", "kubesolo.root=LABEL=NONE is not there after 30 s; block devices: sr0"),
        ("PARTLABEL=wrong", "kubesolo.root=PARTLABEL=wrong: /dev/vda does not hold the root images"),
    ],
)
def test_wrong_root_is_said_in_words(initramfs: FakeRoot, spec: str, words: str) -> None:
    medium(initramfs, "sr0")
    initramfs.block_device("vda")
    initramfs.write("sys/class/block/vda/uevent", "PARTNAME=wrong\n")
    initramfs.write("proc/cmdline", f"kubesolo.root={spec}\n")
    for text in failing(initramfs).values():
        assert words in text


def test_memory_of_a_failed_copy_is_freed_when_nothing_reads_it_any_more(initramfs: FakeRoot) -> None:
    medium(initramfs, "sr0")
    box = initramfs.busybox
    fakes = f"""
    sha256sum() {{ cat >/dev/null; "{box}" sleep 0.5; echo checked >>"$ROOT/calls"; echo "0 -"; }}
    cp() {{ case $2 in */images/overlay*) return 1 ;; esac; "{box}" cp "$@"; }}
    """
    initramfs.write("fakes.sh", initramfs.read("fakes.sh") + fakes)
    failing(initramfs)
    calls = initramfs.calls
    assert calls.index("checked") < calls.index("umount /run/kubesolo-root/images")


STAGE = '. "$ROOT/run/kubesolo-init/lib/stage.sh"\n'
BREAKS = '[ "$(cat "$ROOT/shells" | wc -l)" -ge 5 ] || fail broken\nstage_complete 20-second.sh\n'
# The clock goes on at one stroke, as the other console's shell does the same.
TYPES_FOR_A_WHILE = """
    read -r up _ <"$ROOT/proc/uptime"; new=$(mktemp -p "$ROOT")
    echo "$((${up%.*} + 5)).00 0.00" >"$new"; mv "$new" "$ROOT/proc/uptime"
"""
FIFTH_SHELL_STAYS = f'[ "$(wc -l <"$ROOT/shells")" -lt 5 ] || {{ {TYPES_FOR_A_WHILE} }}'


@pytest.fixture
def chain(root: FakeRoot) -> FakeRoot:
    """A root with two stages of its own and two consoles."""
    stages = root.path / "run/kubesolo-init/stages"
    for stage in stages.iterdir():
        if stage.name != "10-parse-cmdline.sh":
            stage.unlink()
    name = "run/kubesolo-init/stages"
    root.write(f"{name}/05-first.sh", f"{STAGE}leak=1\nstage_complete 05-first.sh\n")
    root.write(f"{name}/20-second.sh", f'{STAGE}[ -z "${{leak:-}}" ]\nstage_complete 20-second.sh\n')
    root.program("sbin/init", f'"{root.busybox}" env >"${{0%/sbin/init}}/init-environment"\n')
    root.write("sys/class/tty/console/active", "tty0 ttyS0\n")
    for console in ("tty0", "tty1", "ttyS0"):
        root.write(f"dev/{console}", "")
    # Its pauses would move the clock.
    library = root.path / "run/kubesolo-init/lib/emergency.sh"
    library.write_text(library.read_text() + "find_keyboards() { :; }\n")
    return root


def run_chain(root: FakeRoot, before: str = "") -> subprocess.CompletedProcess[str]:
    return root.shell(f'{before}\n. "$ROOT/run/kubesolo-init/lib/run-stages.sh"')


def test_stages_run_in_order_and_init_takes_over(chain: FakeRoot) -> None:
    result = run_chain(chain)
    assert result.returncode == 0, result.stderr
    milestones = [line.split()[0] for line in chain.read("run/kubesolo/milestones").splitlines()]
    assert milestones == ["stage-05-first", "stage-10-parse-cmdline", "stage-20-second"]
    for name in ("dev/tty0", "dev/ttyS0", "run/kubesolo/boot.log"):
        lines = chain.read(name).splitlines()
        assert [line for line in lines if "[OK]" in line] == [
            f"[kubesolo-init] [OK] Stage {stage}.sh complete"
            for stage in ("05-first", "10-parse-cmdline", "20-second")
        ]
    environment = chain.read("init-environment")
    assert "KUBESOLO" not in environment
    assert "ROOT=" not in environment
    assert "PATH=/usr/sbin:/usr/bin:/sbin:/bin" in environment


def test_the_payload_is_read_ahead_while_the_stages_run(chain: FakeRoot) -> None:
    payload = chain.path / "usr/bin/kubesolo"
    os.mkfifo(payload)
    writer = threading.Thread(target=payload.write_bytes, args=[b"read"], daemon=True)
    writer.start()
    assert run_chain(chain).returncode == 0
    writer.join(20)
    assert not writer.is_alive(), "nobody has read it"


def test_quiet_shows_only_the_marker(chain: FakeRoot) -> None:
    chain.write("proc/cmdline", "quiet\n")
    chain.write("run/kubesolo-init/stages/90-kubesolo.sh", f"{STAGE}stage_complete 90-kubesolo.sh\n")
    assert run_chain(chain).returncode == 0
    assert chain.read("dev/ttyS0") == "[kubesolo-init] [OK] Stage 90-kubesolo.sh complete\n"
    assert "Stage 05-first.sh complete" in chain.read("run/kubesolo/boot.log")


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("fail 'the disk is on fire'", "the disk is on fire"),
        ("echo 'tool: no such file' >&2; exit 7", "tool: no such file"),
        ("echo 'last words' >&2\nfalse\n: never reached", "last words"),
        ("if (", "syntax error"),
    ],
)
def test_failed_stage_says_why_on_every_console_and_is_retried(
    chain: FakeRoot, body: str, reason: str
) -> None:
    """Whoever types at the emergency shell repairs the stage, then leaves it."""
    stage = chain.path / "run/kubesolo-init/stages/20-second.sh"
    stage.rename(chain.path / "repaired")
    stage.write_text(f"{STAGE}{body}\n")
    chain.fake("setsid", f'mv "$ROOT/repaired" "{stage}" 2>/dev/null\n{TYPES_FOR_A_WHILE}')
    result = run_chain(chain)
    assert result.returncode == 0, result.stderr
    for name in ("dev/tty0", "dev/ttyS0"):
        failed, retried = chain.read(name).split("Emergency shell (20-second.sh)")
        assert "[kubesolo-init] [ERROR] Stage 20-second.sh failed: " in failed
        assert reason in failed.split("failed: ")[1].splitlines()[0]
        assert "Stage 05-first.sh complete" in failed.split("last lines of the boot log")[1]
        assert "[OK] Stage 20-second.sh complete" in retried
        assert "05-first" not in retried, "the retry starts at the failed stage"


def test_console_whose_shell_ends_at_once_is_offered_another_with_growing_pauses(chain: FakeRoot) -> None:
    """A hung-up terminal does not make the failed stage be tried again and again."""
    chain.write("sys/class/tty/console/active", "ttyS0\n")
    chain.write("run/kubesolo-init/stages/20-second.sh", f'{STAGE}echo tried >>"$ROOT/tries"\n{BREAKS}')
    chain.fake("setsid", f'echo tried >>"$ROOT/shells"\n{FIFTH_SHELL_STAYS}')
    assert run_chain(chain).returncode == 0
    assert chain.read("shells").splitlines() == ["tried"] * 5
    assert chain.read("tries").splitlines() == ["tried"] * 3, "the first may be somebody who is quick"
    assert float(chain.read("proc/uptime").split()[0]) >= 5 + 1 + 2 + 4


def test_shell_parameter_opens_a_shell_after_stage_10(chain: FakeRoot) -> None:
    chain.write("proc/cmdline", "kubesolo.shell\n")
    chain.fake("setsid", TYPES_FOR_A_WHILE)
    assert run_chain(chain).returncode == 0
    text = chain.read("dev/ttyS0")
    parsed, shell, second = (text.index(part) for part in ("10-parse", "Emergency shell", "20-second.sh"))
    assert parsed < shell < second
    assert "ERROR" not in text


def test_debug_traces_every_stage_on_the_consoles(chain: FakeRoot) -> None:
    chain.write("proc/cmdline", "kubesolo.debug kubesolo.edge-key=SECRET\n")
    chain.write("run/kubesolo-init/stages/20-second.sh", f"{STAGE}traced=yes\nstage_complete 20-second.sh\n")
    assert run_chain(chain).returncode == 0
    for name in ("dev/tty0", "dev/ttyS0"):
        assert "+ traced=yes" in chain.read(name)
        assert "[OK] Stage 20-second.sh complete" in chain.read(name)
    assert "+ traced=yes" in chain.read("run/kubesolo/boot.log")
    assert "SECRET" not in chain.read("run/kubesolo/boot.log")


def test_consoles_that_are_gone_do_not_matter(chain: FakeRoot) -> None:
    chain.write("sys/class/tty/console/active", "hvc0 ttyS0\n")
    (chain.path / "dev/hvc0").mkdir()
    assert run_chain(chain).returncode == 0
    assert "[OK]" in chain.read("dev/ttyS0")
