"""The pipeline at a glance: tasks in the order in which data flows.

versions.lock -> sources -> {kernel, payload, userland} -> rootfs -> initramfs -> iso. Each task is defined
in the module of its noun in tasks/; `./doit list` shows them, `./doit graph` draws them.
"""

# ruff: noqa: F401, I001

from tasks.sources import task_sources
from tasks.kernel import task_kernel, task_kernel_audit
from tasks.modules import task_modules
from tasks.payload import task_payload
from tasks.addons import task_image_coredns, task_image_pause
from tasks.userland import task_userland
from tasks.rootfs import task_rootfs
from tasks.initramfs import task_initramfs, task_initramfs_drivers
from tasks.parts import task_parts
from tasks.iso import task_efi_image, task_iso
from tasks.stub import task_stub
from tasks.testimages import task_test_images

DOIT_CONFIG = {"default_tasks": ["iso"]}
