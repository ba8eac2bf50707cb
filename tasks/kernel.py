"""The kernel: image, configuration and all of its modules from a provider, and the audit of its options."""

from __future__ import annotations

import stat
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from tasks import sources
from tasks.lib.config import load_config
from tasks.lib.debian import debs, fetch
from tasks.lib.engine import Build, artifact
from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.kernel.audit import audit, parse_config, read_requirements
from tasks.lib.kernel.modules import MODULES, tar_modules
from tasks.lib.paths import BUILD, TOP

REQUIREMENTS = TOP / "kernel" / "audit.toml"
EFI_STUB = b"MZ"


@dataclass(frozen=True)
class Files:
    """What every provider makes for a flavour, and all that other tasks know of a kernel."""

    flavour: str

    @property
    def vmlinuz(self) -> Path:
        """The bootable image."""
        return BUILD / f"vmlinuz-{self.flavour}"

    @property
    def config(self) -> Path:
        """Its configuration (.config)."""
        return BUILD / f"kernel-config-{self.flavour}"

    @property
    def tree(self) -> Path:
        """An uncompressed tar of usr/lib/modules/<release>/: all modules as they come, and `config`."""
        return BUILD / f"kernel-tree-{self.flavour}.tar"

    @property
    def modules(self) -> Path:
        """The curated module tree, usr/lib/modules/<release>/ (task modules)."""
        return BUILD / f"modules-{self.flavour}.tar"

    @property
    def initramfs_modules(self) -> Path:
        """The modules of the initramfs, lib/modules/<release>/ (task modules)."""
        return BUILD / f"modules-initramfs-{self.flavour}.tar"

    @property
    def modules_report(self) -> Path:
        """Sizes of the sections, drivers that ask for firmware (task modules)."""
        return BUILD / f"modules-{self.flavour}.txt"

    @property
    def audit(self) -> Path:
        """The audit's table (task kernel-audit)."""
        return BUILD / f"kernel-audit-{self.flavour}.txt"


@dataclass(frozen=True)
class Provider:
    """Where kernels come from.

    build: recipe that writes vmlinuz, config and tree, in this order, for the flavour it is given.
    files: what the recipe reads, for a flavour.
    """

    build: Callable[[str, int, Build], None]
    files: Callable[[str], list[Path]]


def build_debian(flavour: str, epoch: int, b: Build) -> None:
    """Take a kernel out of Debian's linux-image package, as it is: signed modules, original configuration."""
    fetched = fetch.fetch_set(f"kernel-{flavour}", b.progress, b.note)
    debian_kernel([deb for _, deb in fetched], epoch, b.outs)


def debian_kernel(files: list[Path], epoch: int, outs: list[Path]) -> None:
    """Write vmlinuz, config and module tree from the packages of a kernel.

    Raises BuildError when they do not hold exactly one kernel with its modules.
    """
    boot: dict[str, list[bytes]] = {"vmlinuz": [], "config": []}
    tree = Tree()
    for deb in files:
        for member in debs.entries(deb):
            kind = member.path.removeprefix("boot/").partition("-")[0]
            if not stat.S_ISREG(member.mode):
                continue
            if member.path.startswith("boot/") and kind in boot:
                boot[kind].append(b"".join(member.content))
            elif member.path.startswith((f"{MODULES}/", "lib/modules/")):
                path = member.path if member.path.startswith("usr/") else f"usr/{member.path}"
                tree.add_file(path, b"".join(member.content))
    for kind, found in boot.items():
        if len(found) != 1:
            names = ", ".join(deb.name for deb in files)
            raise BuildError(f"{names}: wants one boot/{kind}-*, found {len(found)}", "run ./doit lock")
    place(boot["vmlinuz"][0], boot["config"][0], tree, epoch, outs)


def place(vmlinuz: bytes, config: bytes, tree: Tree, epoch: int, outs: list[Path]) -> None:
    """Write the three files of a kernel; the configuration goes into the module tree, too.

    usr/lib/modules/<release>/config is one of the places where programs look for it (kubeadm's checks do).
    """
    releases = {path.split("/")[3] for path in tree if path.count("/") >= 3}
    if len(releases) != 1:
        raise BuildError(f"kernel: wants the modules of one release, found {sorted(releases)}")
    if not vmlinuz.startswith(EFI_STUB):
        raise BuildError("kernel: vmlinuz is not an EFI application: no boot loader for UEFI would start it")
    tree.add_file(f"{MODULES}/{releases.pop()}/config", config)
    image, settings, modules = outs
    image.write_bytes(vmlinuz)
    settings.write_bytes(config)
    tree.write_tar(modules, epoch)


def debian_files(flavour: str) -> list[Path]:
    """The list of the packages in force."""
    return [sources.listing(f"kernel-{flavour}")]


# Who can provide kernels; source (our own configuration) and tinycore are to come.
PROVIDERS = {"debian": Provider(build_debian, debian_files)}


def provider(name: str) -> Provider:
    """A provider by its name in versions.toml."""
    if name not in PROVIDERS:
        raise BuildError(
            f"versions.toml: kernel.provider: {name!r} is unknown", f"known: {', '.join(PROVIDERS)}"
        )
    return PROVIDERS[name]


def task_kernel() -> dict[str, object]:
    """The kernel of the configured flavour."""
    config = load_config()
    chosen, files = provider(config.kernel.provider), Files(config.kernel.flavour)
    return artifact(
        "kernel",
        doc=f"kernel image, configuration and modules ({config.kernel.provider}, {files.flavour})",
        build=partial(chosen.build, files.flavour, config.os.epoch),
        targets=[files.vmlinuz, files.config, files.tree],
        files=chosen.files(files.flavour),
        group="parts",
    )


def build_audit(flavour: str, conditions: tuple[str, ...], b: Build) -> None:
    """Check the kernel against kernel/audit.toml and write the table; BuildError names what is missing."""
    files = Files(flavour)
    report = audit(
        parse_config(files.config.read_text()),
        read_requirements(REQUIREMENTS, conditions),
        image=tar_modules(files.modules),
        initramfs=tar_modules(files.initramfs_modules),
    )
    for warning in report.warnings():
        b.note(f"kernel-audit: {warning}")
    if failures := report.failures():
        lines = "\n".join(f"  {failure}" for failure in failures)
        raise BuildError(
            f"the {flavour} kernel lacks what the system needs:\n{lines}",
            "choose another kernel, or add modules to kernel/*.modules and kernel/audit.toml",
        )
    b.out.write_text(report.table())


def task_kernel_audit() -> dict[str, object]:
    """The audit, on which the images depend."""
    config = load_config()
    files = Files(config.kernel.flavour)
    return artifact(
        "kernel-audit",
        doc="check the kernel's options against kernel/audit.toml",
        build=partial(build_audit, files.flavour, (config.kernel.provider,)),
        targets=[files.audit],
        files=[files.config, files.modules, files.initramfs_modules, REQUIREMENTS],
        group="parts",
    )
