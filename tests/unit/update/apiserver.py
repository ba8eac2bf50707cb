"""An API server for tests: real TLS with client certificates, objects in a dictionary."""

from __future__ import annotations

import base64
import json
import ssl
import subprocess
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

Answer = tuple[int, object]


def make_pki(folder: Path) -> None:
    """An authority, a server's and a client's certificate: NAME.crt, NAME.key."""
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"]
    calls = [["req", "-x509", *curve, "-keyout", "ca.key", "-out", "ca.crt", "-days", "2", "-subj", "/CN=ca"]]
    for name in ("server", "client"):
        (folder / "names").write_text("subjectAltName=IP:127.0.0.1\n")
        calls.append(["req", *curve, "-keyout", f"{name}.key", "-out", f"{name}.csr", "-subj", f"/CN={name}"])
        signed = ["x509", "-req", "-in", f"{name}.csr", "-out", f"{name}.crt", "-days", "2"]
        calls.append([*signed, "-CA", "ca.crt", "-CAkey", "ca.key", "-CAcreateserial", "-extfile", "names"])
    for call in calls:
        subprocess.run(["openssl", *call], cwd=folder, check=True, capture_output=True)


class ApiServer:
    """Serves `objects` by path; `answers` go first: (method, path) to a status and an object, or a function.

    `requests` has all of them: method, path, body.
    """

    def __init__(self, pki: Path) -> None:
        self.pki = pki
        self.objects: dict[str, Any] = {}
        self.answers: dict[tuple[str, str], Answer | Callable[[Any], Answer]] = {}
        self.requests: list[tuple[str, str, Any]] = []
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(pki / "server.crt", pki / "server.key")
        context.load_verify_locations(pki / "ca.crt")
        context.verify_mode = ssl.CERT_REQUIRED
        api = self

        class Handler(BaseHTTPRequestHandler):
            def handle_any(self) -> None:
                api.answer(self)

            do_GET = do_POST = do_PATCH = do_DELETE = handle_any  # noqa: N815

            def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002
                pass

        class Server(ThreadingHTTPServer):
            def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
                """A client that trusts somebody else breaks off."""

        self.server = Server(("127.0.0.1", 0), Handler)
        self.server.socket = context.wrap_socket(self.server.socket, server_side=True)
        self.port = self.server.server_address[1]
        self.thread = threading.Thread(target=self.server.serve_forever, args=(0.05,), daemon=True)
        self.thread.start()

    def answer(self, handler: BaseHTTPRequestHandler) -> None:
        """Answer from what is set, else from the objects."""
        length = int(handler.headers.get("Content-Length") or 0)
        body = json.loads(handler.rfile.read(length)) if length else None
        self.requests.append((handler.command, handler.path, body))
        found = self.answers.get((handler.command, handler.path))
        if callable(found):
            found = found(body)
        status, content = found or self.object_at(handler.command, handler.path)
        data = content.encode() if isinstance(content, str) else json.dumps(content).encode()
        handler.send_response(status)
        handler.send_header("Content-Length", str(len(data)))
        handler.end_headers()
        handler.wfile.write(data)

    def object_at(self, method: str, path: str) -> Answer:
        """What the objects have at a path; a patch changes them."""
        if method == "POST":
            return 201, {}
        if path not in self.objects:
            return 404, {"kind": "Status", "message": f'"{path}" not found'}
        if method == "PATCH":
            self.objects[path] = merged(self.objects[path], self.requests[-1][2])
        if method == "DELETE":
            del self.objects[path]
            return 200, {}
        return 200, self.objects[path]

    def called(self, method: str) -> list[str]:
        """The paths of the requests of one method."""
        return [path for name, path, _ in self.requests if name == method]

    def kubeconfig(self, root: Path, server: str = "") -> Path:
        """Write the administrator's kubeconfig as the payload does, below a node's root."""

        def data(name: str) -> str:
            return base64.b64encode((self.pki / name).read_bytes()).decode()

        path = root / "var/lib/kubesolo/pki/admin/admin.kubeconfig"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(
            "apiVersion: v1\nclusters:\n- cluster:\n"
            f"    certificate-authority-data: {data('ca.crt')}\n"
            f"    server: {server or f'https://127.0.0.1:{self.port}'}\n  name: kubesolo\n"
            "kind: Config\nusers:\n- name: kubernetes-admin\n  user:\n"
            f"    client-certificate-data: {data('client.crt')}\n    client-key-data: {data('client.key')}\n"
        )
        return path

    def close(self) -> None:
        """End it."""
        self.server.shutdown()
        self.server.server_close()


def merged(old: Any, change: Any) -> Any:  # noqa: ANN401
    """A merge patch (RFC 7396)."""
    if not isinstance(change, dict):
        return change
    result = dict(old) if isinstance(old, dict) else {}
    for key, value in change.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result
