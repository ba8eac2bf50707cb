"""doit's view of our digests, for tasks that are plain doit dictionaries."""

from __future__ import annotations

import os
from typing import Any

from doit.dependency import FileChangedChecker

from tasks.lib.engine.digests import Digests


class DigestChecker(FileChangedChecker):
    """Checks content, mode and link target; folders are trees."""

    def __init__(self) -> None:
        self.digests = Digests()

    def exists(self, file_path: str) -> bool:
        """Whether something lies at the path, be it a broken link."""
        return os.path.lexists(file_path)

    def info(self, file_path: str) -> Any:
        """The present digest, which doit hands on to check_modified().

        Raises FileNotFoundError.
        """
        digest = self.digests.of(file_path)
        if digest is None:
            raise FileNotFoundError(file_path)
        return digest

    def check_modified(self, file_path: str, file_stat: Any, state: Any) -> bool:
        """Whether the digest differs from the recorded one."""
        return bool(file_stat != state)

    def get_state(self, dep: str, current_state: Any) -> Any:
        """The digest to record."""
        return self.info(dep)
