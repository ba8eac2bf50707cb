"""A small client of a node's Kubernetes API, made from its admin kubeconfig; every wait has a deadline."""

from __future__ import annotations

import base64
import json
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Self

import requests
import yaml
from requests.adapters import HTTPAdapter
from urllib3.util import Retry

from tasks.lib.errors import BuildError
from tasks.lib.vm.hardware import LOOPBACK
from tasks.lib.vm.patience import stretched

Object = dict[str, Any]
# A name that the API server's certificate always has; the forwarded port's address need not be in it.
SERVER_NAME = "kubernetes"
MANAGER = "kubesolo-os-tests"
# Kind to API prefix and plural, for what the tests apply.
RESOURCES = {
    "ConfigMap": ("/api/v1", "configmaps"),
    "Deployment": ("/apis/apps/v1", "deployments"),
    "HorizontalPodAutoscaler": ("/apis/autoscaling/v2", "horizontalpodautoscalers"),
    "PersistentVolumeClaim": ("/api/v1", "persistentvolumeclaims"),
    "Pod": ("/api/v1", "pods"),
    "NetworkPolicy": ("/apis/networking.k8s.io/v1", "networkpolicies"),
    "Service": ("/api/v1", "services"),
}
REQUEST_SECONDS = 60
RETRY_SECONDS = 2
WATCH_SECONDS = 20


# A connection that was kept open ends with the payload that is restarted: requests that may be repeated are.
STALE = Retry(total=2, status=0, backoff_factor=0.5, allowed_methods=frozenset({"GET", "PATCH", "DELETE"}))


class ApiError(BuildError):
    """The API answered with an error status."""

    def __init__(self, status: int, text: str) -> None:
        super().__init__(f"API: status {status}: {text[:500]}")
        self.status = status


class NamedServer(HTTPAdapter):
    """Checks the server's certificate for SERVER_NAME, whatever address the connection goes to."""

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 (requests' own signature)
        """Hand the name on to urllib3."""
        super().init_poolmanager(*args, server_hostname=SERVER_NAME, assert_hostname=SERVER_NAME, **kwargs)


def for_host(kubeconfig: str, port: int) -> str:
    """The admin kubeconfig as it is usable on the host: through the forwarded port.

    Raises BuildError when the text is no kubeconfig.
    """
    try:
        document = yaml.safe_load(kubeconfig)
        for entry in document["clusters"]:
            entry["cluster"]["server"] = f"https://{LOOPBACK}:{port}"
            entry["cluster"]["tls-server-name"] = SERVER_NAME
    except (yaml.YAMLError, KeyError, TypeError) as error:
        raise BuildError(f"not a kubeconfig: {error}") from error
    return str(yaml.safe_dump(document, sort_keys=False))


class Cluster:
    """The API of one node."""

    def __init__(self, kubeconfig: str, port: int) -> None:
        """kubeconfig: the node's own. port: the host's port that leads to the node's 6443.

        Raises BuildError when the text is no kubeconfig with embedded certificates.
        """
        self._open(for_host(kubeconfig, port))

    @classmethod
    def of_host(cls, kubeconfig: str) -> Self:
        """From a kubeconfig that is usable as it is (for_host)."""
        made = cls.__new__(cls)
        made._open(kubeconfig)
        return made

    def _open(self, kubeconfig: str) -> None:
        document = yaml.safe_load(kubeconfig)
        self.address = document["clusters"][0]["cluster"]["server"]
        self._folder = tempfile.TemporaryDirectory(prefix="kubesolo-api-")
        try:
            user, cluster = document["users"][0]["user"], document["clusters"][0]["cluster"]
            files = [
                self._store(name, source[f"{name}-data"])
                for name, source in (
                    ("certificate-authority", cluster),
                    ("client-certificate", user),
                    ("client-key", user),
                )
            ]
        except (KeyError, ValueError) as error:
            raise BuildError(f"a kubeconfig without embedded {error}") from error
        self._session = requests.Session()
        self._session.trust_env = False
        self._session.mount("https://", NamedServer(max_retries=STALE))
        self._session.verify, self._session.cert = str(files[0]), (str(files[1]), str(files[2]))

    def _store(self, name: str, data: str) -> Path:
        path = Path(self._folder.name, name)
        path.touch(0o600)
        path.write_bytes(base64.b64decode(data, validate=True))
        return path

    def request(
        self,
        method: str,
        path: str,
        *,
        timeout: float = REQUEST_SECONDS,
        **kwargs: Any,  # noqa: ANN401 (requests' own options)
    ) -> requests.Response:
        """One request.

        Raises ApiError for a status of 400 or more, BuildError when no answer comes in `timeout` seconds.
        """
        try:
            answer = self._session.request(method, self.address + path, timeout=timeout, **kwargs)
        except requests.RequestException as error:
            raise BuildError(f"API: {method} {path}: {error}") from error
        if answer.status_code >= 400:
            raise ApiError(answer.status_code, f"{method} {path}: {answer.text}")
        return answer

    def get(self, path: str, **parameters: str) -> Object:
        """One object or list."""
        found: Object = self.request("GET", path, params=parameters).json()
        return found

    def text(self, path: str, **parameters: str) -> str:
        """An answer that is not JSON: a log, or what a pod answered through the API's proxy."""
        return self.request("GET", path, params=parameters).text

    def apply(self, wanted: Object) -> Object:
        """Create the object, or change it (server-side apply)."""
        parameters = {"fieldManager": MANAGER, "force": "true"}
        kind = {"Content-Type": "application/apply-patch+yaml"}
        body = json.dumps(wanted)
        answer = self.request("PATCH", path_of(wanted), params=parameters, data=body, headers=kind)
        made: Object = answer.json()
        return made

    def delete(self, wanted: Object) -> None:
        """Delete the object at once; it may be missing."""
        try:
            self.request("DELETE", path_of(wanted), params={"gracePeriodSeconds": "0"})
        except ApiError as error:
            if error.status != 404:
                raise

    def logs(self, pod: str, namespace: str = "default") -> str:
        """What the pod's only container has printed."""
        return self.text(f"/api/v1/namespaces/{namespace}/pods/{pod}/log")

    def wait(self, path: str, wanted: Callable[[Object], bool], timeout: float, what: str) -> Object:
        """Wait until `wanted` holds for the object at `path`, by watching, not by polling.

        Raises BuildError that says what was awaited and how the object was, after `timeout` seconds,
        `stretched`.
        """
        timeout = stretched(timeout)
        deadline = time.monotonic() + timeout
        collection, _, name = path.rpartition("/")
        last: Object = {}
        problem = "it does not exist"
        while (left := deadline - time.monotonic()) > 0:
            try:
                for last in self._watch(collection, name, min(left, WATCH_SECONDS)):
                    if wanted(last):
                        return last
            except (BuildError, requests.RequestException) as error:
                problem = str(error)
                time.sleep(min(RETRY_SECONDS, max(0, deadline - time.monotonic())))
        state = json.dumps(last.get("status"), indent=1) if last else problem
        raise BuildError(f"{what}: not within {timeout:.0f} s; {path}: {state}")

    def _watch(self, collection: str, name: str, seconds: float) -> Iterator[Object]:
        """The states of one object as a watch of `seconds` tells them, the present one first."""
        parameters = {
            "watch": "true",
            "fieldSelector": f"metadata.name={name}",
            "timeoutSeconds": str(max(1, int(seconds))),
        }
        with self.request(
            "GET", collection, params=parameters, stream=True, timeout=seconds + REQUEST_SECONDS
        ) as answer:
            for line in answer.iter_lines():
                event = json.loads(line)
                if event["type"] == "ERROR":
                    raise BuildError(f"API: watch of {collection}: {event['object'].get('message')}")
                yield event["object"]

    def retry(
        self, action: Callable[[], str], wanted: Callable[[str], bool], timeout: float, what: str
    ) -> str:
        """Repeat `action` until `wanted` holds for its result; errors count as not yet.

        Raises BuildError with the last result or error after `timeout` seconds (`stretched`).
        """
        timeout = stretched(timeout)
        deadline = time.monotonic() + timeout
        while True:
            try:
                last = action()
                if wanted(last):
                    return last
            except BuildError as error:
                last = error.what
            if time.monotonic() > deadline:
                raise BuildError(f"{what}: not within {timeout:.0f} s: {last[:1000]}")
            time.sleep(RETRY_SECONDS)

    def close(self) -> None:
        """Forget the certificates."""
        self._session.close()
        self._folder.cleanup()


def path_of(wanted: Object) -> str:
    """The API path of an object of a namespace."""
    prefix, plural = RESOURCES[wanted["kind"]]
    meta = wanted["metadata"]
    return f"{prefix}/namespaces/{meta.get('namespace', 'default')}/{plural}/{meta['name']}"


def condition(thing: Object, kind: str) -> bool:
    """Whether the object's condition of this type is True."""
    conditions = thing.get("status", {}).get("conditions", [])
    return any(entry["type"] == kind and entry["status"] == "True" for entry in conditions)
