"""Targets: what they share is one task, and another architecture is a row, lists and a lock run."""

from pathlib import Path

import pytest

import dodo
from agent.update.version import Version
from tasks import (
    addons,
    diskboot,
    diskimage,
    initramfs,
    iso,
    kernel,
    modules,
    parts,
    payload,
    rootfs,
    sources,
    testimages,
    userland,
)  # fmt: skip
from tasks.lib.arch import AMD64, ARCHES, ARM64, arch
from tasks.lib.config import load_config
from tasks.lib.debian.lockfile import load_lock
from tasks.lib.engine.spec import Artifact
from tasks.lib.errors import BuildError
from tasks.lib.kernel.lists import read_list
from tasks.lib.paths import BUILD, OUTPUT, TOP
from tasks.lib.release.product import named
from tasks.lib.target import Target, each
from tests.unit.targets import STUB, TARGET

FLOW = (
    kernel.kernel_tasks, modules.tasks, kernel.audit_tasks, payload.tasks, addons.tasks, userland.tasks,
    rootfs.tasks, initramfs.tasks, parts.tasks, diskboot.tasks, iso.tasks, diskimage.tasks, testimages.tasks,
)  # fmt: skip
ARM = TARGET.variant("arm64", group="parts", arch=ARM64)


def made(*targets: Target) -> dict[str, Artifact]:
    return {str(task["basename"]): task["meta"]["artifact"] for task in each(targets, FLOW)}


def test_what_two_targets_share_is_made_once() -> None:
    found = made(TARGET, STUB)
    shared = {"kernel", "modules", "userland", "rootfs", "rootfs-drivers", "initramfs-drivers", "efi-image"}
    assert shared <= found.keys()
    assert not {f"{name}-stub" for name in shared} & found.keys()
    assert {"payload-stub", "rootfs-payload-stub", "initramfs-stub", "iso-stub"} <= found.keys()
    assert all(str(BUILD / "amd64")[len(str(TOP)) + 1 :] in path for path in found["rootfs"].targets)


def test_a_variant_that_differs_in_nothing_adds_only_its_products() -> None:
    again = STUB.variant("again")
    assert made(TARGET, STUB, again).keys() - made(TARGET, STUB).keys() == {"iso-again", "disk-image-again"}


def test_two_versions_share_all_but_what_says_the_version() -> None:
    later = STUB.variant("later", version="0.2.0")
    found = made(TARGET, STUB, later)
    new = {"rootfs-overlay", "initramfs", "sbom", "diskboot", "iso", "disk-image"}
    assert found.keys() - made(TARGET, STUB).keys() == {f"{name}-later" for name in new}


def test_tests_update_to_a_later_version() -> None:
    assert all(Version(target.version) > Version(dodo.TARGET.version) for target in dodo.UPDATES)


def test_a_target_for_tests_shares_no_image_that_is_marked_so() -> None:
    found = made(TARGET, TARGET.variant("again"))
    marked = {name for name, spec in found.items() if spec.values.get("for_tests")}
    assert marked == {"rootfs-overlay-again"}
    assert {"initramfs-again", "iso-again"} <= found.keys()
    assert "diskboot-again" not in found


def test_architectures_share_nothing() -> None:
    native, foreign = made(TARGET), made(ARM)
    assert {f"{name}-arm64" for name in native} - {"iso-arm64", *foreign} == set()
    one = {path for spec in native.values() for path in spec.targets}
    assert one.isdisjoint(path for spec in foreign.values() for path in spec.targets)


def test_every_package_set_of_an_architecture_is_locked() -> None:
    config, lock = load_config(), load_lock()
    tasks = sources.tasks(config, lock, [TARGET, ARM])
    listed = {path for task in tasks for path in task["meta"]["artifact"].targets}  # type: ignore[index]
    for spec in made(ARM).values():
        wanted = {path for path in spec.inputs if path.startswith("build/sources/")}
        assert wanted <= listed, spec.name
        assert set(spec.tools) <= set(lock.sets), spec.name
    for name in ("userland:arm64", "kernel-default:arm64", "kernel-cloud:arm64", "nginx:arm64"):
        assert {lock.packages[key].architecture for key in lock.sets[name]} <= {"arm64", "all"}


@pytest.mark.parametrize("flavour", ["default", "cloud"])
def test_lists_have_lines_for_one_architecture(flavour: str) -> None:
    def names(row: str) -> set[str]:
        rules = read_list(TOP / "kernel" / f"{flavour}.modules", (flavour, row))
        return {rule.pattern for rule in rules}

    assert "aesni-intel" in names("amd64") - names("arm64")
    assert "sha2_ce" in names("arm64") - names("amd64")
    assert "overlay" in names("amd64") & names("arm64")


def test_an_unknown_architecture_is_named() -> None:
    with pytest.raises(BuildError, match="'m68k' is unknown"):
        arch("m68k")
    assert [row.bios for row in (AMD64, ARM64)] == [True, False]
    assert all(row.name == name for name, row in ARCHES.items())


def test_products_are_found_by_their_task() -> None:
    products = [iso.product(TARGET), iso.product(STUB)]
    assert named(products, "iso").path == OUTPUT / "kubesolo-os-0.0.0-amd64.iso"
    assert Path(named(products, "iso-stub").path).is_relative_to(BUILD)
    with pytest.raises(BuildError, match="disk: no such product"):
        named(products, "disk")
