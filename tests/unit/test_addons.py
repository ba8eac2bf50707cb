from pathlib import Path

import pytest

from tasks import addons, testimages
from tasks.lib.arch import AMD64
from tasks.lib.debian import tools
from tasks.lib.debian.lockfile import load_lock
from tasks.lib.engine import Build
from tasks.lib.errors import BuildError
from tasks.lib.formats import oci
from tasks.lib.release.imagenames import VERSIONS, reference, versions
from tests.images.layout import Layout, read_layout
from tests.unit.targets import VALUES


def recipe(folder: Path) -> Build:
    scratch = folder / "scratch"
    scratch.mkdir()
    return Build([folder / "image.tar"], scratch, values=VALUES)


def built(b: Build) -> Layout:
    layout = read_layout(b.out)
    assert layout.problems() == []
    return layout


def packages(monkeypatch: pytest.MonkeyPatch, root: Path) -> None:
    monkeypatch.setattr(tools, "tree", lambda *_: root)


def upstream(package: str) -> str:
    """The upstream part of a locked version: 1:1.26.3-3+deb13u10 -> 1.26.3 (deb-version(7))."""
    found = next(entry for entry in load_lock().packages.values() if entry.name == package)
    return found.version.partition(":")[2].rpartition("-")[0] or found.version.rpartition("-")[0]


def elf(machine: int = 62) -> bytes:
    """The smallest ELF file: a 64-bit header without segments or sections (System V ABI)."""
    ident = b"\x7fELF\x02\x01\x01" + bytes(9)
    numbers = (2, machine)
    header = b"".join(number.to_bytes(2, "little") for number in numbers)
    header += (1).to_bytes(4, "little") + bytes(8 * 3) + bytes(4)
    return ident + header + b"".join(number.to_bytes(2, "little") for number in (64, 56, 0, 64, 0, 0))


def test_versions_are_those_of_the_locked_packages() -> None:
    assert versions()["pause"] == upstream("catatonit")
    assert versions(testimages.SOURCE / "versions")["nginx"] == upstream("nginx")


def test_the_real_go_mod_builds_the_named_coredns() -> None:
    addons.check_coredns_version(addons.COREDNS_SOURCE / "go.mod", versions()["coredns"])


def test_another_coredns_than_the_named_one_is_refused(tmp_path: Path) -> None:
    go_mod = tmp_path / "go.mod"
    go_mod.write_text("module x\n\nrequire github.com/coredns/coredns v1.2.3\n")
    with pytest.raises(BuildError, match=r"requires CoreDNS 1\.2\.3, but versions says 1\.2\.4"):
        addons.check_coredns_version(go_mod, "1.2.4")


@pytest.mark.parametrize("text", ["coredns\n", "a 1\na 2\n", "a 1 x\n", "\n"])
def test_a_bad_versions_file_names_the_line(tmp_path: Path, text: str) -> None:
    path = tmp_path / "versions"
    path.write_text(text)
    with pytest.raises(BuildError, match=rf"versions:{text.count(chr(10))}: is not NAME VERSION"):
        versions(path)


def test_an_unknown_image_is_refused() -> None:
    with pytest.raises(BuildError, match="has no line for nonesuch"):
        reference("nonesuch", VERSIONS)


def test_pause_is_catatonit_without_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "root/usr/bin/catatonit"
    program.parent.mkdir(parents=True)
    program.write_bytes(elf())
    packages(monkeypatch, tmp_path / "root")
    b = recipe(tmp_path)
    addons.build_pause(AMD64, b)
    layout = built(b)
    assert layout.name == reference("pause")
    assert layout.config["config"]["Entrypoint"] == ["/pause", "-P"]
    assert layout.config["config"]["User"] == "65535:65535"
    with layout.layer() as tar:
        assert [(member.name, member.mode) for member in tar] == [("pause", 0o755)]


def test_a_pause_that_is_no_program_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "root/usr/bin/catatonit"
    program.parent.mkdir(parents=True)
    program.write_text("#!/bin/sh\n")
    packages(monkeypatch, tmp_path / "root")
    b = recipe(tmp_path)
    with pytest.raises(BuildError, match="not a static program"):
        addons.build_pause(AMD64, b)
    assert not b.out.exists()


def test_coredns_runs_without_rights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        addons, "compile_program", lambda _module, _program, out, _arch, _progress: out.write_bytes(elf())
    )
    b = recipe(tmp_path)
    addons.build_coredns(AMD64, b)
    layout = built(b)
    assert layout.name == reference("coredns")
    assert layout.config["config"]["User"] == "65532:65532"
    with layout.layer() as tar:
        assert tar.getnames() == ["coredns"]


def test_a_failed_compilation_leaves_no_image(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(addons, "COREDNS_SOURCE", tmp_path)
    monkeypatch.setattr(addons, "check_coredns_version", lambda *_: None)
    (tmp_path / "go.mod").write_text("module x\n\ngo 1.26.8\n")
    (tmp_path / "main.go").write_text("package main\n\nfunc main() { nonsense }\n")
    b = recipe(tmp_path)
    with pytest.raises(BuildError, match="nonsense"):
        addons.build_coredns(AMD64, b)
    assert not b.out.exists()


def test_the_workload_has_program_page_and_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    root = tmp_path / "root"
    for path, data in {
        "usr/sbin/nginx": elf(),
        "usr/bin/busybox": elf(),
        "usr/share/doc/nginx/copyright": b"not wanted",
        "etc/nginx/mime.types": b"types { }\n",
    }.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(data)
    packages(monkeypatch, root)
    b = recipe(tmp_path)
    testimages.build_nginx("amd64", AMD64.libraries, b)
    layout = built(b)
    assert layout.name == testimages.nginx_reference() == "kubesolo.io/test/nginx:1.26.3"
    with layout.layer() as tar:
        names = tar.getnames()
        assert tar.getmember("tmp").mode == 0o1777
        assert tar.getmember("usr/bin/nslookup").linkname == "busybox"
        page = tar.extractfile("usr/share/nginx/html/index.html")
        assert page is not None
        assert b"nginx runs on KubeSolo OS" in page.read()
    assert {"usr/sbin/nginx", "etc/nginx/nginx.conf", "etc/nginx/mime.types", "bin", "lib64"} <= set(names)
    assert "usr/share/doc/nginx/copyright" not in names


def test_images_do_not_depend_on_the_umask(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    digests = set()
    for mode in (0o700, 0o755):
        monkeypatch.setattr(
            addons,
            "compile_program",
            lambda _module, _program, out, _arch, _progress, mode=mode: write(out, mode),
        )
        folder = tmp_path / oct(mode)
        folder.mkdir()
        b = recipe(folder)
        addons.build_coredns(AMD64, b)
        digests.add(oci.file_blob("", b.out).sha256)
    assert len(digests) == 1


def write(out: Path, mode: int) -> None:
    out.write_bytes(elf())
    out.chmod(mode)
