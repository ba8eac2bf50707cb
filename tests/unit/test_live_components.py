"""Components of the Live CD that are downloaded: what projects hand out, from a local server."""

from __future__ import annotations

import hashlib
import io
import tarfile
from pathlib import Path

import pytest

from tasks import livecomponents
from tasks.lib.engine import Build
from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tests.unit.mirror_server import Mirror

EPOCH = 1_795_219_200
TEXT = b"see https://example.org\n"


def program(name: str) -> bytes:
    return b"\x7fELF" + name.encode()


def packed(files: dict[str, bytes], compression: str = "gz") -> bytes:
    """A tar with folders, as the projects make them."""
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode=f"w:{compression}") as tar:  # type: ignore[call-overload]
        for path, content in files.items():
            folder = tarfile.TarInfo(str(Path(path).parent))
            folder.type = tarfile.DIRTYPE
            tar.addfile(folder)
            member = tarfile.TarInfo(path)
            member.size, member.mode = len(content), 0o755
            tar.addfile(member, io.BytesIO(content))
    return buffer.getvalue()


def built(name: str, mirror: Mirror, folder: Path, file: str, content: bytes, sha256: str = "") -> Tree:
    """What a component is made of when the server has this file."""
    mirror.files[f"/{file}"] = content
    folder.mkdir(exist_ok=True)
    b = Build([folder / "out.tar"], folder, values={"epoch": EPOCH})
    digest = sha256 or hashlib.sha256(content).hexdigest()
    livecomponents.build_downloaded(name, f"{mirror.address}/{file}", digest, b)
    tree = Tree()
    tree.add_tar(b.out)
    return tree


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("name", "file", "content", "paths"),
    [
        ("kubelet", "v1.36.3/bin/linux/amd64/kubelet", program("kubelet"), ["usr/bin/kubelet"]),
        ("kube-proxy", "bin/kube-proxy", program("kube-proxy"), ["usr/local/bin/kube-proxy"]),
        ("crun", "crun-1.21-linux-amd64", program("crun"), ["usr/bin/crun"]),
        (
            "containerd",
            "containerd-2.3.7-linux-amd64.tar.gz",
            packed({f"bin/{name}": program(name) for name in (
                "containerd", "containerd-shim-runc-v2", "containerd-stress", "ctr",
            )}),
            ["usr/bin/containerd", "usr/bin/containerd-shim-runc-v2", "usr/bin/ctr"],
        ),
        (
            "crictl",
            "crictl-v1.36.0-linux-amd64.tar.gz",
            packed({"crictl": program("crictl")}),
            ["usr/bin/crictl"],
        ),
        (
            "cni",
            "cni-plugins-linux-amd64-v1.9.1.tgz",
            packed({"./LICENSE": TEXT, "./bridge": program("bridge"), "./vlan": program("vlan")}),
            ["opt/cni/bin/bridge", "opt/cni/bin/vlan"],
        ),
        (
            "etcd",
            "etcd-v3.6.8-linux-amd64.tar.gz",
            packed({f"etcd-v3.6.8-linux-amd64/{name}": program(name) for name in ("etcd", "etcdctl")}),
            ["usr/local/bin/etcd"],
        ),
        (
            "kubectl",
            "kubernetes-client-linux-amd64.tar.xz",
            packed({"kubernetes/client/bin/kubectl": program("kubectl")}, "xz"),
            ["usr/bin/kubectl"],
        ),
    ],
)  # fmt: skip
def test_what_projects_hand_out(
    mirror: Mirror, tmp_path: Path, name: str, file: str, content: bytes, paths: list[str]
) -> None:
    tree = built(name, mirror, tmp_path / "b", file, content)
    files = [path for path, entry in tree.items() if entry.kind == "file"]
    assert files == paths
    assert all(tree[path].read() == program(Path(path).name) for path in files)
    assert all(tree[path].mode == 0o755 for path in files)
    built(name, mirror, tmp_path / "b", file, content)
    assert len(mirror.requests) == 1, "the second time it comes from the cache"


@pytest.mark.usefixtures("checkout")
@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("containerd", packed({"bin/ctr": program("ctr")}), "has no program containerd, containerd-shim"),
        ("kubelet", TEXT, "is neither a program nor a tar"),
        ("containerd", program("containerd"), "is one program, wanted are containerd"),
        ("kubelet", packed({"a/kubelet": TEXT}), "has no program kubelet; it has none"),
    ],
)
def test_the_wrong_file_is_refused(
    mirror: Mirror, tmp_path: Path, name: str, content: bytes, said: str
) -> None:
    with pytest.raises(BuildError, match=said) as error:
        built(name, mirror, tmp_path / "b", "file", content)
    assert mirror.address in error.value.what
    assert "versions.toml" in error.value.hint
    assert not (tmp_path / "b" / "out.tar").exists()


@pytest.mark.usefixtures("checkout")
def test_another_digest_is_refused(mirror: Mirror, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=f"expected SHA-256 {'0' * 64}"):
        built("kubelet", mirror, tmp_path / "b", "kubelet", program("kubelet"), "0" * 64)


@pytest.mark.usefixtures("checkout")
def test_a_missing_file_is_named(mirror: Mirror, tmp_path: Path) -> None:
    b = Build([tmp_path / "out.tar"], tmp_path, values={"epoch": EPOCH})
    with pytest.raises(BuildError, match="/gone: the server answered 404"):
        livecomponents.build_downloaded("kubelet", f"{mirror.address}/gone", "0" * 64, b)


@pytest.mark.usefixtures("checkout")
def test_nothing_is_asked_for_offline(
    mirror: Mirror, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KUBESOLO_OFFLINE", "1")
    with pytest.raises(BuildError, match="the network is not to be used"):
        built("kubelet", mirror, tmp_path / "b", "kubelet", program("kubelet"))
    assert mirror.requests == []
