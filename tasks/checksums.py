"""SHA256SUMS over the products, for whoever downloads them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

from tasks.lib.engine import Build, artifact
from tasks.lib.paths import OUTPUT
from tasks.lib.release.manifest import checksums
from tasks.lib.release.product import Product

CHECKSUMS = OUTPUT / "SHA256SUMS"


def build_checksums(files: tuple[Path, ...], b: Build) -> None:
    """One line for each file."""
    b.out.write_text(checksums((path.name, path) for path in files))


def tasks(products: Iterable[Product]) -> Iterator[dict[str, object]]:
    """The checksums of what is in output/."""
    wanted = [product for product in products if not product.for_tests]
    files = tuple(path for product in wanted for path in product.files())
    yield artifact(
        "checksums",
        doc="output/SHA256SUMS: the digests of the products and of what describes them",
        build=partial(build_checksums, files),
        targets=[CHECKSUMS],
        files=files,
        group="products",
    )
