"""A bundle on an HTTP(S) server: ranges, a proxy, an own authority; only http and https are followed."""

from __future__ import annotations

import http.client
import urllib.error
import urllib.request
from typing import IO, BinaryIO, cast

from agent.update.conf import Conf
from agent.update.errors import Unreachable, UsageError
from agent.update.source import Missing

TIMEOUT_SECONDS = 30
AGENT = "kubesolo-update"


class Redirects(urllib.request.HTTPRedirectHandler):
    """Redirects within http and https, never from https to http."""

    max_redirections = 5

    def redirect_request(
        self,
        req: urllib.request.Request,
        fp: IO[bytes],
        code: int,
        msg: str,
        headers: http.client.HTTPMessage,
        newurl: str,
    ) -> urllib.request.Request | None:
        """The request that follows; refuses what leads elsewhere."""
        kind = newurl.partition(":")[0].lower()
        if kind not in ("http", "https") or (kind == "http" and req.type == "https"):
            raise Unreachable(f"{req.full_url} redirects to {kind}:, which is not followed")
        again = super().redirect_request(req, fp, code, msg, headers, newurl)
        if again and (ranges := req.get_header("Range")):
            again.add_header("Range", ranges)
        return again


class Body:
    """An answer's bytes; a broken answer is a broken connection, whatever HTTP calls it."""

    def __init__(self, answer: http.client.HTTPResponse) -> None:
        self.answer = answer

    def __enter__(self) -> Body:
        return self

    def __exit__(self, *_: object) -> None:
        self.answer.close()

    def read1(self, most: int) -> bytes:
        """What has come, at most so many bytes; raises OSError."""
        try:
            return self.answer.read1(most)
        except http.client.HTTPException as error:
            raise ConnectionError(str(error) or type(error).__name__) from error


class Server:
    """A server that has <address>/<channel>/<architecture>/latest.json."""

    def __init__(self, conf: Conf, architecture: str) -> None:
        self.where = conf.server.rstrip("/")
        self.base = f"{self.where}/{conf.channel}/{architecture}"
        self.opener = opener(conf)

    def open(self, path: str, offset: int = 0, length: int = 0) -> BinaryIO:
        """The answer's body; a server that does not know ranges gives Missing for an offset."""
        request = urllib.request.Request(f"{self.base}/{path}", headers={"User-Agent": AGENT})
        if offset or length:
            request.add_header("Range", f"bytes={offset}-{offset + length - 1 if length else ''}")
        try:
            answer = self.opener.open(request, timeout=TIMEOUT_SECONDS)
        except urllib.error.HTTPError as error:
            error.close()
            kind = Missing if error.code in (403, 404, 410, 416) else Unreachable
            raise kind(f"{request.full_url}: the server says {error.code} {error.reason}") from error
        except urllib.error.URLError as error:
            raise Unreachable(f"{request.full_url}: {error.reason}") from error
        except (OSError, http.client.HTTPException, ValueError) as error:
            raise Unreachable(f"{request.full_url}: {error or type(error).__name__}") from error
        if (offset or length) and not gives_range(answer, offset):
            answer.close()
            raise Missing(f"{request.full_url}: the server does not give parts of files")
        return cast("BinaryIO", Body(answer))


def gives_range(answer: http.client.HTTPResponse, offset: int) -> bool:
    """Whether an answer is the part that was asked for (RFC 9110, 14.4)."""
    return answer.status == 206 and answer.headers.get("Content-Range", "").startswith(f"bytes {offset}-")


def opener(conf: Conf) -> urllib.request.OpenerDirector:
    """What opens http and https addresses, and no other."""
    director = urllib.request.OpenerDirector()
    proxies = {"http": conf.proxy, "https": conf.proxy} if conf.proxy else None
    for handler in (
        urllib.request.ProxyHandler(proxies),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPDefaultErrorHandler(),
        Redirects(),
        urllib.request.HTTPErrorProcessor(),
    ):
        director.add_handler(handler)
    import ssl

    try:
        context = ssl.create_default_context(cafile=conf.ca or None)
    except OSError as error:
        raise UsageError(f"ca: {conf.ca} cannot be used: {error}") from error
    director.add_handler(urllib.request.HTTPSHandler(context=context))
    return director
