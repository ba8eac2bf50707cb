"""Names of images in full, as containerd stores them (the rules of distribution/reference)."""

from __future__ import annotations

import re

from tasks.lib.errors import BuildError

COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
HOST = r"(?:[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*|\[[0-9A-Fa-f:]+\])(?::[0-9]+)?"
NAME = re.compile(
    rf"(?:(?P<host>{HOST})/)?(?P<path>{COMPONENT}(?:/{COMPONENT})*)"
    r"(?::(?P<tag>\w[\w.-]{0,127}))?(?P<digest>@sha256:[0-9a-f]{64})?",
    re.ASCII,
)


def full_name(text: str) -> str:
    """An image's name with registry and tag or digest: nginx is docker.io/library/nginx:latest.

    Raises BuildError for what is no name.
    """
    found = NAME.fullmatch(text)
    if found is None:
        raise BuildError(f"{text!r} is neither a file nor the name of an image", "such as nginx:1.29")
    host, path = found["host"] or "", found["path"]
    if host and not ("." in host or ":" in host or host == "localhost"):
        host, path = "", f"{host}/{path}"
    if not host:
        host = "docker.io"
        path = path if "/" in path else f"library/{path}"
    # What has a digest needs no tag.
    version = found["digest"] or f":{found['tag'] or 'latest'}"
    return f"{host}/{path}{version}"
