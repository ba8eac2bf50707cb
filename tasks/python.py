"""Python on the node: as much of a distribution's as agent/ needs, and agent/ itself, both compiled."""

from __future__ import annotations

import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tasks import sources, userland
from tasks.lib.debian import tools
from tasks.lib.debian.lockfile import keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.errors import BuildError
from tasks.lib.formats import bytecode
from tasks.lib.formats.packages import unpack
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import TOP
from tasks.lib.target import Target
from tasks.skeleton import merged

SET = "python"
PROGRAM = f"usr/bin/python{tools.PYTHON}"
LIBRARY = f"usr/lib/python{tools.PYTHON}"
# Where Debian's packages of Python modules have theirs; the node's are beside the standard library, so that
# Python finds them without its module `site`.
PACKAGES = "usr/lib/python3/dist-packages"
YAML = ("yaml", "_yaml")
SELECTION = TOP / "tasks" / "python.toml"
AGENT = TOP / "agent"


@dataclass(frozen=True)
class Selection:
    """tasks/python.toml: names of modules, of encodings, of compiled extensions, and of the files that are
    read first.
    """

    modules: frozenset[str]
    encodings: frozenset[str]
    extensions: frozenset[str]
    first: tuple[str, ...] = ()

    def read_first(self, triplet: str) -> tuple[str, ...]:
        """These as paths; triplet: of the architecture, which names of compiled extensions have."""
        return (PROGRAM, *(f"{LIBRARY}/{name.replace('{triplet}', triplet)}" for name in self.first))


def load_selection(path: Path = SELECTION) -> Selection:
    """Read the selection; raises BuildError naming the file and what is wrong with it."""
    try:
        keys = tomllib.loads(path.read_text())
        first = tuple(keys.pop("first"))
        return Selection(**{key: frozenset(value) for key, value in keys.items()}, first=first)
    except (OSError, tomllib.TOMLDecodeError, TypeError, KeyError) as error:
        raise BuildError(f"{path}: {error}") from error


def build_python(programs: Path, arch: str, libraries: str, b: Build) -> None:
    """Interpreter, modules and the libraries that the userland does not have; and the packages used."""
    packages = unpack(keyed(SET, arch), merged(), b)
    everything = packages.tree
    if PROGRAM not in everything:
        raise BuildError(
            f"the packages of set {SET} have no {PROGRAM}", "change PYTHON in tasks/lib/debian/tools.py"
        )
    chosen = select(everything, load_selection())
    linked = [PROGRAM, *(path for path in chosen if path.endswith(".so"))]
    taken = chosen.union(userland.missing_libraries(everything, linked, libraries, programs))
    tree = placed(everything.only(taken.__contains__))
    tree.add_symlink("usr/bin/python3", Path(PROGRAM).name)
    bytecode.compiled(tree, b.scratch).write_tar(b.outs[0], b.epoch)
    b.outs[1].write_text(packages.parts(taken))


def select(everything: Tree, selection: Selection) -> set[str]:
    """The paths of the chosen files; BuildError when a chosen name has none."""
    found: dict[str, list[str]] = {}
    for path, entry in everything.items():
        if entry.kind != "dir" and (name := chosen_name(path, selection)):
            found.setdefault(name, []).append(path)
    wanted = {
        *selection.modules, *YAML, *(f"encodings.{name}" for name in selection.encodings),
        *(f"lib-dynload.{name}" for name in selection.extensions),
    }  # fmt: skip
    if missing := sorted(wanted - set(found)):
        raise BuildError(f"{SELECTION}: not in Debian's Python: {', '.join(missing)}")
    return {path for paths in found.values() for path in paths}


def chosen_name(path: str, selection: Selection) -> str:
    """The name with which the selection takes a file, "" when it does not."""
    folder, _, rest = path.partition("/dist-packages/")
    if folder == PACKAGES.removesuffix("/dist-packages"):
        name = rest.partition("/")[0]
        return name if name in YAML and path.endswith((".py", ".so")) else ""
    if not path.startswith(f"{LIBRARY}/") or not path.endswith((".py", ".so")):
        return ""
    first, _, below = path.removeprefix(f"{LIBRARY}/").partition("/")
    if first in ("encodings", "lib-dynload"):
        name = below.partition(".")[0]
        names = selection.encodings if first == "encodings" else selection.extensions
        return f"{first}.{name}" if name in names else ""
    name = first.removesuffix(".py")
    return name if name in selection.modules else ""


def placed(tree: Tree) -> Tree:
    """The same with all modules beside the standard library."""
    result = tree.only(lambda path: not path.startswith(f"{PACKAGES}/"))
    for path in tree:
        if path.startswith(f"{PACKAGES}/") and tree[path].kind == "file":
            result.add_file(path.replace(PACKAGES, LIBRARY), tree[path].content, tree[path].mode)
    return result


def build_agent(b: Build) -> None:
    """The node's own modules, compiled."""
    tree = Tree()
    for path in sorted(AGENT.rglob("*.py")):
        tree.add_file(f"{LIBRARY}/agent/{path.relative_to(AGENT)}", path)
    bytecode.compiled(tree, b.scratch).write_tar(b.out, b.epoch)


def archive(target: Target) -> Path:
    """The tar of interpreter, modules and libraries, laid out as on the node."""
    return target.base_folder / "python.tar"


def parts(target: Target) -> Path:
    """The list of the packages that they come from."""
    return target.base_folder / "python.parts.json"


def agent(target: Target) -> Path:
    """The tar of agent/."""
    return target.folder / "agent.tar"


def tasks(target: Target) -> Iterator[dict[str, object]]:
    """Python and what runs on it."""
    programs, epoch = userland.archive(target), {"epoch": target.epoch}
    yield artifact(
        target.task("python"),
        doc="Python for the node: interpreter, the modules that agent/ needs, libraries",
        build=partial(build_python, programs, target.arch.name, target.arch.libraries),
        targets=[archive(target), parts(target)],
        files=[programs, SELECTION, sources.listing(SET, target.arch), bytecode.PROGRAM],
        values=epoch,
        tools=[bytecode.SET],
        group=target.group,
    )
    yield artifact(
        target.task("agent"),
        doc="agent/ compiled",
        build=build_agent,
        targets=[agent(target)],
        files=[bytecode.PROGRAM],
        trees=[AGENT],
        values=epoch,
        tools=[bytecode.SET],
        group=target.group,
    )
