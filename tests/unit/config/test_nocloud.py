"""NoCloud media: which of their files says what, as with cloud-init itself."""

from __future__ import annotations

import pytest

from agent.config import problems, source
from agent.config.render import render
from tests.unit.config.test_render import settings

USER = b"#cloud-config\nhostname: of-user-data\nntp: {servers: [a]}\n"
NETWORK = b"version: 2\nethernets: {eth0: {addresses: [10.0.0.5/24]}}\n"


def named(name: str, data: bytes | None) -> tuple[str, bytes] | None:
    return None if data is None else (name, data)


def read(
    user: bytes | None = None, meta: bytes | None = None, network: bytes | None = None
) -> tuple[dict[str, str], list[str]]:
    """Files and messages of a medium."""
    reading = source.read_nocloud(
        named("user-data", user), named("meta-data", meta), named("network-config", network)
    )
    made = render(reading.config) if reading.config else {}
    return {name: data.decode() for name, (data, _) in made.items()}, problems.lines(reading.problems)


def test_all_three() -> None:
    made, messages = read(USER, b"instance-id: i-1\nlocal-hostname: of-meta-data\n", NETWORK)
    assert messages == []
    assert made["hostname"] == "of-user-data\n"
    assert made["ntp"] == "a\n"
    assert settings(made["network.sh"])["NETWORK_ADDRESS"] == "10.0.0.5/24"


@pytest.mark.parametrize(
    ("meta", "name"),
    [
        (b"local-hostname: a\nhostname: b\n", "a"),
        (b"hostname: b\npublic-keys: {}\ncloud-name: x\n", "b"),
        (b'{"instance-id": "i", "local-hostname": "ip-10-0-0-1.ec2.internal"}', "ip-10-0-0-1"),
    ],
)
def test_the_host_name_of_meta_data(meta: bytes, name: str) -> None:
    made, _ = read(b"#cloud-config\n", meta)
    assert made == {"hostname": f"{name}\n"}


def test_meta_data_that_is_wrong_takes_nothing_else_along() -> None:
    made, messages = read(USER, b"local-hostname: [a]\n", NETWORK)
    assert messages[0].startswith("meta-data:1:17: local-hostname: is a list; allowed: a host name")
    assert sorted(made) == ["hostname", "network.sh", "ntp"]
    made, messages = read(USER.replace(b"hostname: of-user-data\n", b""), b"local-hostname: a_b\n")
    assert sorted(made) == ["ntp"]
    assert len(messages) == 1


def test_the_network_is_that_of_network_config() -> None:
    made, messages = read(USER + b"network: {address: 10.9.9.9/24}\n", None, NETWORK)
    assert settings(made["network.sh"])["NETWORK_ADDRESS"] == "10.0.0.5/24"
    assert messages == [
        "user-data:4:1: warning: network: is not used: the network is that of network-config"
    ]  # fmt: skip
    made, messages = read(USER + b"network: {address: 10.9.9.9/24}\n", None, b"# nothing\n")
    assert settings(made["network.sh"])["NETWORK_ADDRESS"] == "10.9.9.9/24"
    assert messages == []


def test_the_network_may_be_one_level_deeper() -> None:
    made, messages = read(None, None, b"network:\n  version: 2\n  ethernets: {eth0: {dhcp4: true}}\n")
    assert messages == []
    assert settings(made["network.sh"])["NETWORK_INTERFACE"] == "eth0"


@pytest.mark.parametrize(
    ("network", "message"),
    [
        (b"version: 1\nconfig: []\n", "network-config:1:1: network: version 1 of the network's "
        "configuration is not "
                                      "supported; write version: 2 (netplan)"),
        (b"network: {version: 1}\n", "network-config:1:10: network: version 1 of the network's "
        "configuration is not "
                                     "supported; write version: 2 (netplan)"),
        (b"network: {config: disabled}\n", "network-config:1:11: network.config: unknown key; known are: "
        "version, "
                                           "ethernets, vlans"),
        (b"a: [\n", "network-config:2:1: network: is not YAML: expected node content (in what begins in "
        "line 2)"),
        (b"- a\n", "network-config:1:1: network: is a list; allowed: keys version, ethernets, vlans"),
        (b"version: 2\nethernets: {eth0: {dhcp4: true, addresses: [10.0.0.1/24]}}\n",
         "network-config:2:33: network.ethernets.eth0.addresses: 10.0.0.1/24 and DHCP for IPv4 at once; "
         "keep one of "
         "them"),
    ],
)  # fmt: skip
def test_a_network_that_is_wrong_is_left_out(network: bytes, message: str) -> None:
    made, messages = read(USER + b"network: {address: 10.9.9.9/24}\n", None, network)
    assert sorted(made) == ["hostname", "ntp"]
    assert messages[0] == message


@pytest.mark.parametrize(
    ("user", "message"),
    [
        (b"hostname: a\n", "the first line is not '#cloud-config': cloud-init would not read this file "
        "either"),
        (b"#!/bin/sh\n", "is a script; only '#cloud-config' is supported, and nothing is executed"),
        (b"#include\nhttp://x\n", "is a list of addresses to include; only '#cloud-config' is supported, "
        "and nothing "
                                  "is executed"),
        (b"MIME-Version: 1.0\n", "is MIME in several parts; only '#cloud-config' is supported, and "
        "nothing is "
                                 "executed"),
    ],
)  # fmt: skip
def test_user_data_of_other_formats(user: bytes, message: str) -> None:
    assert read(user, None, NETWORK) == ({}, [f"user-data:1:1: {message}"])


def test_empty_user_data_is_usual() -> None:
    assert read(b"", b"instance-id: a\n") == ({}, [])
    assert read(b"\n", None, NETWORK)[1] == []
