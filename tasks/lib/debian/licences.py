"""Licences of Debian packages, from their copyright files (Debian policy, copyright-format 1.0)."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Collection
from pathlib import Path

from tasks.lib.debian import debs
from tasks.lib.debian.lockfile import Package
from tasks.lib.errors import BuildError
from tasks.lib.provider import Part

UNKNOWN = "see its copyright file"
DOC = "usr/share/doc"


def copyrights(fetched: list[tuple[Package, Path]]) -> dict[str, str]:
    """The text of each package's copyright file, by package name; "" when there is none.

    A package whose folder is a link to another one's (same source) has the other one's text.
    """
    texts: dict[str, str] = {}
    links: dict[str, str] = {}
    for package, deb in fetched:
        for member in debs.entries(deb):
            if member.path == f"{DOC}/{package.name}/copyright":
                texts[package.name] = b"".join(member.content).decode(errors="replace")
                break
            if member.path == f"{DOC}/{package.name}" and member.link:
                links[package.name] = posixpath.basename(member.link)
                break
    return {package.name: texts.get(links.get(package.name, package.name), "") for package, _ in fetched}


def summary(copyright_text: str) -> str:
    """The licences that a copyright file names, joined with AND.

    Machine-readable files have License fields, others point to common-licenses or only say it in prose.
    """
    found = re.findall(r"^License:[ \t]*(\S.*?)\s*$", copyright_text, re.MULTILINE)
    found = found or re.findall(r"/usr/share/common-licenses/([\w.+-]*\w)", copyright_text)
    names = {re.sub(r"\s+", " ", name) for name in found}
    return " AND ".join(sorted(f"({name})" if " " in name else name for name in names)) or UNKNOWN


def package_parts(fetched: list[tuple[Package, Path]], used: Collection[str]) -> list[Part]:
    """Packages as parts of a product, those that are used; BuildError when one has no copyright file."""
    chosen = [(package, deb) for package, deb in fetched if package.name in used]
    texts = copyrights(fetched)
    if missing := [package.name for package, _ in chosen if not texts[package.name]]:
        raise BuildError(f"packages without a copyright file: {', '.join(missing)}")
    return [
        Part(
            package.name,
            "package",
            package.version,
            package.source,
            package.sha256,
            summary(texts[package.name]),
        )
        for package, _ in chosen
    ]
