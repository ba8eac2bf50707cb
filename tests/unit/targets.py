"""A target for tests of task modules, whatever versions.toml says."""

from tasks.lib.arch import AMD64
from tasks.lib.target import Target

EPOCH = 1795219200
TARGET = Target(AMD64, "debian", "default", "debian", "upstream", "0.0.0", EPOCH)
STUB = TARGET.variant("stub", payload="stub")
VALUES = {"epoch": EPOCH, "version": "0.0.0", "architecture": "amd64"}
