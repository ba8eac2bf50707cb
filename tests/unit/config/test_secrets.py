"""Secrets do not get into messages, wherever a slip of the finger puts them."""

from __future__ import annotations

import pytest

from agent.config import problems, source

SECRET = "uWq7x-Zk2.Pn4vT9sB1"
SLIPS = (
    "{0}", "@{0}", "'{0}", '"{0}', "*{0}", "&{0}", "&{0} a", "!{0} a", "!!{0}", "[{0}]", "{{{0}: 1}}",
    "{{a: {0}}}",
    "{0}: a", "{0}: {0}", "|\n    {0}\n    {0}", "{0}\n    {0}", '"{0}\\n"', '"{0}\\q"', "{0} {0}", "\t{0}",
    "%{0}", "`{0}", "'a' {0}", "{0}\n\t{0}", "1{0}", "{0}\x07", "{0}\n{0}", "{0}\n {0}: 1", "? {0}", "- {0}",
)  # fmt: skip
PLACES = (
    "portainer:\n  edge-key: {0}\n", "portainer: {0}\n", "portainer:\n  edge-key {0}\n", "kubeconfig: {0}\n",
    "portainer: {{edge-key {0}}}\n", "portainer: {{edge-key={0}}}\n",
    "kubesolo:\n  portainer-edge-key: {0}\n",
    "kubesolo:\n  extra-flags: --portainer-edge-key={0}\n", "kubesolo:\n  extra-flags: {0}\n",
    "kubesolo:\n  extra-flags: --portainer-edge-key {0} --debgu {0}\n", "kubeconfig:\n  token: {0}\n",
    "portainer:\n  edge_key: {0}\n", "portainer:\n  {0}\n", "kubeconfig:\n  token: {0}\n  token: {0}\n",
    "registries:\n  a.example:\n    password: {0}\n", "registries:\n  a.example: {0}\n",
    "registries:\n  a.example: {{password {0}}}\n", "registries:\n  a.example:\n    {0}\n",
    "registries:\n  a.example:\n    mirrors: https://node:{0}@a.example\n",
    "ssh:\n  authorized_keys: [{0}]\n", "ssh_authorized_keys: {0}\n",
)  # fmt: skip


@pytest.mark.parametrize("place", PLACES)
@pytest.mark.parametrize("slip", SLIPS)
def test_no_slip_shows_a_secret(place: str, slip: str) -> None:
    data = ("#cloud-config\n" + place.format(slip.format(SECRET))).encode()
    for boot in (True, False):
        reading = source.read_file("f", data, boot)
        assert not [line for line in problems.lines(reading.problems) if SECRET in line]
