"""Kernel and BusyBox out of an ISO that is laid out as CorePure64 is."""

from __future__ import annotations

import bz2
import gzip
import lzma
import tempfile
from collections.abc import Callable
from pathlib import Path

import pytest

from tasks import downloads, modules, providers, tinycore, userland
from tasks import kernel as kernel_task
from tasks.commands import extract_kernel_config
from tasks.kernel import place
from tasks.lib.config import Download
from tasks.lib.debian import tools
from tasks.lib.engine import Build
from tasks.lib.errors import BuildError
from tasks.lib.formats import elf
from tasks.lib.formats.tree import Tree
from tasks.lib.kernel import image
from tasks.lib.kernel.lists import read_list
from tasks.lib.kernel.modules import Kernel
from tasks.lib.process import run
from tasks.lib.target import Pinned
from tasks.skeleton import skeleton
from tests.foreign import archives
from tests.unit.kernel_objects import CONFIG, FOLDER, RELEASE, kernel_tree, ko
from tests.unit.targets import EPOCH, TARGET

BUSYBOX = b"\x00cat\x00nsenter\x00sh\x00"
LIBRARIES = "usr/lib/x86_64-linux-gnu"
ONLY_THERE = ("libmnl.so.0", "libnetfilter_conntrack.so.3", "libnfnetlink.so.0")


def bzimage(kernel: bytes, protocol: int = 0x20F) -> bytes:
    """An image with this compressed kernel in it (Documentation/arch/x86/boot.rst), setup in one sector."""
    setup = bytearray(2 * 512)
    setup[0:2] = b"MZ"
    setup[0x1F1] = 1
    setup[0x202:0x206] = b"HdrS"
    setup[0x206:0x208] = protocol.to_bytes(2, "little")
    setup[0x248:0x24C] = (0x40).to_bytes(4, "little")
    setup[0x24C:0x250] = len(kernel).to_bytes(4, "little")
    return bytes(setup) + b"\xcc" * 0x40 + kernel + b"\xcc" * 100


def with_configuration(text: str = CONFIG) -> bytes:
    return b"code" * 1000 + image.START + gzip.compress(text.encode()) + image.END + b"data" * 100


def zstd(data: bytes) -> bytes:
    with tempfile.TemporaryFile() as stream:
        stream.write(data)
        stream.seek(0)
        return run([*tools.command("zstd"), "-q", "-c"], stdin=stream).stdout + len(data).to_bytes(
            4, "little"
        )


def iso(folder: Path, vmlinuz: bytes = b"", busybox: bytes = BUSYBOX, **files: bytes) -> Path:
    root = archives.root(busybox)
    parts = [root, archives.modules(kernel_tree(packed=False), RELEASE)]
    default = {"vmlinuz64": vmlinuz or bzimage(gzip.compress(with_configuration())),
               "corepure64.gz": archives.packed(*parts)}  # fmt: skip
    names = {"vmlinuz64": "vmlinuz64", "corepure64": "corepure64.gz"}
    return archives.corepure(
        folder / "CorePure64.iso",
        {name: files.get(key, default[name]) for key, name in names.items() if files.get(key) != b"-"},
    )


@pytest.mark.parametrize(
    "pack",
    [gzip.compress, lzma.compress, lambda data: lzma.compress(data, lzma.FORMAT_ALONE), bz2.compress, zstd],
)
def test_a_kernel_that_carries_its_configuration(tmp_path: Path, pack: Callable[[bytes], bytes]) -> None:
    vmlinuz = bzimage(pack(with_configuration()))
    found = image.configuration("vmlinuz64", vmlinuz, tmp_path)
    assert found is not None
    assert found.decode() == CONFIG
    assert image.configuration("vmlinuz64", bzimage(pack(b"code" * 1000)), tmp_path) is None


def test_images_that_can_not_be_looked_into(tmp_path: Path) -> None:
    for data, words in (
        (bzimage(b"\x02\x21\x4c\x18lz4"), r"compressed in a way that is not known here \(02214c18\)"),
        (bzimage(lzma.compress(b"x" * 9999)[:40] + b"\0" * 99), "is damaged"),
        (bzimage(b"", protocol=0x200), "before Linux 2.6.26"),
    ):
        with pytest.raises(BuildError, match=words):
            image.configuration("vmlinuz64", data, tmp_path)


def test_the_kernel_and_its_modules(tmp_path: Path) -> None:
    """Modules packed one by one, in an archive behind that of the root; configuration out of the image."""
    vmlinuz, config, tree = tinycore.kernel(iso(tmp_path), None, (), tmp_path)
    assert vmlinuz.startswith(b"MZ")
    assert config.decode() == CONFIG
    found = Kernel(tree)
    assert found.release == RELEASE
    assert found.object("ext4").startswith(elf.MAGIC)
    assert found.builtin["fuse"] == "kernel/fs/fuse/fuse.ko"
    place(vmlinuz, config, tree, EPOCH, [tmp_path / name for name in ("vmlinuz", "config", "tree.tar")])


def test_the_configuration_of_a_kernel_that_does_not_carry_it(tmp_path: Path) -> None:
    bare = iso(tmp_path, bzimage(gzip.compress(b"code" * 1000)))
    with pytest.raises(BuildError, match="does not carry its configuration") as caught:
        tinycore.kernel(bare, None, (), tmp_path)
    assert "downloads.tinycore-config in versions.toml" in caught.value.hint
    named = tmp_path / "config-6.18"
    named.write_text("CONFIG_NAMED=y\n")
    assert tinycore.kernel(bare, named, (), tmp_path)[1] == b"CONFIG_NAMED=y\n"


def extension(folder: Path, release: str = RELEASE) -> Path:
    """A .tcz: a squashfs image with modules where Tiny Core has those that came later."""
    place = folder / "content/usr/local/lib/modules" / release / "kernel/net/bridge"
    place.mkdir(parents=True)
    (place / "bridge.ko.gz").write_bytes(gzip.compress(ko(info=[("alias", "rtnl-link-bridge")])))
    packed = folder / f"net-bridging-{release}.tcz"
    run([*tools.command("mksquashfs"), folder / "content", packed, "-quiet", "-no-progress", "-all-root"])
    return packed


def test_modules_of_extensions_come_along(tmp_path: Path) -> None:
    """Tiny Core keeps what containers need of netfilter and bridges outside of its ISO."""
    more = [("tinycore-modules-bridge", extension(tmp_path))]
    found = Kernel(tinycore.kernel(iso(tmp_path), None, more, tmp_path / "scratch")[2])
    assert found.object("bridge").startswith(elf.MAGIC)
    assert "ext4" in found.paths


def test_an_extension_of_another_kernel_or_none_is_named(tmp_path: Path) -> None:
    wrong = extension(tmp_path, "5.4.3-tinycore64")
    with pytest.raises(BuildError, match=f"tinycore-modules-x: has no modules of kernel {RELEASE}"):
        tinycore.kernel(iso(tmp_path), None, [("tinycore-modules-x", wrong)], tmp_path / "scratch")
    wrong.write_bytes(b"x" * 5000)
    with pytest.raises(BuildError, match="tinycore-modules-y: is no extension"):
        tinycore.kernel(iso(tmp_path), None, [("tinycore-modules-y", wrong)], tmp_path / "scratch")


def test_extensions_are_inputs_of_the_kernel_and_parts_of_the_product() -> None:
    row = Download("17.0", "file:///x", amd64="1" * 64)
    other = Download("17.0", "file:///y", amd64="2" * 64)
    rows = {"tinycore": row, "tinycore-modules-bridge": other, "kubesolo": row}
    target = TARGET.variant("x", kernel="tinycore", downloads=rows)
    fetched = [task["meta"]["artifact"] for task in providers.download_tasks(target)]  # type: ignore[index]
    (build,) = (task["meta"]["artifact"] for task in kernel_task.kernel_tasks(target))  # type: ignore[index]
    assert [spec.name for spec in fetched] == [
        "sources-tinycore-111111111111", "sources-tinycore-modules-bridge-222222222222",
    ]  # fmt: skip
    assert {path for spec in fetched for path in spec.targets} <= set(build.inputs)


def test_the_configuration_in_a_module(tmp_path: Path) -> None:
    tree = Tree()
    tree.add_file(f"{FOLDER}/kernel/kernel/configs.ko.gz", gzip.compress(with_configuration()))
    found = tinycore.own_configuration(bzimage(gzip.compress(b"x")), tree, tmp_path)
    assert found is not None
    assert found.decode() == CONFIG


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ({"vmlinuz64": b"-"}, "the ISO has no boot/vmlinuz64"),
        ({"corepure64": b"-"}, "the ISO has no boot/corepure64.gz"),
        ({"corepure64": b"none"}, r"boot/corepure64\.gz is damaged"),
        ({"corepure64": gzip.compress(bytes(range(256)))[:60]}, r"boot/corepure64\.gz is damaged"),
        ({"corepure64": gzip.compress(b"no cpio" * 100)}, "not a cpio archive at byte 0"),
        ({"corepure64": archives.packed(archives.root(BUSYBOX))}, "has no kernel modules"),
    ],
)
def test_what_is_missing_in_an_iso_is_named(tmp_path: Path, files: dict[str, bytes], words: str) -> None:
    with pytest.raises(BuildError, match=words) as caught:
        tinycore.kernel(iso(tmp_path, **files), None, (), tmp_path)
    assert "\n" not in caught.value.what
    assert caught.value.hint


def test_no_iso(tmp_path: Path) -> None:
    (tmp_path / "x").write_bytes(b"x" * 100_000)
    with pytest.raises(BuildError, match="is no ISO image"):
        tinycore.read(tmp_path / "x", tinycore.KERNEL)


def packages(libc: bytes = b"") -> Tree:
    """What comes from Debian."""
    tree = skeleton()
    tree.add_file("usr/bin/busybox", BUSYBOX, 0o755)
    tree.add_file("usr/share/ca-certificates/mozilla/A.crt", b"A\n")
    if libc:
        tree.add_file(f"{LIBRARIES}/libc.so.6", libc)
    return tree


def test_nothing_but_busybox_comes_along(tmp_path: Path) -> None:
    """No sudo, nobody who may do everything, none of the scripts that load extensions."""
    everything = packages()
    source = tinycore.root(iso(tmp_path, busybox=b"theirs" + BUSYBOX))
    assert source["usr/bin/sudo"].mode == 0o4755
    before = set(everything)
    tinycore.put_busybox(everything, source, LIBRARIES)
    assert set(everything) == before
    assert everything["usr/bin/busybox"].read().startswith(b"theirs")


def test_an_iso_without_busybox(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="has no bin/busybox"):
        tinycore.put_busybox(packages(), Tree(), LIBRARIES)


def dynamic() -> Tree:
    """A root whose BusyBox is linked with a C library and with others: a program of the locked packages."""
    folder, tree = tools.tree("userland"), Tree()
    tree.add_symlink("lib64", "lib")
    tree.add_file("bin/busybox", (folder / "usr/sbin/conntrack").read_bytes(), 0o755)
    for name in ("libc.so.6", "ld-linux-x86-64.so.2", *ONLY_THERE):
        tree.add_file(f"lib/{name}", (folder / LIBRARIES / name).read_bytes(), 0o755)
    return tree


def test_libraries_that_only_busybox_needs_come_along(tmp_path: Path) -> None:
    """What both have is Debian's: there can be only one C library."""
    source = tinycore.root(iso(tmp_path, corepure64=archives.packed(dynamic())))
    libc = (tools.tree("userland") / LIBRARIES / "libc.so.6").read_bytes()
    everything = packages(libc)
    tinycore.put_busybox(everything, source, LIBRARIES)
    added = {path for path in everything if path.startswith("usr/lib/lib")}
    assert added == {f"usr/lib/{name}" for name in ONLY_THERE}


def test_a_busybox_that_wants_a_newer_c_library_is_refused(tmp_path: Path) -> None:
    source = tinycore.root(iso(tmp_path, corepure64=archives.packed(dynamic())))
    with pytest.raises(BuildError, match=r"busybox wants the C library of GLIBC_2\.\d+, .*GLIBC_2\.3"):
        tinycore.put_busybox(packages(b"\0GLIBC_2.2.5\0GLIBC_2.3\0"), source, LIBRARIES)


def test_applets_that_this_busybox_lacks_are_debian_s(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    everything = packages()
    selection = userland.Selection(("/usr/bin/busybox",), (), (), ("cat", "nsenter", "sh"))
    monkeypatch.setattr(userland, "load_selection", lambda: selection)
    unpacked = type("Unpacked", (), {"tree": everything, "parts": lambda self, *names: "[]"})()
    monkeypatch.setattr(userland, "unpack", lambda *arguments: unpacked)
    path = iso(tmp_path, busybox=b"theirs" + archives.lacking(BUSYBOX))
    monkeypatch.setattr(downloads, "path", lambda pinned, b: path)
    notes: list[str] = []
    b = Build([tmp_path / "userland.tar", tmp_path / "parts.json"], tmp_path,
              lambda message: notes.append(str(message.get("note", ""))), {"epoch": EPOCH})  # fmt: skip
    userland.build_tinycore(Pinned("tinycore", "17.0", "file:///x", "0" * 64, "MIT"), "amd64", LIBRARIES, b)
    tree = Tree()
    tree.add_tar(b.outs[0])
    assert tree["usr/bin/cat"].target == "busybox"
    assert tree["usr/bin/nsenter"].target == "busybox.static"
    assert tree["usr/bin/busybox"].read().startswith(b"theirs")
    assert tree["usr/bin/busybox.static"].read() == BUSYBOX
    assert notes == ["userland: tinycore's BusyBox has no nsenter: they are Debian's"]
    assert '"tinycore"' in b.outs[1].read_text()


def test_a_stock_kernel_gets_all_that_it_has_and_what_it_lacks_is_said(tmp_path: Path) -> None:
    """Lists of modules are for kernels that are known; of others, the audit decides."""
    notes: list[str] = []
    outs = [tmp_path / "root.tar", tmp_path / "initramfs.tar", tmp_path / "report.txt"]
    b = Build(outs, tmp_path / "scratch", lambda message: notes.append(str(message.get("note", ""))))
    found = Kernel(tinycore.kernel(iso(tmp_path), None, (), tmp_path)[2])
    found.tree.add_file(f"{FOLDER}/config", CONFIG)
    modules.choose_modules(
        found, ("tinycore", "amd64"), modules.LISTS, modules.Programs(), EPOCH, b, lenient=True
    )
    tree = Tree()
    tree.add_tar(outs[0])
    assert {path.rpartition("/")[2] for path in tree if path.endswith(".ko")} >= {"ext4.ko", "beta.ko"}
    assert any("has no module, and lists none as built in: squashfs, overlay" in note for note in notes)


def test_a_stock_kernel_starts_from_sticks_too() -> None:
    """The initramfs' sections for disks and USB are not for virtual machines alone."""
    rules = read_list(modules.LISTS / "initramfs.modules", ("tinycore", "amd64"))
    assert {"usb-storage", "mmc_block", "squashfs"} <= {rule.pattern for rule in rules}


def test_a_kernel_without_iptables_does_not_carry_a_payload_that_wants_them(tmp_path: Path) -> None:
    """The audit has a file of its own where the payload asks for more."""
    target = TARGET.variant("x", payload="kubesolo")
    assert kernel_task.audit_table(target) != kernel_task.audit_table(TARGET)
    [task] = kernel_task.audit_tasks(target)
    recipe = task["meta"]["artifact"].build  # type: ignore[index]
    assert "iptables" in recipe.args[1]
    config, empty = tmp_path / "config", Tree()
    config.write_text("CONFIG_IP_NF_NAT=m\nCONFIG_X=y\n")
    empty.write_tar(tmp_path / "modules.tar", EPOCH)
    b = Build([tmp_path / "audit.txt"], tmp_path)
    with pytest.raises(BuildError, match=r"CONFIG_IP_NF_IPTABLES: not set(.|\n)*iptable_nat\.ko"):
        kernel_task.build_audit(
            "x", recipe.args[1], config, tmp_path / "modules.tar", tmp_path / "modules.tar", b
        )
    assert not b.out.exists()


def test_the_command_prints_what_any_of_them_carries(tmp_path: Path) -> None:
    """./doit extract-kernel-config FILE."""
    (tmp_path / "vmlinuz").write_bytes(bzimage(gzip.compress(with_configuration())))
    (tmp_path / "configs.ko.gz").write_bytes(gzip.compress(with_configuration()))
    for path in (tmp_path / "vmlinuz", tmp_path / "configs.ko.gz", iso(tmp_path)):
        assert extract_kernel_config.of_file(path).decode() == CONFIG
    (tmp_path / "x").write_bytes(b"x" * 10_000)
    for name, words in (("x", "carries no configuration"), ("gone", "can not be read")):
        with pytest.raises(BuildError, match=words):
            extract_kernel_config.of_file(tmp_path / name)
