"""apt in a private root: asks the signed suite for packages without touching the host's own apt.

apt itself checks the signatures and resolves dependencies; what it prints is read here.
"""

from __future__ import annotations

import errno
import hashlib
import os
import re
import shutil
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import unquote

from tasks.lib import process
from tasks.lib.debian.lockfile import Index, Package
from tasks.lib.debian.mirror import Mirrors
from tasks.lib.errors import BuildError
from tasks.lib.net import cache

KEYRING_VARIABLE = "KUBESOLO_KEYRING"
KEYRINGS = (
    "/usr/share/keyrings/debian-archive-keyring.pgp",
    "/usr/share/keyrings/debian-archive-keyring.gpg",
    "/etc/apt/keyrings/debian-archive-keyring.gpg",
    "/usr/share/apt/debian-archive-keyring.gpg",
)
# The host's settings that say how to reach a mirror; nothing that would change what is accepted or run hooks.
HOST_SETTINGS = re.compile(
    r"Acquire::(https?::|Retries |ForceIPv[46] |Check-Valid-Until |Check-Date |Max-ValidTime |Min-ValidTime )"
)


@dataclass(frozen=True)
class AptRoot:
    """A private apt root in a folder, for one suite and architecture."""

    folder: Path
    suite: str
    architecture: str

    def update(self, mirrors: Mirrors) -> tuple[Index, ...]:
        """Fetch the signed indexes from the first mirror that has them all.

        Raises BuildError when none has, or when a signature is not of the archive's keyring.
        """
        for tool in ("apt-get", "apt-cache"):
            if shutil.which(tool) is None:
                raise BuildError(
                    f"{tool}: not found", "./doit lock needs apt: run it on Debian or a derivative"
                )
        keys = keyring()
        failures = []
        for main in mirrors.main:
            try:
                self.configure(main, beside(main, mirrors), keys)
                self.apt("apt-get", "update", "-qq", "-o", "APT::Update::Error-Mode=any")
            except OSError as error:
                raise BuildError(
                    f"{self.folder}: can not be written: {error.strerror}", cache.space_hint(error)
                ) from error
            except BuildError as error:
                failures.append(f"{main}: {complaint(error)}")
                continue
            return tuple(sorted(self.indexes(), key=lambda index: index.suite))
        what = "no mirror has the signed suite: " + "; ".join(failures)
        if "No space left on device" in what:
            raise BuildError(what, cache.space_hint(OSError(errno.ENOSPC, "")))
        raise BuildError(what, "check the network, the mirror and the host's debian-archive-keyring")

    def configure(self, main: str, security: str, keys: Path) -> None:
        """Write the private configuration."""
        for name in ("etc/parts", "etc/sources", "state/lists/partial", "cache/archives/partial", "log"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        (self.folder / "status").write_text("")
        sources = "\n".join(
            f"Types: deb\nURIs: {base}\nSuites: {suites}\nComponents: main\n"
            f"Architectures: {self.architecture}\nSigned-By: {keys}\n"
            for base, suites in (
                (main, f"{self.suite} {self.suite}-updates"),
                (security, f"{self.suite}-security"),
            )
        )
        (self.folder / "etc/sources/debian.sources").write_text(sources)
        settings = {
            "Dir": self.folder, "Dir::Etc": "etc", "Dir::Etc::main": "none", "Dir::Etc::parts": "parts",
            "Dir::Etc::sourcelist": "none", "Dir::Etc::sourceparts": "sources", "Dir::Etc::trusted": "none",
            "Dir::Etc::trustedparts": "parts", "Dir::Etc::preferences": "none",
            "Dir::Etc::preferencesparts": "parts",
            "Dir::Etc::netrc": "/etc/apt/auth.conf", "Dir::Etc::netrcparts": "/etc/apt/auth.conf.d",
            "Dir::State": "state", "Dir::State::status": self.folder / "status", "Dir::Cache": "cache",
            "Dir::Log": "log",
            "APT::Architecture": self.architecture, "APT::Architectures": self.architecture,
            "APT::Install-Recommends": "false", "APT::Sandbox::User": "root", "Acquire::Languages": "none",
            "Acquire::AllowInsecureRepositories": "false", "Acquire::AllowWeakRepositories": "false",
            "Acquire::Retries": "1", "Debug::NoLocking": "true", "Dpkg::Use-Pty": "false",
        }  # fmt: skip
        lines = [f'{name} "{value}";' for name, value in settings.items()]
        (self.folder / "apt.conf").write_text("\n".join([*host_settings(), *lines]) + "\n")

    def apt(self, *argv: str) -> str:
        """What an apt command prints, run in this root."""
        done = process.run(argv, env={"APT_CONFIG": str(self.folder / "apt.conf")})
        return done.stdout.decode()

    def indexes(self) -> Iterable[Index]:
        """The signed indexes as they were fetched."""
        for path in (self.folder / "state/lists").glob("*Release"):
            content = path.read_bytes()
            head = content.decode(errors="replace")
            fields = dict(re.findall(r"^(Codename|Date): (.+)$", head, re.MULTILINE))
            suite = fields.get("Codename", "")
            archive = "security" if suite.endswith("-security") else "main"
            yield Index(suite, archive, fields.get("Date", ""), hashlib.sha256(content).hexdigest())

    def closure(self, names: Sequence[str]) -> list[Package]:
        """The named packages and all that they need, as the suite has them now (not sorted).

        Raises BuildError when one does not exist or can not be installed.
        """
        hashes = ("-o", "Acquire::ForceHash=SHA256")
        try:
            listing = self.apt("apt-get", "-qq", "--print-uris", *hashes, "install", "--", *names)
        except BuildError as error:
            raise BuildError(
                f"{self.suite} can not provide {' '.join(names)}: {complaint(error)}",
                "correct [packages] in versions.toml",
            ) from error
        found = re.findall(r"^'(\S+)' (\S+) (\d+) SHA256:([0-9a-f]{64})$", listing, re.MULTILINE)
        wanted = {sha256: unquote(uri) for uri, _, _, sha256 in found}
        shown = self.apt("apt-cache", "show", "--", *(file.partition("_")[0] for _, file, _, _ in found))
        packages = {}
        for record in records(shown):
            uri = wanted.get(record.get("SHA256", ""))
            if uri is not None and uri.endswith(record["Filename"]):
                packages[record["Package"]] = package(record, uri)
        if len(packages) != len(found):
            raise BuildError(f"apt listed {len(found)} packages, {len(packages)} were understood: {listing}")
        return list(packages.values())


def complaint(error: BuildError) -> str:
    """apt's own words for why it failed, in one line."""
    said = re.findall(r"^E: (.+)$", error.what, re.MULTILINE)
    return "; ".join(dict.fromkeys(said)) or error.what


def beside(main: str, mirrors: Mirrors) -> str:
    """The security archive to use with a main one: of the same place if there is one."""
    sibling = f"{main}-security"
    return sibling if sibling in mirrors.security else mirrors.security[0]


def package(record: Mapping[str, str], uri: str) -> Package:
    """A Package from its record in the index (Debian Policy 5.3) and the address apt would take it from."""
    base = uri.removesuffix(record["Filename"]).rstrip("/")
    return Package(
        name=record["Package"],
        version=record["Version"],
        architecture=record["Architecture"],
        source=record.get("Source", record["Package"]).partition(" ")[0],
        archive="security" if base.endswith("security") or "/updates/" in record["Filename"] else "main",
        path=record["Filename"],
        size=int(record["Size"]),
        sha256=record["SHA256"],
    )


def records(text: str) -> Iterable[dict[str, str]]:
    """The single-line fields of each stanza that apt-cache show prints."""
    for stanza in re.split(r"\n\n+", text.strip()):
        yield dict(re.findall(r"^([A-Za-z0-9-]+): (.*)$", stanza, re.MULTILINE))


def keyring() -> Path:
    """The keyring that signs Debian's archive, where the host keeps it; $KUBESOLO_KEYRING names another.

    Raises BuildError when there is none.
    """
    named = os.environ.get(KEYRING_VARIABLE, "")
    for candidate in [named] if named else KEYRINGS:
        path = Path(candidate)
        if path.is_file():
            return path.resolve()
    raise BuildError(
        f"{named or 'the keyring of the Debian archive'}: not found",
        f"apt-get install debian-archive-keyring, or name the keyring: {KEYRING_VARIABLE}=/path ./doit lock",
    )


def host_settings() -> list[str]:
    """The host's own apt settings for reaching mirrors (proxies, certificates), as configuration lines."""
    if shutil.which("apt-config") is None:
        return []
    dumped = process.run(["apt-config", "dump"]).stdout.decode(errors="replace")
    return [line for line in dumped.splitlines() if HOST_SETTINGS.match(line)]
