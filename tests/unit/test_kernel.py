import os
import time
from dataclasses import dataclass
from pathlib import Path

import pytest

from tasks import kernel as kernel_task
from tasks import modules
from tasks.kernel import build_audit, place
from tasks.lib import target as target_module
from tasks.lib.engine import Build
from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.kernel.modules import Kernel, tar_modules
from tasks.lib.paths import TOP
from tasks.lib.provider import choose, read_parts
from tasks.lib.target import each
from tasks.modules import Programs, choose_modules
from tests.unit.kernel_objects import CONFIG, FOLDER, RELEASE, kernel_tree
from tests.unit.targets import EPOCH, TARGET

INITRAMFS = f"lib/modules/{RELEASE}"
LISTS = {
    "default.modules": "[files]\next4\ncrc32c_*\n[cards]\nalpha\n",
    "initramfs.modules": "[early]\njbd2\ncrc32c_generic\nmdio-lib\n",
    "firmware.toml": '[included]\nalpha = "works without"\n',
}


@dataclass
class Result:
    root: Tree
    initramfs: Tree
    report: str
    bytes: list[bytes]
    notes: list[str]


def build(folder: Path, **lists: str) -> Result:
    """Run the modules recipe on the synthetic kernel; lists are given by stem, with _ for dots."""
    folder.mkdir(parents=True)
    for name, text in LISTS.items():
        (folder / name).write_text(lists.get(name.replace(".", "_"), text))
    notes: list[str] = []
    outs = [folder / "root.tar", folder / "initramfs.tar", folder / "report.txt"]
    b = Build(outs, folder / "scratch", lambda message: notes.append(str(message.get("note", ""))))
    choose_modules(Kernel(kernel_tree()), ("default", "amd64"), folder, Programs(), EPOCH, b)
    trees = [Tree(), Tree()]
    for tree, out in zip(trees, outs, strict=False):
        tree.add_tar(out)
    return Result(trees[0], trees[1], outs[2].read_text(), [out.read_bytes() for out in outs], notes)


def test_the_trees_hold_the_chosen_modules_and_their_indexes(tmp_path: Path) -> None:
    result = build(tmp_path / "a")
    found = {path.rpartition("/")[2] for path in result.root if path.endswith(".ko")}
    assert found == {
        "alpha.ko", "crc16.ko", "crc32c-intel.ko", "crc32c_generic.ko", "ext4.ko", "jbd2.ko", "mdio-lib.ko",
    }  # fmt: skip
    assert result.root[f"{FOLDER}/kernel/fs/ext4/ext4.ko"].read().startswith(b"\x7fELF")
    assert result.root[f"{FOLDER}/config"].read().decode() == CONFIG
    assert f"{FOLDER}/modules.dep.bin" in result.root
    # BusyBox's shell prefers its own modprobe in the root, too.
    dep = result.root[f"{FOLDER}/modules.dep"].read().decode()
    assert "kernel/fs/jbd2/jbd2.ko: kernel/crypto/crc32c_generic.ko\n" in dep
    assert all(entry.mode == (0o755 if entry.kind == "dir" else 0o644) for _, entry in result.root.items())


def test_the_initramfs_gets_the_few_modules_and_only_what_busybox_reads(tmp_path: Path) -> None:
    result = build(tmp_path / "a")
    files = [path for path, entry in result.initramfs.items() if entry.kind == "file"]
    assert files == [
        f"{INITRAMFS}/kernel/crypto/crc32c_generic.ko",
        f"{INITRAMFS}/kernel/drivers/net/mdio-lib.ko",
        f"{INITRAMFS}/kernel/fs/jbd2/jbd2.ko",
        f"{INITRAMFS}/modules.alias",
        f"{INITRAMFS}/modules.builtin",
        f"{INITRAMFS}/modules.dep",
    ]
    dep = result.initramfs[f"{INITRAMFS}/modules.dep"].read().decode()
    assert "kernel/fs/jbd2/jbd2.ko: kernel/crypto/crc32c_generic.ko\n" in dep


def test_the_root_knows_all_modules_of_the_initramfs(tmp_path: Path) -> None:
    result = build(tmp_path / "a", default_modules="crc16\n")
    assert {"jbd2.ko", "mdio-lib.ko", "crc16.ko"} <= {path.rpartition("/")[2] for path in result.root}


def test_the_report_has_sizes_and_firmware(tmp_path: Path) -> None:
    result = build(tmp_path / "a")
    rows = {words[0]: words[1] for line in result.report.splitlines() if len(words := line.split()) == 4}
    assert (rows["files"], rows["cards"], rows["early"]) == ("5", "2", "3")
    assert "alpha: works without\n    alpha.bin\n" in result.report
    assert result.notes == []


def test_undescribed_firmware_is_said(tmp_path: Path) -> None:
    [note] = build(tmp_path / "a", firmware_toml="[included]\n").notes
    assert "alpha asks for firmware" in note


def test_the_same_inputs_give_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = build(tmp_path / "a")
    monkeypatch.setenv("TZ", "Pacific/Auckland")
    time.tzset()
    before = os.umask(0o077)
    try:
        second = build(tmp_path / "elsewhere" / "b c")
    finally:
        os.umask(before)
        monkeypatch.undo()
        time.tzset()
    assert first.bytes == second.bytes


def test_a_name_that_is_no_module_stops_the_build(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"default\.modules:2: nvmee: neither a module nor built in"):
        build(tmp_path / "a", default_modules="ext4\nnvmee\n")


def test_a_kernel_is_placed_with_its_configuration(tmp_path: Path) -> None:
    outs = [tmp_path / "vmlinuz", tmp_path / "config", tmp_path / "tree.tar"]
    place(b"MZ kernel", CONFIG.encode(), kernel_tree(), EPOCH, outs)
    assert [outs[0].read_bytes(), outs[1].read_text()] == [b"MZ kernel", CONFIG]
    tree = Tree()
    tree.add_tar(outs[2])
    assert tree[f"{FOLDER}/config"].read().decode() == CONFIG
    with pytest.raises(BuildError, match="not an EFI application"):
        place(b"ELF", b"", kernel_tree(), EPOCH, outs)
    with pytest.raises(BuildError, match="modules of one release"):
        place(b"MZ", b"", Tree(), EPOCH, outs)


def test_an_unknown_provider_is_named() -> None:
    with pytest.raises(BuildError, match="'gentoo' is unknown"):
        choose("kernel", "gentoo", kernel_task.PROVIDERS)


def test_the_audit_stops_the_build_and_names_what_is_missing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kernel_task, "REQUIREMENTS", tmp_path / "audit.toml")
    (tmp_path / "audit.toml").write_text('[mandatory]\nEXT4_FS = "ext4"\n[recommended]\nXFS_FS = "xfs"\n')
    config, image, initramfs = (tmp_path / name for name in ("config", "modules.tar", "initramfs.tar"))
    config.write_text(CONFIG)
    result = build(tmp_path / "a")
    image.write_bytes(result.bytes[0])
    initramfs.write_bytes(result.bytes[1])
    notes: list[str] = []
    b = Build([tmp_path / "audit.txt"], tmp_path, lambda message: notes.append(str(message.get("note", ""))))
    build_audit("default", (), config, image, initramfs, b)
    assert b.out.read_text().split() == [
        "mandatory", "EXT4_FS", "m", "ok", "recommended", "XFS_FS", "not", "set", "not", "set",
    ]  # fmt: skip
    assert notes == ["kernel-audit: recommended, but not there: CONFIG_XFS_FS: not set"]
    (tmp_path / "audit.toml").write_text(
        '[mandatory]\nXFS_FS = "xfs"\nEXT4_FS = "ext4"\nINET = true\nVETH = true\n'
    )
    image.write_bytes(result.bytes[1])
    with pytest.raises(BuildError) as caught:
        build_audit("default", (), config, image, initramfs, b)
    for line in ("CONFIG_XFS_FS: not set", "CONFIG_VETH: not set", "does not have ext4.ko"):
        assert line in str(caught.value)
    assert "INET" not in str(caught.value)


def test_the_cloud_kernel_passes_with_its_own_list(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The flavour that the default build does not make: from the locked package to the audit."""
    monkeypatch.setattr(target_module, "BUILD", tmp_path)
    target = TARGET.variant("cloud", flavour="cloud")
    target.kernel_folder.mkdir(parents=True)
    notes: list[str] = []
    makers = (kernel_task.kernel_tasks, modules.tasks, kernel_task.audit_tasks)
    for number, task in enumerate(each([target], makers)):
        spec = task["meta"]["artifact"]
        outs = [Path(path) for path in spec.targets]
        scratch = tmp_path / f"scratch{number}"
        spec.build(
            Build(outs, scratch, lambda message: notes.append(str(message.get("note", ""))), spec.values)
        )
    assert [note for note in notes if note] == []
    assert kernel_task.vmlinuz(target).read_bytes()[0x202:0x206] == b"HdrS"
    chosen = kernel_task.modules(target)
    assert {"overlay", "virtio_net", "nft_masq", "hv_netvsc"} <= tar_modules(chosen)
    assert kernel_task.initramfs_modules(target).stat().st_size < 8e6
    # Type information is in the package's modules, and a tenth of them.
    assert b"\0.BTF\0" not in chosen.read_bytes()
    [part] = read_parts(kernel_task.parts(target))
    assert part.name.startswith("linux-image-")


def test_modules_that_are_left_out_for_want_of_firmware_are_in_no_list() -> None:
    import tomllib

    left_out = tomllib.loads((TOP / "kernel" / "firmware.toml").read_text())["left-out"]
    for path in (TOP / "kernel").glob("*.modules"):
        assert not set(path.read_text().split()) & left_out.keys(), path
