"""versions.toml of a product that is made of archives of others."""

from __future__ import annotations

import re
from collections.abc import Mapping

PROVIDERS = {"payload": "kubesolo", "userland": "tinycore", "kernel": "tinycore"}


def configured(text: str, files: Mapping[str, tuple[str, str]]) -> str:
    """The same text with these providers; files: address and SHA-256 (for amd64) of each download."""
    for section, name in PROVIDERS.items():
        text, count = re.subn(rf'(\[{section}\]\nprovider = )".*"', rf'\1"{name}"', text)
        assert count == 1, section
    for name, (url, sha256) in files.items():
        before, found, rest = text.partition(f"[downloads.{name}]\n")
        section, end, after = rest.partition("\n\n") if found else ('version = "1"\nurl = ""\n', "\n\n", "")
        section, count = re.subn(r'url = ".*"', f'url = "{url}"', section)
        assert count == 1, name
        section = f'[downloads.{name}]\n{section.strip()}\namd64 = "{sha256}"'
        text = f"{before}{section}{end}{after}" if found else f"{before.rstrip()}\n\n{section}\n"
    return text
