import gzip
from pathlib import Path

import pytest

from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.kernel.modules import (
    Kernel,
    Selection,
    close,
    decompress,
    index,
    module_name,
    parse_module,
    softdep_words,
    unsigned,
    with_softdeps,
)
from tests.unit.kernel_objects import FOLDER, MODULES, RELEASE, kernel_tree, ko


@pytest.fixture(scope="session")
def depmod() -> list[str]:
    return tools.command("depmod")


def chosen(*names: str) -> tuple[Kernel, Selection]:
    kernel = Kernel(kernel_tree())
    return kernel, close(kernel, names)


def test_names_are_the_kernels() -> None:
    assert module_name("kernel/drivers/net/mdio-lib.ko.xz") == "mdio_lib"
    assert module_name("virtio-rng") == "virtio_rng"


def test_every_packing_is_read_and_damage_is_named() -> None:
    data = MODULES["lib/crc16"]
    assert decompress("a.ko", data) == decompress("a.ko.gz", gzip.compress(data)) == data
    for path in ("kernel/a.ko.xz", "kernel/a.ko.gz"):
        with pytest.raises(BuildError, match=r"kernel/a\.ko\.[xg]z: damaged"):
            decompress(path, b"no archive")
    with pytest.raises(BuildError, match=r"kernel/a\.ko: not an ELF object"):
        parse_module("kernel/a.ko", b"no object")


def test_signature_is_taken_off() -> None:
    data = MODULES["lib/crc16"]
    signature = b"s" * 300
    header = bytes([0, 0, 2, 0, 0, 0, 0, 0]) + len(signature).to_bytes(4)
    assert unsigned(data + signature + header + b"~Module signature appended~\n") == data
    assert unsigned(data) == data


def test_module_information() -> None:
    module = parse_module(
        "kernel/fs/a-b.ko",
        ko("x-y,z", info=[("softdep", "pre: p q post: r"), ("firmware", "f.bin"), ("alias", "fs-ab")]),
    )
    assert (module.name, module.depends) == ("a_b", ("x_y", "z"))
    assert (module.wants, module.before) == (("p", "q", "r"), ("p", "q"))
    assert (module.firmware, module.aliases) == (("f.bin",), ("fs-ab",))


def test_softdep_words_without_a_kind_come_neither_before_nor_after() -> None:
    assert softdep_words("gcm pre: a") == [("", "gcm"), ("pre:", "a")]


def test_a_module_brings_what_it_depends_on() -> None:
    kernel, selection = chosen("ext4", "alpha")
    assert kernel.release == RELEASE
    assert list(selection.modules) == ["alpha", "crc16", "ext4", "jbd2", "mdio_lib"]
    assert selection.modules["ext4"].path == "kernel/fs/ext4/ext4.ko"


def test_softdeps_by_name_come_along_and_unanswered_ones_are_reported() -> None:
    modules = {**MODULES, "fs/soft": ko(info=[("softdep", "pre: mdio-lib fuse fs-fuse")])}
    selection = close(Kernel(kernel_tree(modules)), ["soft", "jbd2"])
    assert list(selection.modules) == ["jbd2", "mdio_lib", "soft"]
    assert selection.unmet == (("jbd2", "crypto-crc32c"),)
    assert close(Kernel(kernel_tree(modules)), ["jbd2", "crc32c_generic"]).unmet == ()


def test_a_dependency_may_be_built_in() -> None:
    modules = {"fs/user": ko("fuse,aes_generic")}
    assert list(close(Kernel(kernel_tree(modules)), ["user"]).modules) == ["user"]


def test_a_dependency_that_the_kernel_lacks_is_named() -> None:
    kernel = Kernel(kernel_tree({"fs/user": ko("ghost")}))
    with pytest.raises(BuildError, match=r"kernel/fs/user\.ko depends on ghost"):
        close(kernel, ["user"])


def test_two_modules_of_one_name_are_refused() -> None:
    with pytest.raises(BuildError, match="two modules are called a_b"):
        Kernel(kernel_tree({"fs/a-b": ko(), "net/a_b": ko()}))


def test_two_releases_are_refused() -> None:
    tree = kernel_tree()
    tree.add_file("usr/lib/modules/6.13/kernel/a.ko", ko())
    with pytest.raises(BuildError, match="has 2"):
        Kernel(tree)


def test_depmod_indexes_the_reduced_tree(depmod: list[str], tmp_path: Path) -> None:
    kernel, selection = chosen("ext4", "beta", "crc32c_generic")
    files = index(kernel, selection, depmod, tmp_path)
    dep = files["modules.dep"].decode()
    lines = dict(line.split(":") for line in dep.splitlines())
    assert sorted(lines["kernel/fs/ext4/ext4.ko"].split()) == [
        "kernel/fs/jbd2/jbd2.ko",
        "kernel/lib/crc16.ko",
    ]
    assert "alpha" not in dep
    assert b"alias pci:v00008086d* beta\n" in files["modules.alias"]
    assert files["modules.order"] == (
        b"kernel/lib/crc16.ko\nkernel/crypto/crc32c_generic.ko\nkernel/fs/jbd2/jbd2.ko\n"
        b"kernel/fs/ext4/ext4.ko\nkernel/drivers/net/ethernet/maker/beta/beta.ko\n"
    )
    assert {"modules.dep.bin", "modules.alias.bin", "modules.builtin.bin", "modules.softdep"} <= files.keys()


def test_indexes_do_not_depend_on_the_order_of_writing(depmod: list[str], tmp_path: Path) -> None:
    kernel, selection = chosen("ext4", "alpha", "beta")
    turned = Selection(dict(reversed(list(selection.modules.items()))), selection.unmet)
    first = index(kernel, selection, depmod, tmp_path / "a")
    assert first == index(kernel, turned, depmod, tmp_path / "some" / "other" / "place")


def test_softdeps_become_dependencies_for_busybox(depmod: list[str], tmp_path: Path) -> None:
    kernel, selection = chosen("ext4", "crc32c_generic", "crc32c_intel")
    dep = index(kernel, selection, depmod, tmp_path)["modules.dep"].decode()
    lines = with_softdeps(dep, selection).splitlines()
    # jbd2 first wants crc32c; the driver for one kind of processor could fail, so it is not among them.
    assert "kernel/fs/jbd2/jbd2.ko: kernel/crypto/crc32c_generic.ko" in lines
    ext4 = next(line for line in lines if line.startswith("kernel/fs/ext4/"))
    words = ext4.split()[1:]
    assert sorted(words) == [
        "kernel/crypto/crc32c_generic.ko",
        "kernel/fs/jbd2/jbd2.ko",
        "kernel/lib/crc16.ko",
    ]
    assert words.index("kernel/fs/jbd2/jbd2.ko") < words.index("kernel/crypto/crc32c_generic.ko")


def test_a_circle_of_softdeps_ends() -> None:
    modules = {"a": ko("b", info=[("softdep", "pre: c")]), "b": ko(), "c": ko(info=[("softdep", "pre: a")])}
    selection = close(Kernel(kernel_tree(modules)), ["a", "c"])
    dep = "kernel/a.ko: kernel/b.ko\nkernel/b.ko:\nkernel/c.ko:\n"
    assert with_softdeps(dep, selection).splitlines() == [
        "kernel/a.ko: kernel/c.ko kernel/b.ko",
        "kernel/b.ko:",
        "kernel/c.ko: kernel/a.ko kernel/b.ko",
    ]


def test_the_kernels_folder() -> None:
    kernel = Kernel(kernel_tree())
    assert kernel.folder == FOLDER
    assert kernel.text("config").startswith("CONFIG_EXT4_FS=m")
    assert kernel.text("modules.weakdep") == ""
