"""The keys of container registries: mirrors, logins, certificate authorities."""

from __future__ import annotations

import re

from agent.config import formats, tree
from agent.config.kinds import Boolean, ListOf, Text, Warn, unwritable
from agent.config.problems import Problems
from agent.config.records import Key, Record, Table
from agent.config.updatekeys import URL

ALL = "*"
HOST = rf"\*|(?:{formats.LABEL}(?:\.{formats.LABEL})*|\x5b[0-9A-Fa-f:]+\x5d)(?::[0-9]{{1,5}})?"
# RFC 7468, 2
PEM = re.compile(r"-----BEGIN CERTIFICATE-----\s+([A-Za-z0-9+/=\s]+?)\s*-----END CERTIFICATE-----\s*")


class Certificates(Text):
    """Certificates in PEM, the one text that has lines."""

    def read(self, node: tree.Node, path: str, problems: Problems, secret: bool = False) -> object:
        """A str of whole certificates, each line ended."""
        import binascii

        if not isinstance(node, tree.Scalar) or not node.text.strip().startswith("-----BEGIN "):
            return self.refuse(node, path, problems, "is something else")
        text = node.text.strip() + "\n"
        if len(text) > self.longest or any(unwritable(line) for line in text.splitlines()):
            return self.refuse(node, path, problems, "is too long, or has control characters in it")
        rest = text
        while rest and (found := PEM.match(rest)):
            try:
                binascii.a2b_base64("".join(found[1].split()), strict_mode=True)
            except binascii.Error:
                return self.refuse(node, path, problems, "has a damaged certificate in it")
            rest = rest[found.end() :]
        return self.refuse(node, path, problems, "is something else") if rest else text


def mirror(text: str, warn: Warn) -> str:
    """The address of a mirror, without a login in it."""
    from urllib.parse import urlsplit

    if "@" in urlsplit(formats.web_address(text, warn)).netloc:
        raise ValueError("has a login in it: give the mirror an entry of its own, with username and password")
    return text.rstrip("/")


REGISTRY = Record(
    Key(
        "mirrors",
        ListOf(Text("an http or https address", URL, mirror, 1024), 8, single=True),
        "Where images of this registry are looked for first, in this order. One with a path is used as it "
        "is, such as `https://harbor.example.com/v2/hub`.",
        default="[]",
        example='["https://registry.plant.example:5000"]',
        secret=True,  # as people put logins into addresses
    ),
    Key(
        "only-mirrors",
        Boolean(),
        "The registry itself is never asked.",
        default="false",
    ),
    Key("username", Text("a text", longest=256), "Login of this registry.", example='"node"'),
    Key(
        "password",
        Text("a text without line ends", longest=4096),
        "Its password or token. A secret: only root can read where it goes.",
        example='"correct-horse-battery"',
        secret=True,
    ),
    Key(
        "ca",
        Certificates("certificates in PEM, with their lines (YAML: `ca: |`)", longest=65536),
        "Certificate authorities that vouch for this registry, besides those of the system.",
    ),
)
REGISTRIES = Table(
    REGISTRY, HOST, "registries such as docker.io or registry.example.com:5000, and '*' for all others", 64
)
