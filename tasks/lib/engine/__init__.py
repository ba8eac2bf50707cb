"""The build engine: doit made honest about what is up to date. docs/developing.md says how to use it."""

from tasks.lib.engine.artifact import artifact
from tasks.lib.engine.build import Build

__all__ = ["Build", "artifact"]
