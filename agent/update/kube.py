"""The API server of this node, asked as its administrator.

The kubeconfig is the payload's own (payload/internal/pki/files.go): one cluster, one user, certificates and
key as base64 in it, and an address on the loopback interface. YAML of that shape needs no YAML reader.
"""

from __future__ import annotations

import base64
import os
import re

from agent.update.errors import FAILED, UpdateError

TYPE_CHECKING = False
if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

KUBECONFIG = "var/lib/kubesolo/pki/admin/admin.kubeconfig"
# Only a payload that runs containers has one of them (tasks/payload.py): the root images say so, not what
# went wrong. The second has its shim in itself.
RUNTIMES = ("usr/bin/containerd-shim-runc-v2", "usr/libexec/kubesolo/kubesolo")
HOST_NAME = "run/kubesolo/etc/hostname"
# A small node that is busy takes its time.
TIMEOUT = 30.0
# Bytes of an answer. A node's own lists are far below; memory is dear.
LONGEST = 16 << 20
MERGE = "application/merge-patch+json"
FIELD = re.compile(
    r"(?m)^ +(server|certificate-authority-data|client-certificate-data|client-key-data): (\S+)$"
)
FIELDS = ("server", "certificate-authority-data", "client-certificate-data", "client-key-data")


class KubeError(UpdateError):
    """The API server can not be reached, or refuses; `code` is the HTTP status, 0 without an answer."""

    def __init__(self, message: str, code: int = 0) -> None:
        super().__init__(message)
        self.status = FAILED
        self.code = code


class Kube:
    """A client of the API server; each request has a connection of its own and `timeout` seconds."""

    def __init__(self, server: str, context: ssl.SSLContext, timeout: float = TIMEOUT) -> None:
        from urllib.parse import urlsplit

        parts = urlsplit(server)
        if parts.scheme != "https" or not parts.hostname:
            raise KubeError(f"the kubeconfig's server is {server}, no https address")
        self.host, self.port = parts.hostname, parts.port or 443
        self.context = context
        self.timeout = timeout

    def request(
        self, method: str, path: str, body: Mapping[str, object] | None = None, kind: str = "application/json"
    ) -> bytes:
        """The answer to one request; raises KubeError for every one that is no success."""
        import http.client
        import json

        data = None if body is None else json.dumps(body).encode()
        headers = {"Accept": "application/json", **({"Content-Type": kind} if data is not None else {})}
        connection = http.client.HTTPSConnection(
            self.host, self.port, timeout=self.timeout, context=self.context
        )
        try:
            connection.request(method, path, data, headers)
            answer = connection.getresponse()
            content = answer.read(LONGEST + 1)
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise KubeError(
                f"the API server does not answer: {str(error) or type(error).__name__}"
            ) from error
        finally:
            connection.close()
        if len(content) > LONGEST:
            raise KubeError(f"the API server's answer to {path} is longer than {LONGEST >> 20} MiB")
        if not 200 <= answer.status < 300:
            raise KubeError(f"{method} {path}: {answer.status} {words_of(content)}".rstrip(), answer.status)
        return content

    def get(self, path: str) -> dict[str, Any]:
        """An object or list; raises KubeError."""
        return parsed(self.request("GET", path), path)

    def text(self, path: str) -> str:
        """What is no JSON, such as /readyz; raises KubeError."""
        return self.request("GET", path).decode(errors="replace")

    def post(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Make an object; raises KubeError."""
        return parsed(self.request("POST", path, body), path)

    def patch(self, path: str, body: Mapping[str, object]) -> dict[str, Any]:
        """Change an object by a merge patch (RFC 7396): null removes; raises KubeError."""
        return parsed(self.request("PATCH", path, body, MERGE), path)

    def delete(self, path: str, body: Mapping[str, object] | None = None) -> None:
        """Remove an object; raises KubeError."""
        self.request("DELETE", path, body)


def parsed(content: bytes, path: str) -> dict[str, Any]:
    """A JSON object; raises KubeError for anything else."""
    import json

    try:
        found = json.loads(content)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        raise KubeError(f"the API server's answer to {path} is no JSON object")
    return found


def words_of(content: bytes) -> str:
    """What a Status object says, else the beginning of the answer, on one line."""
    try:
        message = parsed(content, "").get("message")
    except KubeError:
        message = None
    text = message if isinstance(message, str) else content.decode(errors="replace")
    return " ".join(text.split())[:300]


def runs_pods(root: Path) -> bool:
    """Whether this node's payload is Kubernetes, and not its stand-in for tests of the boot."""
    return any((root / path).exists() for path in RUNTIMES)


def connect(root: Path, timeout: float = TIMEOUT) -> Kube:
    """The client for the node's own kubeconfig; raises KubeError when that is not there or no use."""
    path = root / KUBECONFIG
    try:
        text = path.read_text()
    except (OSError, ValueError) as error:
        raise KubeError(f"the administrator's kubeconfig can not be read: {error}") from error
    fields = dict(FIELD.findall(text))
    if missing := [name for name in FIELDS if name not in fields]:
        raise KubeError(f"{path} has no {missing[0]}")
    try:
        authority, certificate, key = (base64.b64decode(fields[name], validate=True) for name in FIELDS[1:])
        context = secured(authority, certificate + b"\n" + key)
    except (ValueError, OSError) as error:
        raise KubeError(f"{path} has a certificate or key that is no use: {error}") from error
    return Kube(fields["server"], context, timeout)


def secured(authority: bytes, pair: bytes) -> ssl.SSLContext:
    """TLS that trusts `authority` alone and shows the certificate and key in `pair`, all in PEM.

    OpenSSL reads these from a file only: one in memory, so that the key reaches no disk. Raises OSError and
    ValueError.
    """
    import ssl

    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.load_verify_locations(cadata=authority.decode("ascii"))
    descriptor = os.memfd_create("pair", os.MFD_CLOEXEC)
    try:
        os.write(descriptor, pair)
        context.load_cert_chain(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)
    return context


def node_name(root: Path) -> str:
    """The name that this node has in Kubernetes; raises KubeError before the boot has chosen one."""
    try:
        name = (root / HOST_NAME).read_text().strip()
    except OSError:
        name = ""
    if not name:
        raise KubeError("this node has no name yet")
    return name


def node_path(root: Path) -> str:
    """The path of this node's object; raises KubeError."""
    return f"/api/v1/nodes/{node_name(root)}"


def node_labels(kube: Kube, root: Path) -> dict[str, str]:
    """The labels of this node; raises KubeError."""
    labels = kube.get(node_path(root)).get("metadata", {}).get("labels") or {}
    return {str(name): str(value) for name, value in labels.items()}
