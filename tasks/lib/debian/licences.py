"""Licences of Debian packages as SPDX expressions, from their machine-readable copyright files.

The format is Debian's copyright-format 1.0 (DEP 5), read by python-debian. Its short names are SPDX' with a
few exceptions (section "License specification"); what SPDX does not know becomes a LicenseRef-Debian-NAME
(SPDX 2.3, annex D). A copyright file in prose says nothing that a program should guess at: NOASSERTION.
"""

from __future__ import annotations

import functools
import posixpath
import re
from collections.abc import Collection, Iterator
from pathlib import Path

from tasks.lib.debian import debs
from tasks.lib.debian.lockfile import Package
from tasks.lib.errors import BuildError
from tasks.lib.provider import NOASSERTION, Part

DOC = "usr/share/doc"
REFERENCE = "LicenseRef-Debian-"
# Debian's names of what SPDX calls otherwise, in small letters.
NAMES = {
    "apache-2": "Apache-2.0",
    "artistic": "Artistic-1.0",
    "artistic-2": "Artistic-2.0",
    "expat": "MIT",
    "mit/x11": "X11",
}
# The FSF's licences: "GPL-2" is that version only, "GPL-2+" that or a later one.
VERSIONED = re.compile(r"(A?GPL|LGPL|GFDL)-(\d(?:\.\d)?)(\+?)", re.IGNORECASE)


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
    """The licences of all files that a copyright file describes, as one SPDX expression."""
    from license_expression import combine_expressions

    found = [expression(text) for text in sorted(set(synopses(copyright_text)))]
    return str(combine_expressions(found, unique=True)) if found else NOASSERTION


def synopses(copyright_text: str) -> Iterator[str]:
    """The first lines of the License fields of a copyright file; none when it is not machine-readable."""
    from debian.copyright import Copyright, NotMachineReadableError

    try:
        document = Copyright(copyright_text.splitlines(keepends=True), strict=False)
    except (NotMachineReadableError, ValueError):
        return
    for paragraph in (document.header, *document.all_files_paragraphs()):
        if paragraph.license and (text := " ".join(paragraph.license.synopsis.split())):
            yield text


def expression(synopsis: str) -> str:
    """A licence specification as an SPDX expression; what stands between commas belongs together."""
    parts = re.split(r",\s+(and|or)\s+", synopsis, flags=re.IGNORECASE)
    if len(parts) > 1:
        texts = [
            f"({expression(part)})" if place % 2 == 0 else part.upper() for place, part in enumerate(parts)
        ]
        return " ".join(texts)
    words = re.split(r"\s+(and|or)\s+", synopsis, flags=re.IGNORECASE)
    return " ".join(identifier(word) if place % 2 == 0 else word.upper() for place, word in enumerate(words))


def identifier(name: str) -> str:
    """SPDX' identifier of a licence by Debian's name, with its exception if it has one."""
    if match := VERSIONED.fullmatch(name):
        family, version, later = match.groups()
        version = version if "." in version else f"{version}.0"
        name = f"{family.upper()}-{version}-{'or-later' if later else 'only'}"
    known = spdx_names().get(NAMES.get(name.lower(), name).lower())
    return known or REFERENCE + re.sub(r"[^A-Za-z0-9.]+", "-", name.replace("+", "-or-later")).strip("-.")


@functools.cache
def spdx_names() -> dict[str, str]:
    """All identifiers of licences that SPDX has not withdrawn, by themselves in small letters."""
    from license_expression import get_spdx_licensing

    known = get_spdx_licensing().known_symbols
    return {key.lower(): key for key, licence in known.items() if not licence.is_exception}


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
