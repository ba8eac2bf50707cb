"""What is in each product, compared with the lists that were reviewed last.

When a change is meant: ./doit test tests/products --write-golden, and read what git diff shows.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from dodo import LIVE, PRODUCTS, TARGETS
from tasks import initramfs, live, rootfs
from tasks.lib.release.product import Product
from tasks.lib.target import Target
from tests.products import listing

GOLDEN = Path(__file__).with_name("golden")
MEDIA: dict[str, Callable[[Path], str]] = {
    "iso": lambda path: listing.archive(path.read_bytes()),
    "disk-image": listing.disk,
    "live-iso": lambda path: listing.archive(path.read_bytes()),
}


def layer_cases() -> Iterator[tuple[str, Path]]:
    """Golden name and image of each root image; what targets share is looked at once."""
    seen = set()
    for target in TARGETS:
        for name, path in rootfs.layers(target).items():
            if path not in seen:
                seen.add(path)
                yield golden(target, name), path


def golden(target: Target, name: str) -> str:
    return f"{target.arch.name}/{target.task(name)}"


def compare(name: str, found: str, config: pytest.Config) -> None:
    place = GOLDEN / f"{name}.txt"
    if config.getoption("--write-golden"):
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(found)
    known = place.read_text().splitlines() if place.is_file() else []
    lines = found.splitlines()
    new = [f"+ {line}" for line in lines if line not in set(known)]
    gone = [f"- {line}" for line in known if line not in set(lines)]
    assert [*gone, *new] == [], f"{place.name}: when that is meant, run with --write-golden"
    assert lines == known


@pytest.mark.parametrize(
    ("name", "path"), list(layer_cases()), ids=lambda value: str(value).rpartition("/")[2]
)
def test_root_images_hold_what_was_reviewed(name: str, path: Path, pytestconfig: pytest.Config) -> None:
    compare(name, listing.squashfs(path), pytestconfig)


def test_the_initramfs_holds_what_was_reviewed(pytestconfig: pytest.Config) -> None:
    """It is the same for all targets but for digests."""
    for target in TARGETS:
        first = initramfs.drivers(target).stat().st_size
        found = listing.initramfs(initramfs.initramfs(target).read_bytes(), first)
        compare(f"{target.arch.name}/initramfs", found, pytestconfig)


@pytest.mark.parametrize("product", PRODUCTS, ids=lambda product: product.task)
def test_products_hold_what_was_reviewed(product: Product, pytestconfig: pytest.Config) -> None:
    compare(golden(product.target, product.kind), MEDIA[product.kind](product.path), pytestconfig)
    compare(golden(product.target, f"{product.kind}.parts"), listing.parts(product), pytestconfig)


@pytest.mark.parametrize("layer", live.LAYERS)
def test_layers_of_the_live_cd_hold_what_was_reviewed(layer: str, pytestconfig: pytest.Config) -> None:
    """Of Debian, which has its own list of packages, only what is not root's or has special rights."""
    wanted = listing.is_special if layer == live.LAYERS[0] else listing.is_any
    compare(f"{LIVE.arch.name}/live-{layer}", listing.tar(live.layer(LIVE, layer), wanted), pytestconfig)
