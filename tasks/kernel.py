"""The kernel: image, configuration and all of its modules from a provider, and the audit of its options."""

from __future__ import annotations

import stat
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from tasks import downloads, kernelsource, sources, tinycore
from tasks.lib.debian import bootstrap, debs, fetch
from tasks.lib.debian.licences import package_parts
from tasks.lib.debian.lockfile import Package, keyed
from tasks.lib.engine import Build, artifact
from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.kernel.audit import audit, parse_config, read_requirements
from tasks.lib.kernel.modules import MODULES, tar_modules
from tasks.lib.paths import TOP
from tasks.lib.provider import IPTABLES, Inputs, Provider, choose, parts_text, pinned_part
from tasks.lib.target import Pinned, Target

REQUIREMENTS = TOP / "kernel" / "audit.toml"
EFI_STUB = b"MZ"


def vmlinuz(target: Target) -> Path:
    """The bootable image."""
    return target.kernel_folder / "vmlinuz"


def configuration(target: Target) -> Path:
    """Its configuration (.config)."""
    return target.kernel_folder / "config"


def everything(target: Target) -> Path:
    """An uncompressed tar of usr/lib/modules/<release>/: all modules as they come, and `config`."""
    return target.kernel_folder / "tree.tar"


def parts(target: Target) -> Path:
    """The list of its parts."""
    return target.kernel_folder / "parts.json"


def modules(target: Target) -> Path:
    """The curated module tree, usr/lib/modules/<release>/ (task modules)."""
    return target.kernel_folder / "modules.tar"


def initramfs_modules(target: Target) -> Path:
    """The modules of the initramfs, lib/modules/<release>/ (task modules)."""
    return target.kernel_folder / "modules-initramfs.tar"


def modules_report(target: Target) -> Path:
    """Sizes of the sections, drivers that ask for firmware (task modules)."""
    return target.kernel_folder / "modules.txt"


def audit_table(target: Target) -> Path:
    """The audit's table (task kernel-audit)."""
    return target.kernel_folder / ("audit-iptables.txt" if target.payload in IPTABLES else "audit.txt")


def module_list(target: Target) -> str:
    """Which list of kernel/*.modules says what the root gets."""
    return target.kernel if target.kernel in STOCK else target.flavour


def build_debian(package_set: str, b: Build) -> None:
    """Take a kernel out of Debian's linux-image package, as it is: signed modules, original configuration."""
    fetched = fetch.fetch_set(package_set, b.progress, b.note)
    *outs, listed = b.outs
    used = debian_kernel(fetched, b.epoch, outs)
    listed.write_text(parts_text(package_parts(fetched, used)))


def debian_kernel(fetched: list[tuple[Package, Path]], epoch: int, outs: list[Path]) -> set[str]:
    """Write vmlinuz, config and module tree from the packages of a kernel; returns the names of those that
    they come from.

    Raises BuildError when they do not hold exactly one kernel with its modules.
    """
    boot: dict[str, list[bytes]] = {"vmlinuz": [], "config": []}
    tree = Tree()
    used: set[str] = set()
    for package, deb in fetched:
        for member in debs.entries(deb):
            kind = member.path.removeprefix("boot/").partition("-")[0]
            if not stat.S_ISREG(member.mode):
                continue
            if member.path.startswith("boot/") and kind in boot:
                boot[kind].append(b"".join(member.content))
                used.add(package.name)
            elif member.path.startswith((f"{MODULES}/", "lib/modules/")):
                path = member.path if member.path.startswith("usr/") else f"usr/{member.path}"
                tree.add_file(path, b"".join(member.content))
                used.add(package.name)
    for kind, found in boot.items():
        if len(found) != 1:
            names = ", ".join(deb.name for _, deb in fetched)
            raise BuildError(f"{names}: wants one boot/{kind}-*, found {len(found)}", "run ./doit lock")
    place(boot["vmlinuz"][0], boot["config"][0], tree, epoch, outs)
    return used


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


def debian_set(target: Target) -> str:
    """The package set of a flavour."""
    return keyed(f"kernel-{target.flavour}", target.arch.name)


def build_tinycore(
    iso: Pinned, configuration: Pinned | None, extensions: tuple[Pinned, ...], b: Build
) -> None:
    """Take the kernel out of a CorePure64 ISO, as it is, with the modules of extensions."""
    settings = downloads.path(configuration, b) if configuration else None
    more = [(extension.name, downloads.path(extension, b)) for extension in extensions]
    found = tinycore.kernel(downloads.path(iso, b), settings, more, b.scratch)
    *outs, listed = b.outs
    place(*found, b.epoch, outs)
    listed.write_text(parts_text(map(pinned_part, (iso, *extensions))))


def tinycore_files(target: Target) -> tuple[Pinned, Pinned | None, tuple[Pinned, ...]]:
    """The ISO; the configuration where the kernel does not carry it; extensions that versions.toml names."""
    extra = tinycore.CONFIGURATION
    names = sorted(name for name in target.downloads if name.startswith(tinycore.EXTENSION))
    return (
        target.pinned(tinycore.NAME),
        target.pinned(extra) if target.has_pinned(extra) else None,
        tuple(map(target.pinned, names)),
    )


def tinycore_inputs(target: Target) -> Inputs:
    """All of them, and the programs that unpack."""
    iso, configuration, extensions = tinycore_files(target)
    configured = (configuration,) if configuration else ()
    return Inputs(tools=("tools",), downloads=(iso, *configured, *extensions))


def build_source(target: Target, b: Build) -> None:
    """Compile a kernel of our own configuration; it knows iptables, whatever the payload uses."""
    fetched = fetch.fetch_set(kernelsource.SET, b.progress, b.note)
    b.note("compiling the kernel")
    config = kernelsource.wanted(REQUIREMENTS, (*conditions(target), "iptables"))
    suite = fetch.current().suite
    found = kernelsource.compiled(fetched, suite, target.arch, config, b.epoch, b.scratch)
    *outs, listed = b.outs
    place(*found, b.epoch, outs)
    source = [package.name for package, _ in fetched if package.name.startswith("linux-source-")]
    listed.write_text(parts_text(package_parts(fetched, source)))


def conditions(target: Target) -> tuple[str, ...]:
    """Which sections [when.NAME] of audit.toml count."""
    return (target.kernel, target.arch.name, *(["iptables"] if target.payload in IPTABLES else []))


PROVIDERS = {
    "debian": Provider(
        "Debian's kernel as it is",
        lambda target: partial(build_debian, debian_set(target)),
        lambda target: Inputs((sources.listing(f"kernel-{target.flavour}", target.arch),)),
    ),
    "tinycore": Provider(
        "Tiny Core Linux' kernel as it is",
        lambda target: partial(build_tinycore, *tinycore_files(target)),
        tinycore_inputs,
    ),
    "source": Provider(
        "compiled from Debian's source, everything built in",
        lambda target: partial(build_source, target),
        lambda target: Inputs(
            (sources.listing(kernelsource.SET), kernelsource.CONFIG, kernelsource.COMPILE, REQUIREMENTS),
            tools=(bootstrap.SET,),
        ),
    ),
}
# Those whose modules are not known here: all that there are are taken, and the audit says what is missing.
STOCK = ("tinycore",)
# Those that may lack what the lists in kernel/ name; it is said, and the audit decides.
LENIENT = (*STOCK, kernelsource.NAME)


def kernel_tasks(target: Target) -> Iterator[dict[str, object]]:
    """The kernel as its provider has it."""
    provider = choose("kernel", target.kernel, PROVIDERS)
    inputs = provider.inputs(target)
    yield artifact(
        target.task("kernel"),
        doc=f"kernel image, configuration and modules ({target.kernel}, {target.flavour})",
        build=provider.recipe(target),
        targets=[vmlinuz(target), configuration(target), everything(target), parts(target)],
        files=[*inputs.files, *map(downloads.record, inputs.downloads)],
        trees=inputs.trees,
        tools=inputs.tools,
        values={"epoch": target.epoch},
        group=target.group,
    )


def build_audit(
    flavour: str,
    conditions: tuple[str, ...],
    config: Path,
    image: Path,
    initramfs: Path,
    b: Build,
) -> None:
    """Check the kernel against kernel/audit.toml and write the table; BuildError names what is missing."""
    report = audit(
        parse_config(config.read_text()),
        read_requirements(REQUIREMENTS, conditions),
        image=tar_modules(image),
        initramfs=tar_modules(initramfs),
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


def audit_tasks(target: Target) -> Iterator[dict[str, object]]:
    """The audit, on which the images depend."""
    config, image, early = configuration(target), modules(target), initramfs_modules(target)
    yield artifact(
        target.task("kernel-audit"),
        doc="check the kernel's options against kernel/audit.toml",
        build=partial(build_audit, module_list(target), conditions(target), config, image, early),
        targets=[audit_table(target)],
        files=[config, image, early, REQUIREMENTS],
        group=target.group,
    )
