"""Products: what is handed out, its record, and which one a command is to use."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from tasks.lib.errors import BuildError
from tasks.lib.paths import OUTPUT
from tasks.lib.release.manifest import ID, file_name
from tasks.lib.target import Target


@dataclass(frozen=True)
class Product:
    """A file that boots.

    kind: the noun of the task that makes it. suffix: its file name's ending, where that is another word.
    system: what its file name begins with.
    """

    kind: str
    target: Target
    suffix: str = ""
    system: str = ID

    @property
    def task(self) -> str:
        """The task that makes it."""
        return self.target.task(self.kind)

    @property
    def for_tests(self) -> bool:
        """Whether nobody but the tests wants it."""
        return self.target.for_tests

    @property
    def path(self) -> Path:
        """Where it lies; what only tests want is kept out of output/."""
        folder = self.target.product_folder if self.for_tests else OUTPUT
        return folder / file_name(self.target, self.suffix or self.kind, self.system)

    @property
    def manifest(self) -> Path:
        """Its list of parts."""
        return self.path.with_name(f"{self.path.name}.manifest.json")

    @property
    def sbom(self) -> Path:
        """The same as an SPDX document."""
        return self.path.with_name(f"{self.path.name}.spdx.json")

    def files(self) -> list[Path]:
        """All that its task makes, in the order of `describe`."""
        return [self.path, self.manifest, self.sbom]

    @property
    def group(self) -> str:
        """Its heading in ./doit list."""
        return "tests" if self.for_tests else "products"


def named(products: Iterable[Product], task: str) -> Product:
    """The product that a task makes; BuildError when there is none."""
    known = {product.task: product for product in products}
    if task not in known:
        raise BuildError(f"{task}: no such product", f"known: {', '.join(known)}")
    return known[task]


def choose(product: Product, given: str) -> Path:
    """The file named on the command line, or the product, brought up to date first.

    Raises BuildError when it is missing or can not be built.
    """
    from tasks.lib.engine.main import build

    if given:
        if not Path(given).is_file():
            raise BuildError(f"{given}: no such file", f"leave --{product.kind} out, or correct it")
        return Path(given)
    build(product.task)
    return product.path
