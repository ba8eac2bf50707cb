"""The pipeline at a glance: tasks in the order in which data flows.

versions.lock -> sources -> {kernel, payload, userland} -> rootfs -> initramfs -> iso. Each task is defined
in the module of its noun in tasks/; `./doit list` shows them, `./doit graph` draws them.
"""

# ruff: noqa: F401

from tasks.sources import task_sources
from tasks.userland import task_userland

DOIT_CONFIG = {"default_tasks": ["iso"]}
