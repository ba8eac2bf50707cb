import io
import tarfile
from pathlib import Path

import pytest

from tasks.lib.debian import tools
from tasks.lib.errors import BuildError
from tasks.lib.formats.packages import add_deb
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import TOP
from tasks.lib.process import run
from tasks.skeleton import skeleton
from tasks.userland import BUNDLE, SELECTION, Selection, load_selection, select

LIBRARIES = "usr/lib/x86_64-linux-gnu"


def everything() -> Tree:
    tree = skeleton()
    tree.add_file("usr/bin/busybox", b"\x00cat\x00modprobe\x00sh\x00", 0o755)
    tree.add_file("usr/bin/kmod", b"#!kmod", 0o755)
    tree.add_symlink("usr/sbin/modprobe", "../bin/kmod")
    tree.add_file("usr/share/doc/kmod/copyright", b"text")
    tree.add_file("usr/share/ca-certificates/mozilla/B.crt", b"B")
    tree.add_file("usr/share/ca-certificates/mozilla/A.crt", b"A\n")
    tree.add_file("etc/mke2fs.conf", b"conf")
    return tree


def selection(**changes: tuple[str, ...]) -> Selection:
    values = {
        "programs": ("/usr/bin/busybox", "/usr/sbin/modprobe"),
        "libraries": (),
        "files": ("/etc/mke2fs.conf",),
        "applets": ("cat", "modprobe", "sh"),
    }
    return Selection(**{**values, **changes})


def test_only_what_is_chosen_is_taken() -> None:
    tree = select(everything(), selection(), LIBRARIES)
    assert [path for path, entry in tree.items() if entry.kind != "dir"] == [
        "bin",
        "etc/mke2fs.conf",
        BUNDLE,
        "lib",
        "lib64",
        "sbin",
        "usr/bin/busybox",
        "usr/bin/cat",
        "usr/bin/kmod",
        "usr/bin/modprobe",
        "usr/bin/sh",
        "usr/sbin",
    ]
    assert tree[BUNDLE].read() == b"A\nB\n"


def test_programs_win_over_applets_and_are_found_in_every_folder() -> None:
    tree = select(everything(), selection(), LIBRARIES)
    assert tree["usr/bin/modprobe"].target == "../bin/kmod"
    for path in ("sbin/modprobe", "usr/sbin/modprobe", "bin/modprobe"):
        assert tree.resolve(path) == "usr/bin/kmod"
    assert tree.resolve("bin/sh") == "usr/bin/busybox"


def test_an_applet_that_busybox_lacks_is_named() -> None:
    with pytest.raises(BuildError, match="no applet telnetd"):
        select(everything(), selection(applets=("telnetd",)), LIBRARIES)


def test_a_missing_program_or_file_is_named() -> None:
    with pytest.raises(BuildError, match="/usr/sbin/nft"):
        select(everything(), selection(programs=("/usr/bin/busybox", "/usr/sbin/nft")), LIBRARIES)
    with pytest.raises(BuildError, match="/etc/gone"):
        select(everything(), selection(files=("/etc/gone",)), LIBRARIES)


def test_the_selection_of_the_product_is_readable_and_has_no_servers() -> None:
    found = load_selection(SELECTION)
    assert "/usr/sbin/nft" in found.programs
    assert not {"telnetd", "httpd", "ftpd", "tftpd", "inetd", "sshd"} & set(found.applets)
    assert len(set(found.applets)) == len(found.applets)


@pytest.mark.parametrize(
    ("text", "message"), [("programs = [", "userland"), ("programme = []", "programme"), ("", "programs")]
)
def test_a_broken_selection_names_the_file(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "userland.toml").write_text(text)
    with pytest.raises(BuildError, match=message):
        load_selection(tmp_path / "userland.toml")


def make_deb(path: Path, members: list[tuple[tarfile.TarInfo, bytes]]) -> Path:
    data = io.BytesIO()
    with tarfile.open(fileobj=data, mode="w:xz") as tar:
        for header, content in members:
            header.size = len(content)
            tar.addfile(header, io.BytesIO(content))
    body = data.getvalue()
    name = f"{'data.tar.xz':<16}{0:<12}{0:<6}{0:<6}{100644:<8}{len(body):<10}`\n"
    path.write_bytes(b"!<arch>\n" + name.encode() + body)
    return path


def member(path: str, content: bytes = b"", link: str = "") -> tuple[tarfile.TarInfo, bytes]:
    header = tarfile.TarInfo(path)
    if link:
        header.type, header.linkname = tarfile.SYMTYPE, link
    return header, content


def test_packages_become_trees_with_their_modes(tmp_path: Path) -> None:
    program = tarfile.TarInfo("./bin/su")
    program.mode = 0o4755
    link = tarfile.TarInfo("./bin/again")
    link.type, link.linkname = tarfile.LNKTYPE, "./bin/su"
    tree = skeleton()
    add_deb(tree, make_deb(tmp_path / "x.deb", [(program, b"su"), (link, b"")]))
    assert tree["usr/bin/su"].mode == 0o4755
    assert tree["usr/bin/again"].read() == b"su"


def test_a_package_with_a_device_is_refused(tmp_path: Path) -> None:
    device = tarfile.TarInfo("./dev/null")
    device.type = tarfile.CHRTYPE
    with pytest.raises(BuildError, match="dev/null"):
        add_deb(skeleton(), make_deb(tmp_path / "x.deb", [(device, b"")]))


def test_every_database_that_nsswitch_reads_from_files_is_on_the_node() -> None:
    """Without /etc/protocols nft prints numbers and kube-proxy deletes its own map elements every hour."""
    chosen = set(load_selection().files)
    for line in (TOP / "overlay/etc/nsswitch.conf").read_text().splitlines():
        database, _, sources = line.partition(":")
        if "files" in sources.split():
            path = f"/etc/{database}"
            overlay = TOP / "overlay" / path[1:]
            assert path in chosen or overlay.is_symlink() or overlay.is_file(), path


def test_a_package_s_bytes_can_lie_in_a_file(tmp_path: Path) -> None:
    deb = make_deb(tmp_path / "p.deb", [member("./usr/bin/x", b"x" * 5000), member("./usr/bin/y", b"yy")])
    held, spooled = Tree(), Tree()
    assert add_deb(held, deb) == add_deb(spooled, deb, tmp_path / "spool")
    assert all(not isinstance(entry.content, bytes) for _, entry in spooled.items() if entry.kind == "file")
    for tree, name in ((held, "a.tar"), (spooled, "b.tar")):
        tree.write_tar(tmp_path / name, 0)
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()


def test_every_applet_is_one_that_busybox_has() -> None:
    """Its name among BusyBox' texts is not enough: `nice` is a word there, and no applet of this one."""
    found = run([*tools.command("busybox"), "--list"]).stdout.decode().split()
    assert set(load_selection().applets) - set(found) == set()
