from pathlib import Path

import pytest

from tasks import rootfs
from tasks.lib.debian import tools
from tasks.lib.engine import Build
from tasks.lib.formats import oci
from tasks.lib.formats.squashfs import Compression
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run
from tests.unit.targets import VALUES

RELEASE = "6.12.1-amd64"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    for layer in rootfs.COMPRESSION:
        monkeypatch.setitem(rootfs.COMPRESSION, layer, Compression("zstd", 128, level=1))


def build(tmp_path: Path) -> Build:
    (tmp_path / "scratch").mkdir(exist_ok=True)
    return Build(
        [tmp_path / "out.squashfs"], tmp_path / "scratch", values={**VALUES, "keys": [], "for_tests": False}
    )


def listing(path: Path) -> dict[str, str]:
    """Mode by path."""
    text = run([*tools.command("unsquashfs"), "-lln", path]).stdout.decode()
    rows = [line for line in text.splitlines() if "squashfs-root" in line]
    return {row.split(" squashfs-root/")[-1].split(" -> ")[0]: row.split()[0] for row in rows}


def write_modules(tmp_path: Path) -> tuple[Path, Path]:
    """Programs and modules as tars."""
    tree = Tree()
    for name in ("kernel/drivers/net/e1000.ko", "kernel/net/bridge/bridge.ko", "modules.dep"):
        tree.add_file(f"usr/lib/modules/{RELEASE}/{name}", b"module")
    tree.write_tar(tmp_path / "modules.tar", 0)
    programs = Tree()
    programs.add_symlink("bin", "usr/bin")
    programs.add_file("usr/bin/busybox", b"busybox", 0o755)
    programs.write_tar(tmp_path / "userland.tar", 0)
    return tmp_path / "userland.tar", tmp_path / "modules.tar"


def test_drivers_and_other_modules_are_in_different_layers(tmp_path: Path) -> None:
    programs, modules = write_modules(tmp_path)
    rootfs.build_root(programs, modules, "x86", build(tmp_path))
    root = listing(tmp_path / "out.squashfs")
    rootfs.build_drivers(modules, "x86", build(tmp_path))
    drivers = listing(tmp_path / "out.squashfs")
    folder = f"usr/lib/modules/{RELEASE}"
    assert {f"{folder}/modules.dep", f"{folder}/kernel/net/bridge/bridge.ko", "usr/bin/busybox"} <= set(root)
    assert f"{folder}/kernel/drivers/net/e1000.ko" not in root
    assert [path for path in drivers if path.endswith(".ko")] == [f"{folder}/kernel/drivers/net/e1000.ko"]
    assert f"{folder}/modules.dep" not in drivers


def test_the_payload_is_split_by_when_it_runs(tmp_path: Path) -> None:
    main, helpers = Tree(), Tree()
    main.add_file("usr/bin/kubesolo", b"program", 0o755)
    main.add_symlink("usr/bin/kubectl", "kubesolo")
    main.write_tar(tmp_path / "payload.tar", 0)
    for name in ("usr/bin/containerd-shim-runc-v2", "usr/libexec/cni/bridge"):
        helpers.add_file(name, b"program", 0o755)
    helpers.write_tar(tmp_path / "helpers.tar", 0)
    image = oci.Image("kubesolo.io/coredns:1", main, ("/usr/bin/kubesolo",))
    digest = oci.write_archive(image, tmp_path / "coredns.tar", 0, tmp_path)
    rootfs.build_archive("payload", tmp_path / "payload.tar", "x86", build(tmp_path))
    first = listing(tmp_path / "out.squashfs")
    images = (tmp_path / "coredns.tar",)
    rootfs.build_containers(tmp_path / "helpers.tar", images, "x86", build(tmp_path))
    second = listing(tmp_path / "out.squashfs")
    assert {path for path in first if path.startswith("usr/bin/")} == {"usr/bin/kubesolo", "usr/bin/kubectl"}
    assert {path for path in second if path.startswith("usr/bin/")} == {"usr/bin/containerd-shim-runc-v2"}
    files = f"{rootfs.IMAGES_FOLDER}/{digest.removeprefix('sha256:')}/root"
    assert second[f"{files}/usr/bin/kubesolo"] == "-rwxr-xr-x"
    assert "usr/libexec/cni/bridge" in second


def test_overlay_has_os_release_and_no_keep_files(tmp_path: Path) -> None:
    agent = Tree()
    agent.add_file("usr/lib/python3.13/agent/apply.pyc", b"code")
    agent.write_tar(tmp_path / "agent.tar", 0)
    rootfs.build_overlay(tmp_path / "agent.tar", "amd64", "x86", build(tmp_path))
    found = listing(tmp_path / "out.squashfs")
    assert not [path for path in found if path.endswith(".keep")]
    assert found["etc/shadow"] == "-rw-r-----"
    assert found["tmp"] == "drwxrwxrwt"
    assert found["root"] == "drwx------"
    assert found["usr/lib/kubesolo-os/run-payload"] == "-rwxr-xr-x"
    assert "usr/lib/python3.13/agent/apply.pyc" in found
    text = run([*tools.command("unsquashfs"), "-cat", tmp_path / "out.squashfs", "usr/lib/os-release"]).stdout
    assert b'ID="kubesolo-os"' in text


@pytest.mark.parametrize("layer", ["bin", "sbin", "lib", "lib64", "usr/sbin"])
def test_no_layer_hides_the_merged_folders(tmp_path: Path, layer: str) -> None:
    tree = Tree()
    tree.add_file(f"{layer}/program", b"x", 0o755)
    rootfs.write_layer("overlay", tree, "x86", build(tmp_path))
    assert listing(tmp_path / "out.squashfs")[layer] == "lrwxrwxrwx"
