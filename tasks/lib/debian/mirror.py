"""Where packages are downloaded from: the environment, else the host's own apt configuration."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from tasks.lib import process
from tasks.lib.errors import BuildError

VARIABLE = "KUBESOLO_MIRROR"
APT = Path("/etc/apt")
# Code names and aliases of Debian suites: other distributions' mirrors do not have what we need.
SUITES = re.compile(
    r"(buster|bullseye|bookworm|trixie|forky|duke|sid|(old)*stable|testing|unstable)"
    r"((-|/)(updates|security|proposed-updates|backports))?"
)
TIMEOUT_S = 10
HINT = f"name a Debian mirror: {VARIABLE}=http://mirror.example/debian ./doit …"


@dataclass(frozen=True)
class Mirrors:
    """Base addresses without a trailing slash, best first: of the main archive, and of the security one."""

    main: tuple[str, ...]
    security: tuple[str, ...]

    def bases(self, archive: str) -> tuple[str, ...]:
        """The base addresses of one archive, "main" or "security"."""
        return self.security if archive == "security" else self.main


@dataclass(frozen=True)
class Entry:
    """One source in apt's configuration: every address serves every suite."""

    addresses: tuple[str, ...]
    suites: tuple[str, ...]


def find_mirrors(apt: Path = APT) -> Mirrors:
    """The mirrors to use.

    $KUBESOLO_MIRROR holds base addresses separated by blanks or commas; one that ends in "security" is of the
    security archive, which else is looked for beside the main one ("-security" appended).
    Raises BuildError when there is none.
    """
    named = re.split(r"[\s,]+", os.environ.get(VARIABLE, "").strip())
    if named != [""]:
        for address in named:
            if not re.match(r"https?://[^/]", address):
                raise BuildError(f"{VARIABLE}: {address} is not an http(s) address", HINT)
        return sorted_out((address, is_security(address)) for address in named)
    found = [
        (address, suite_is_security(suite))
        for entry in entries(apt)
        for suite in entry.suites
        for address in entry.addresses
        if SUITES.fullmatch(suite)
    ]
    mirrors = sorted_out(found)
    if not mirrors.main:
        raise BuildError(f"no Debian mirror in {apt}", HINT)
    return mirrors


def ask(base: str, suite: str) -> tuple[bool, str]:
    """Whether a mirror has a suite, and what it answers, in one line."""
    import requests  # slow, and a no-op build asks nobody

    address = f"{base}/dists/{suite}/InRelease"
    try:
        answer = requests.head(address, timeout=TIMEOUT_S, allow_redirects=True)
    except requests.RequestException as error:
        return False, f"{address} can not be reached: {type(error).__name__}"
    return answer.ok, f"{address}: {answer.status_code} {answer.reason}"


def is_security(address: str) -> bool:
    """Whether a base address looks like that of the security archive."""
    return address.rstrip("/").endswith("security")


def suite_is_security(suite: str) -> bool:
    """Whether the suite belongs to the security archive: trixie-security, formerly buster/updates."""
    return suite.endswith(("-security", "/updates"))


def sorted_out(found: Iterable[tuple[str, bool]]) -> Mirrors:
    """Mirrors from (address, is of the security archive), in the order given, each once."""
    main: dict[str, None] = {}
    security: dict[str, None] = {}
    for address, secure in found:
        (security if secure else main)[address.rstrip("/")] = None
    for base in main:
        security.setdefault(f"{base}-security")
    return Mirrors(tuple(main), tuple(security))


def entries(apt: Path) -> Iterator[Entry]:
    """The enabled binary sources of an apt configuration folder, in apt's order."""
    parts = apt / "sources.list.d"
    files = [apt / "sources.list"]
    if parts.is_dir():
        files += sorted(path for path in parts.iterdir() if path.suffix in {".list", ".sources"})
    for path in files:
        try:
            content = path.read_text(encoding="utf-8", errors="replace")
        except OSError:
            continue
        yield from deb822(content) if path.suffix == ".sources" else one_line(content)


def one_line(content: str) -> Iterator[Entry]:
    """Entries of the one-line format (sources.list(5))."""
    for raw in content.splitlines():
        line = raw.partition("#")[0]
        found = re.match(r"\s*deb\s+(?:\[[^]]*\]\s*)?(\S+)\s+(\S+)", line)
        if found:
            yield Entry(tuple(addresses(found[1])), (found[2],))


def deb822(content: str) -> Iterator[Entry]:
    """Entries of the deb822 format (sources.list(5)): stanzas of fields, continued on indented lines."""
    text = "\n".join(line for line in content.splitlines() if not line.startswith("#"))
    for stanza in re.split(r"\n[ \t]*\n", text):
        values: dict[str, list[str]] = {}
        name = ""
        for line in stanza.splitlines():
            if line[:1] not in {" ", "\t"}:
                name, _, line = line.partition(":")
                name = name.strip().lower()
            values.setdefault(name, []).extend(line.split())
        enabled = [word.lower() for word in values.get("enabled", ["yes"])]
        if "deb" in values.get("types", []) and enabled not in (["no"], ["false"], ["0"], ["off"]):
            found = [base for word in values.get("uris", []) for base in addresses(word)]
            yield Entry(tuple(found), tuple(values.get("suites", [])))


def addresses(word: str) -> Iterator[str]:
    """The http(s) addresses that apt's URI stands for.

    mirror+file: names a file of them, one a line (apt-transport-mirror(1)).
    """
    if re.match(r"https?://[^/]", word):
        yield word
    elif word.startswith(("mirror+file:", "mirror:file:")):
        listing = Path(re.sub(r"^mirror[+:]file:/*", "/", word))
        try:
            lines = listing.read_text(encoding="utf-8").splitlines()
        except OSError:
            return
        for line in lines:
            yield from (address for address in line.split()[:1] if re.match(r"https?://[^/]", address))


def apt_proxies() -> dict[str, str]:
    """The proxies of the host's apt configuration (apt-transport-http(1)), as requests wants them."""
    if shutil.which("apt-config") is None:
        return {}
    dumped = process.run(["apt-config", "dump"]).stdout.decode(errors="replace")
    found = re.findall(r'^Acquire::(https?)::Proxy(?:::([^ ]+))? "(.*)";$', dumped, re.MULTILINE)
    return {
        f"{scheme}://{host}" if host else scheme: "" if proxy in {"DIRECT", "false"} else proxy
        for scheme, host, proxy in found
    }
