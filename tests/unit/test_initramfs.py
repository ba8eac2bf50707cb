import hashlib
from pathlib import Path

from libarchive.read import file_reader

from tasks import initramfs, rootfs
from tasks.lib.engine import Build
from tasks.lib.formats import cpio
from tasks.lib.formats.tree import Tree
from tests.unit.targets import EPOCH, STUB, TARGET, VALUES


def images(folder: Path) -> dict[str, Path]:
    found = {}
    for name in ("root.squashfs", "payload.squashfs", "overlay.squashfs"):
        found[name] = folder / name
        found[name].write_bytes(b"hsqs" + name.encode())
    return found


def unpack(segment: Path) -> dict[str, bytes]:
    with file_reader(str(segment)) as archive:
        return {entry.pathname: b"".join(entry.get_blocks()) for entry in archive}


def test_the_image_list_names_digest_size_and_order(tmp_path: Path) -> None:
    found = images(tmp_path)
    rows = initramfs.init_tree(found)[initramfs.IMAGE_LIST].read().decode().splitlines()
    assert [row.split()[2] for row in rows] == ["root.squashfs", "payload.squashfs", "overlay.squashfs"]
    for row in rows:
        digest, size, name = row.split()
        assert digest == hashlib.sha256(found[name].read_bytes()).hexdigest()
        assert int(size) == found[name].stat().st_size


def test_the_stages_and_init_are_where_init_looks(tmp_path: Path) -> None:
    tree = initramfs.init_tree(images(tmp_path))
    assert tree["init"].mode == 0o755
    stages = [path for path in tree if path.startswith("lib/kubesolo-init/stages/")]
    assert [Path(path).name for path in stages] == sorted(
        path.name for path in (initramfs.INIT / "stages").iterdir()
    )


def test_the_layers_are_the_ones_on_the_medium() -> None:
    stub, product = rootfs.layers(STUB), rootfs.layers(TARGET)
    assert list(stub) == list(product)
    assert next(iter(stub)) == "root.squashfs"
    assert list(stub)[-1] == "overlay.squashfs"
    differing = {name for name in stub if stub[name] != product[name]}
    # The overlay of a target for tests says that it is one.
    assert differing == {"payload.squashfs", "containers.squashfs", "overlay.squashfs"}


def test_segments_are_packed_the_same_twice(tmp_path: Path) -> None:
    tree = initramfs.init_tree(images(tmp_path))
    first, second = tmp_path / "one.zst", tmp_path / "two.zst"
    for out in (first, second):
        initramfs.write_segment(tree, out, EPOCH, tmp_path)
    assert first.read_bytes() == second.read_bytes()
    assert unpack(first)["etc/kubesolo-os/root.images"].count(b"\n") == 3


def test_an_edited_stage_repacks_only_the_small_segment(tmp_path: Path) -> None:
    drivers = tmp_path / "drivers.zst"
    initramfs.write_segment(Tree(), drivers, EPOCH, tmp_path)
    out = tmp_path / "kubesolo-os.gz"
    layers = tuple(images(tmp_path).items())
    initramfs.build_initramfs(drivers, layers, Build([out], tmp_path, values=VALUES))
    data = out.read_bytes()
    assert data.startswith(drivers.read_bytes())
    assert len(data) - drivers.stat().st_size < 64 << 10


def test_all_in_one_holds_the_images_as_they_are(tmp_path: Path) -> None:
    segment = tmp_path / "segment"
    segment.write_bytes(b"compressed!")
    found = images(tmp_path)
    out = tmp_path / "all"
    initramfs.write_all_in_one(segment, found, out, EPOCH)
    data = out.read_bytes()
    assert data.startswith(b"compressed!\0" + cpio.MAGIC.encode())
    assert all(path.read_bytes() in data for path in found.values())
    (tmp_path / "second").write_bytes(data[12:])
    assert [path for path in unpack(tmp_path / "second") if "squashfs" in path] == [
        "boot/overlay.squashfs",
        "boot/payload.squashfs",
        "boot/root.squashfs",
    ]
