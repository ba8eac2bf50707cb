import shutil
import subprocess
from pathlib import Path

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.formats.elf import closure, linking
from tasks.lib.formats.tree import Tree

FOLDERS = ["usr/lib"]


def needs_compiler() -> str:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if compiler is None:
        pytest.skip("no C compiler on this host; the userland task's own test uses locked packages instead")
    return compiler


def compile_files(folder: Path) -> Path:
    """usr/bin/app needs libone.so.1 (a link), which needs libtwo.so through RUNPATH $ORIGIN/private."""
    compiler = needs_compiler()
    private = folder / "private"
    private.mkdir()
    (folder / "two.c").write_text("int two(void) { return 2; }")
    (folder / "one.c").write_text("int two(void); int one(void) { return two(); }")
    (folder / "app.c").write_text("int one(void); void _start(void) { one(); }")
    flags = ["-nostdlib", "-fPIC", "-Wl,--enable-new-dtags"]
    steps = [
        [*flags, "-shared", "-Wl,-soname,libtwo.so", "two.c", "-o", "private/libtwo.so"],
        [*flags, "-shared", "-Wl,-soname,libone.so.1", "-Wl,-rpath,$ORIGIN/private", "one.c",
         "private/libtwo.so", "-o", "libone.so.1.0"],
        [*flags, "app.c", "libone.so.1.0", "-Wl,--allow-shlib-undefined", "-o", "app"],
    ]  # fmt: skip
    for step in steps:
        subprocess.run([compiler, *step], cwd=folder, check=True)
    return folder


def sample(folder: Path) -> Tree:
    tree = Tree()
    tree.add_symlink("lib", "usr/lib")
    tree.add_symlink("lib64", "usr/lib64")
    tree.add_file("usr/bin/app", folder / "app", 0o755)
    tree.add_file("usr/lib/libone.so.1.0", folder / "libone.so.1.0")
    tree.add_symlink("usr/lib/libone.so.1", "libone.so.1.0")
    tree.add_file("usr/lib/private/libtwo.so", folder / "private/libtwo.so")
    tree.add_file("usr/lib/unused.so", folder / "libone.so.1.0")
    loader = linking((folder / "app").read_bytes())
    assert loader is not None
    tree.add_symlink("usr/bin/run", "../bin/app")
    tree.add_file(loader.loader, b"#!loader", 0o755)
    return tree


def test_closure_follows_libraries_links_and_runpath(tmp_path: Path) -> None:
    tree = sample(compile_files(tmp_path))
    found = closure(tree, ["/usr/bin/run"], FOLDERS)
    assert set(found) >= {
        "usr/bin/run",
        "usr/bin/app",
        "usr/lib/libone.so.1",
        "usr/lib/libone.so.1.0",
        "usr/lib/private/libtwo.so",
    }
    assert "usr/lib/unused.so" not in found
    assert [path for path in found if "ld-" in path], "the loader is missing"


def test_a_missing_library_is_named_with_who_needs_it(tmp_path: Path) -> None:
    tree = sample(compile_files(tmp_path))
    tree.remove("usr/lib/private")
    with pytest.raises(BuildError, match=r"libtwo\.so is needed by usr/lib/libone\.so\.1\.0"):
        closure(tree, ["usr/bin/app"], FOLDERS)


def test_a_library_of_another_machine_does_not_count(tmp_path: Path) -> None:
    tree = sample(compile_files(tmp_path))
    alien = bytearray((tmp_path / "libone.so.1.0").read_bytes())
    alien[18:20] = (8).to_bytes(2, "little")  # e_machine: MIPS
    tree.add_file("usr/lib/libone.so.1.0", bytes(alien))
    with pytest.raises(BuildError, match=r"libone\.so\.1 is needed by usr/bin/app"):
        closure(tree, ["usr/bin/app"], FOLDERS)


def test_a_missing_program_is_named() -> None:
    with pytest.raises(BuildError, match="usr/sbin/nft is wanted by the list of programs"):
        closure(Tree(), ["usr/sbin/nft"], FOLDERS)


def test_scripts_need_nothing() -> None:
    tree = Tree()
    tree.add_file("usr/bin/script", "#!/bin/sh\n", 0o755)
    assert closure(tree, ["usr/bin/script"], FOLDERS) == ["usr/bin/script"]
    assert linking(b"#!/bin/sh") is None
