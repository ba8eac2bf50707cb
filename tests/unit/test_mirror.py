"""Where packages come from: the environment, or each form of apt's configuration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tasks.lib.debian import mirror
from tasks.lib.debian.mirror import Mirrors, apt_proxies, find_mirrors
from tasks.lib.errors import BuildError

MIRROR = "http://mirror.example/debian"
SECURITY = "http://security.example/debian-security"


@pytest.fixture
def apt(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.delenv(mirror.VARIABLE, raising=False)
    (tmp_path / "sources.list.d").mkdir()
    return tmp_path


@pytest.mark.parametrize(
    ("value", "main", "security"),
    [
        (MIRROR, (MIRROR,), (f"{MIRROR}-security",)),
        (f"{MIRROR}/", (MIRROR,), (f"{MIRROR}-security",)),
        (f"{MIRROR} {SECURITY}", (MIRROR,), (SECURITY, f"{MIRROR}-security")),
        (f"{MIRROR}, https://b.example/d", (MIRROR, "https://b.example/d"),
         (f"{MIRROR}-security", "https://b.example/d-security")),
    ],
)  # fmt: skip
def test_the_environment_comes_first(
    apt: Path, monkeypatch: pytest.MonkeyPatch, value: str, main: tuple[str, ...], security: tuple[str, ...]
) -> None:
    (apt / "sources.list").write_text("deb http://elsewhere.example/debian trixie main\n")
    monkeypatch.setenv(mirror.VARIABLE, value)
    assert find_mirrors(apt) == Mirrors(main, security)


@pytest.mark.parametrize("value", ["mirror.example/debian", "ftp://mirror.example/debian", "http:///debian"])
def test_a_bad_address_in_the_environment(apt: Path, monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(mirror.VARIABLE, value)
    with pytest.raises(BuildError, match=r"KUBESOLO_MIRROR: .* is not an http"):
        find_mirrors(apt)


ONE_LINE = f"""\
# deb http://commented.example/debian bookworm main
deb-src http://sources.example/debian bookworm main
deb [arch=amd64 signed-by=/usr/share/keyrings/x.gpg] {MIRROR}/ bookworm main contrib # a remark
deb {MIRROR} bookworm-updates main
deb {SECURITY} bookworm-security main
deb https://vendor.example/apt stable-x main
deb http://flat.example/ ./
deb cdrom:[Debian 13]/ trixie main
"""
DEB822 = f"""\
Types: deb deb-src
# URIs: http://commented.example/debian
URIs: {MIRROR}
Suites: bookworm
 bookworm-updates
Components: main
Signed-By:
 -----BEGIN PGP PUBLIC KEY BLOCK-----
 .
 URIs: http://not-a-field.example
 -----END PGP PUBLIC KEY BLOCK-----

Types: deb
URIs: {SECURITY}
Suites: bookworm-security
Components: main

Types: deb
Enabled: no
URIs: http://disabled.example/debian
Suites: trixie
Components: main

Types: deb-src
URIs: http://sources.example/debian
Suites: trixie
Components: main

types: deb
uris: https://vendor.example/debian
suites: nodistro
components: main
"""


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("sources.list", ONE_LINE),
        ("sources.list.d/a.list", ONE_LINE),
        ("sources.list.d/debian.sources", DEB822),
    ],
)
def test_the_forms_of_the_configuration(apt: Path, name: str, content: str) -> None:
    (apt / name).write_text(content)
    assert find_mirrors(apt) == Mirrors((MIRROR,), (SECURITY, f"{MIRROR}-security"))


def test_files_that_apt_does_not_read_are_not_read(apt: Path) -> None:
    (apt / "sources.list.d/a.list.disabled").write_text(ONE_LINE)
    (apt / "sources.list.d/b.sources.save").write_text(DEB822)
    with pytest.raises(BuildError, match="no Debian mirror") as caught:
        find_mirrors(apt)
    assert "KUBESOLO_MIRROR=http" in caught.value.hint


def test_a_mirror_list_as_on_cloud_images(apt: Path) -> None:
    (apt / "mirrors").write_text(f"{MIRROR} priority:1\n# remark\nhttp://second.example/debian\n")
    (apt / "security").write_text(f"{SECURITY}\n")
    (apt / "sources.list.d/debian.sources").write_text(
        f"Types: deb\nURIs: mirror+file://{apt}/mirrors\nSuites: trixie\nComponents: main\n\n"
        f"Types: deb\nURIs: mirror+file:{apt}/security\nSuites: trixie-security\nComponents: main\n"
    )
    found = find_mirrors(apt)
    assert found.main == (MIRROR, "http://second.example/debian")
    assert found.security[0] == SECURITY


def test_a_derivative_s_mirrors_are_of_no_use(apt: Path) -> None:
    (apt / "sources.list").write_text("deb http://archive.example/derived noble main\n")
    with pytest.raises(BuildError, match="no Debian mirror"):
        find_mirrors(apt)


def test_no_apt_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(mirror.VARIABLE, raising=False)
    with pytest.raises(BuildError, match="no Debian mirror"):
        find_mirrors(tmp_path / "nowhere")


def test_apt_s_proxies_are_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    fake = tmp_path / "apt-config"
    fake.write_text(
        "#!/bin/sh\n"
        "echo 'Acquire::http \"\";'\n"
        "echo 'Acquire::http::Proxy \"http://proxy.example:3128\";'\n"
        "echo 'Acquire::http::Proxy::mirror.example \"DIRECT\";'\n"
    )
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    assert apt_proxies() == {"http": "http://proxy.example:3128", "http://mirror.example": ""}
    monkeypatch.setenv("PATH", str(tmp_path / "nowhere"))
    assert apt_proxies() == {}
