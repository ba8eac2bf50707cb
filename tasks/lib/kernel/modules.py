"""Kernel modules: what a kernel offers, what each one needs, and the index files for modprobe."""

from __future__ import annotations

import gzip
import io
import lzma
import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

from tasks.lib.errors import BuildError
from tasks.lib.formats.entry import Entry
from tasks.lib.formats.tree import Tree
from tasks.lib.process import run

MODULES = "usr/lib/modules"
SUFFIX = re.compile(r"\.ko(\.xz|\.gz)?$")
SIGNED = b"~Module signature appended~\n"
SIGNATURE_HEADER = 12  # bytes; the last four are the signature's length, most significant byte first
THREADS = 2  # xz and gzip give up the interpreter lock; more threads than cores help nobody


def module_name(path: str) -> str:
    """The name as the kernel has it: file name without suffix, dashes as underscores (modprobe(8))."""
    return SUFFIX.sub("", posixpath.basename(path)).replace("-", "_")


def unsigned(data: bytes) -> bytes:
    """A module without the signature that its distribution appended (kernel: struct module_signature).

    Checking one costs 30 ms a module under emulation, two seconds of a boot; whole images are checked by
    digest before anything in them runs, and no Secure Boot chain would ask for module signatures.
    """
    if not data.endswith(SIGNED):
        return data
    end = len(data) - len(SIGNED)
    length = int.from_bytes(data[end - 4 : end])
    return data[: end - SIGNATURE_HEADER - length]


def decompress(path: str, data: bytes) -> bytes:
    """The ELF object of a .ko, .ko.xz or .ko.gz file; BuildError when it is damaged."""
    try:
        if path.endswith(".xz"):
            return lzma.decompress(data)
        if path.endswith(".gz"):
            return gzip.decompress(data)
    except (lzma.LZMAError, OSError, EOFError) as error:
        raise BuildError(
            f"kernel module {path}: damaged: {error}", "fetch the kernel package again"
        ) from error
    return data


@dataclass(frozen=True)
class Module:
    """One module file, with the fields of its .modinfo section (kernel: include/linux/module.h).

    path: relative to the modules folder, uncompressed, such as kernel/fs/ext4/ext4.ko.
    depends: names of modules that it can not be loaded without. wants: names or aliases from its softdeps;
    before: those of them that are to be loaded first (`pre`).
    """

    name: str
    path: str
    data: bytes = field(repr=False)
    depends: tuple[str, ...]
    wants: tuple[str, ...]
    before: tuple[str, ...]
    aliases: tuple[str, ...]
    firmware: tuple[str, ...]


def parse_module(path: str, data: bytes) -> Module:
    """A module from the bytes of its (decompressed) ELF object; BuildError when it is none."""
    from elftools.common.exceptions import ELFError
    from elftools.elf.elffile import ELFFile

    try:
        section = ELFFile(io.BytesIO(data)).get_section_by_name(".modinfo")
    except ELFError as error:
        raise BuildError(f"kernel module {path}: not an ELF object: {error}") from error
    if section is None:
        raise BuildError(f"kernel module {path}: has no .modinfo section")
    info = parse_modinfo(section.data())
    softdeps = [softdep_words(line) for line in info.get("softdep", [])]
    return Module(
        name=module_name(path),
        path=path,
        data=data,
        depends=tuple(
            module_name(word) for line in info.get("depends", []) for word in line.split(",") if word
        ),
        wants=tuple(word for words in softdeps for _, word in words),
        before=tuple(word for words in softdeps for kind, word in words if kind == "pre:"),
        aliases=tuple(info.get("alias", [])),
        firmware=tuple(sorted(set(info.get("firmware", [])))),
    )


def softdep_words(line: str) -> list[tuple[str, str]]:
    """The words of a softdep line "pre: a b post: c", each with its kind ("" when the line names none)."""
    kind, found = "", []
    for word in line.split():
        if word in ("pre:", "post:"):
            kind = word
        else:
            found.append((kind, word))
    return found


def parse_modinfo(section: bytes) -> dict[str, list[str]]:
    """The values of each key of a .modinfo section: NUL-terminated key=value strings."""
    info: dict[str, list[str]] = {}
    for item in section.decode(errors="replace").split("\0"):
        key, _, value = item.partition("=")
        if key:
            info.setdefault(key, []).append(value)
    return info


class Kernel:
    """The modules of one kernel build: a tree with usr/lib/modules/<release>/ in it."""

    def __init__(self, tree: Tree) -> None:
        self.tree = tree
        releases = {path.split("/")[3] for path in tree if path.startswith(f"{MODULES}/")}
        if len(releases) != 1:
            raise BuildError(
                f"kernel: wants one folder in {MODULES}, has {len(releases)}: {sorted(releases)}"
            )
        self.release = releases.pop()
        self.paths: dict[str, str] = {}
        for path in tree:
            if SUFFIX.search(path):
                name = module_name(path)
                if name in self.paths:
                    raise BuildError(f"kernel: two modules are called {name}: {self.paths[name]} and {path}")
                self.paths[name] = path
        self._loaded: dict[str, Module] = {}

    @property
    def folder(self) -> str:
        """The modules folder in the tree."""
        return f"{MODULES}/{self.release}"

    def text(self, name: str) -> str:
        """A text file of the modules folder, such as modules.order; empty when the kernel has none."""
        path = f"{self.folder}/{name}"
        return self.tree[path].read().decode() if path in self.tree else ""

    def relative(self, name: str) -> str:
        """A module's path as in modules.dep: relative to the folder, uncompressed."""
        return SUFFIX.sub(".ko", self.paths[name].removeprefix(f"{self.folder}/"))

    @cached_property
    def builtin(self) -> dict[str, str]:
        """Names of what is built into the kernel image, with the paths that modules.builtin gives."""
        return {module_name(path): path for path in self.text("modules.builtin").split()}

    @cached_property
    def builtin_aliases(self) -> frozenset[str]:
        """Aliases of what is built in; modules.builtin.modinfo holds NUL-terminated name.key=value."""
        pairs = (item.partition("=") for item in self.text("modules.builtin.modinfo").split("\0"))
        return frozenset(value for key, _, value in pairs if key.endswith(".alias"))

    def load(self, names: Iterable[str]) -> list[Module]:
        """Read and decompress modules by name, in the order given."""
        from concurrent.futures import ThreadPoolExecutor

        wanted = list(names)
        missing = [name for name in wanted if name not in self._loaded]
        with ThreadPoolExecutor(THREADS) as pool:
            datas = pool.map(self.object, missing)
            for name, data in zip(missing, datas, strict=True):
                self._loaded[name] = parse_module(self.relative(name), data)
        return [self._loaded[name] for name in wanted]

    def object(self, name: str) -> bytes:
        """The bytes of one module as the image gets them."""
        return unsigned(decompress(self.paths[name], self.entry(name).read()))

    def entry(self, name: str) -> Entry:
        """The module's entry in the kernel's tree, compressed as it came."""
        return self.tree[self.paths[name]]


@dataclass(frozen=True)
class Selection:
    """Modules with all that they depend on, by name; unmet: softdeps that nothing in it provides."""

    modules: Mapping[str, Module]
    unmet: tuple[tuple[str, str], ...]

    def providers(self, word: str) -> list[str]:
        """Names of the modules that a softdep's word stands for: that module, or those with the alias."""
        name = module_name(word)
        if name in self.modules:
            return [name]
        return sorted(module.name for module in self.modules.values() if word in module.aliases)


def close(kernel: Kernel, names: Iterable[str]) -> Selection:
    """The modules and what they need: depends always, softdeps where the kernel has such a module.

    Raises BuildError when a module depends on one that the kernel does not have.
    """
    chosen: dict[str, Module] = {}
    todo = sorted(set(names))
    while todo:
        for module in kernel.load(todo):
            chosen[module.name] = module
        wanted = {need for name in todo for need in needs(kernel, chosen[name])}
        todo = sorted(wanted - chosen.keys())
    selection = Selection({name: chosen[name] for name in sorted(chosen)}, ())
    return Selection(selection.modules, tuple(unmet_softdeps(kernel, selection)))


def needs(kernel: Kernel, module: Module) -> set[str]:
    """Names of the loadable modules that must come along with this one."""
    for name in module.depends:
        if name not in kernel.paths and name not in kernel.builtin:
            raise BuildError(
                f"kernel module {module.path} depends on {name}, which kernel {kernel.release} does not have",
                "the kernel package is incomplete: fetch it again or report it to its maker",
            )
    wants = {module_name(word) for word in module.wants}
    return {name for name in {*module.depends, *wants} if name in kernel.paths}


def unmet_softdeps(kernel: Kernel, selection: Selection) -> Iterable[tuple[str, str]]:
    """Pairs of module and softdep word that neither a chosen nor a built-in module answers."""
    aliases = {alias for module in selection.modules.values() for alias in module.aliases}
    for module in selection.modules.values():
        for word in module.wants:
            name = module_name(word)
            known = name in selection.modules or name in kernel.builtin
            if not known and word not in aliases and word not in kernel.builtin_aliases:
                yield module.name, word


def modules_order(kernel: Kernel, selection: Selection) -> str:
    """modules.order for the reduced tree: which of several drivers for a device comes first (depmod(8))."""
    kept = {module.path for module in selection.modules.values()}
    return "".join(f"{line}\n" for line in kernel.text("modules.order").split() if line in kept)


def index(kernel: Kernel, selection: Selection, depmod: list[str], scratch: Path) -> dict[str, bytes]:
    """The files that depmod(8) writes for the selection, by name: modules.dep, modules.alias, *.bin …

    depmod: the command's argv prefix. scratch: an empty folder for its input and output.
    """
    folder = scratch / "lib/modules" / kernel.release
    for module in selection.modules.values():
        path = folder / module.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(module.data)
    inputs = {
        "modules.order": modules_order(kernel, selection),
        "modules.builtin": kernel.text("modules.builtin"),
        "modules.builtin.modinfo": kernel.text("modules.builtin.modinfo"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    (scratch / "etc").mkdir()
    for name, text in inputs.items():
        (folder / name).write_text(text)
    # -C: the host's own /etc/depmod.d must not change what goes into the image.
    argv = [*depmod, "-b", str(scratch), "-m", "/lib/modules", "-C", str(scratch / "etc"), kernel.release]
    run(argv, hint="run ./doit doctor")
    return {path.name: path.read_bytes() for path in sorted(folder.glob("modules.*"))}


def with_softdeps(dep: str, selection: Selection) -> str:
    """modules.dep with the `pre` softdeps as dependencies, for a modprobe that does not know softdeps.

    Each line names what is loaded first last. A word that stands for several drivers adds those for every
    processor: one for a processor feature (alias cpu:…) can fail to load, and BusyBox then gives up.
    """
    needed = {path: words.split() for path, _, words in (line.partition(":") for line in dep.splitlines())}
    for path, paths in needed.items():
        module = selection.modules[module_name(path)]
        soft = [selection.modules[name] for word in module.before for name in selection.providers(word)]
        paths += [
            other.path for other in soft if not any(alias.startswith("cpu:") for alias in other.aliases)
        ]
    return "".join(f"{' '.join([f'{path}:', *load_order(path, needed)[-2::-1]])}\n" for path in needed)


def load_order(path: str, needed: Mapping[str, Sequence[str]]) -> list[str]:
    """A module and all that it needs, each after what it needs itself; a circle is cut where it closes."""
    seen, order = {path}, []
    for other in needed[path]:
        found = [item for item in load_order(other, {**needed, path: ()}) if item not in seen]
        seen.update(found)
        order += found
    return [*order, path]


def tar_modules(path: Path) -> set[str]:
    """Names of the modules in a tar."""
    tree = Tree()
    tree.add_tar(path)
    return {module_name(name) for name in tree if SUFFIX.search(name)}
