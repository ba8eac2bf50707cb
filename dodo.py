"""The pipeline at a glance: what is built, and the task modules in the order in which data flows.

versions.lock -> sources -> {kernel, payload, userland} -> rootfs -> initramfs -> {iso, disk-image,
update-bundle}. Each task is made in the module of its noun, as a function of a target; `./doit list` and
`./doit graph` show them.
"""

from collections.abc import Iterator
from functools import partial

from tasks import (
    addons,
    checksums,
    conformance,
    diskboot,
    diskimage,
    initramfs,
    iso,
    kernel,
    livecomponents,
    livedisk,
    liveimages,
    liveinit,
    liveiso,
    livekernel,
    livekubernetes,
    liveparts,
    liverootfs,
    modules,
    parts,
    payload,
    providers,
    python,
    rootfs,
    sources,
    ssh,
    testimages,
    testtools,
    update,
    userland,
)  # fmt: skip
from tasks.lib.config import load_config
from tasks.lib.debian.fetch import current
from tasks.lib.target import each, from_config

CONFIG = load_config()
TARGET = from_config(CONFIG)
# The same with a payload that starts in no time, for tests of the boot logic.
STUB = TARGET.variant("stub", payload="stub")
TARGETS = (TARGET, STUB)
# What nodes of these are updated to in tests; there are no media of them.
NEXT = TARGET.variant("next", version="0.2.0")
STUB_NEXT = STUB.variant("stub-next", version="0.2.0")
UPDATES = (NEXT, STUB_NEXT)
# The Live CD: systemd and kubeadm. Of the flow of nodes it has a kernel and two images.
LIVE = livekernel.live_target(TARGET, CONFIG.live.kernel)
PRODUCTS = (
    *(kind.product(target) for kind in (iso, diskimage) for target in TARGETS),
    liveiso.product(LIVE),
)
FLOW = (
    modules.tasks, kernel.audit_tasks, payload.tasks, userland.tasks,
    python.tasks, ssh.tasks, rootfs.tasks, initramfs.tasks, update.tasks,
)  # fmt: skip
LIVE_FLOW = (
    livekernel.tasks, liverootfs.tasks, partial(livecomponents.tasks, downloads=CONFIG.live.components),
    liveimages.tasks, partial(liveparts.tasks, downloads=CONFIG.live.components), livekubernetes.tasks,
    liveinit.tasks, livedisk.tasks, liveiso.tasks,
)  # fmt: skip
MEDIA = (parts.tasks, diskboot.tasks, iso.tasks, diskimage.tasks)

DOIT_CONFIG = {"default_tasks": [PRODUCTS[0].task, "checksums"]}


def task_sources() -> Iterator[dict[str, object]]:
    """Downloads."""
    yield from sources.tasks(CONFIG, current(), TARGETS)
    yield from each((*TARGETS, LIVE), (providers.download_tasks,))


def task_shared() -> Iterator[dict[str, object]]:
    """What nodes and the Live CD have: kernels, images."""
    return each((*TARGETS, *UPDATES, LIVE.variant("live", "parts")), (kernel.kernel_tasks, addons.tasks))


def task_flow() -> Iterator[dict[str, object]]:
    """From the kernel's modules to the update bundle."""
    return each((*TARGETS, *UPDATES), FLOW)


def task_media() -> Iterator[dict[str, object]]:
    """What nodes are started from."""
    return each(TARGETS, MEDIA)


def task_live() -> Iterator[dict[str, object]]:
    """The Live CD, layer by layer."""
    return each((LIVE,), LIVE_FLOW)


def task_checksums() -> Iterator[dict[str, object]]:
    """What is handed out."""
    return checksums.tasks(PRODUCTS)


def task_test_images() -> Iterator[dict[str, object]]:
    """What the tests run on a node."""
    return testimages.tasks(TARGET)


def task_test_tools() -> Iterator[dict[str, object]]:
    """What the tests run on the host."""
    return testtools.tasks()


def task_conformance() -> Iterator[dict[str, object]]:
    """Kubernetes' own tests."""
    return conformance.tasks(TARGET)
