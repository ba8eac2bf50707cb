"""From a configuration to the files of the boot stages."""

from __future__ import annotations

import subprocess

import pytest

from agent.config import problems, source
from agent.config.render import render
from tasks.lib.paths import TOP

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIEomZZsWxLBx5lCQHAfcLaiY9K2BiqwB0q2mQ7lf0bOe admin@example"


def files(text: str) -> dict[str, str]:
    """The files that a right configuration gives."""
    reading = source.read_file("f", f"#cloud-config\n{text}".encode())
    assert problems.errors(reading.problems) == [], problems.lines(reading.problems)
    assert reading.config is not None
    return {name: data.decode() for name, (data, _) in render(reading.config).items()}


def settings(text: str) -> dict[str, str]:
    """A file of lines KEY=VALUE."""
    return dict(line.split("=", 1) for line in text.splitlines())


def test_nothing_gives_nothing() -> None:
    assert files("") == {}
    assert files("network:\nkubesolo: {}\nssh: {enabled: false}\nntp: {}\n") == {}


def test_the_example_of_the_specification() -> None:
    made = files(
        """
hostname: edge-node-01
network: {mode: static, interface: eth0, address: 192.168.1.100/24, gateway: 192.168.1.1, dns: [8.8.8.8]}
kubesolo: {local-storage: true, local-storage-shared-path: /mnt/shared, apiserver-extra-sans: [edge.local],
           debug: false, pprof-server: false, portainer-edge-id: "", portainer-edge-key: "",
           portainer-edge-async: true, extra-flags: ""}
portainer: {edge-id: "", edge-key: ""}
ssh: {enabled: false, authorized_keys: []}
ntp: {servers: [pool.ntp.org]}
airgap: {import_images: true, images_dir: /mnt/data/images}
"""
    )
    assert made == {
        "hostname": "edge-node-01\n",
        "network.sh": "NETWORK_MODE=static\nNETWORK_INTERFACE=eth0\nNETWORK_ADDRESS=192.168.1.100/24\n"
        "NETWORK_GATEWAY=192.168.1.1\nNETWORK_DNS=8.8.8.8\nNETWORK_IPV6=auto\n",
        "flags": "--local-storage-shared-path=/mnt/shared --apiserver-extra-sans=edge.local "
        "--local-storage\n",
        "payload.env": "KUBESOLO_PORTAINER_EDGE_ASYNC=true\n",
        "ntp": "pool.ntp.org\n",
        "airgap": "AIRGAP_IMPORT_IMAGES=true\nAIRGAP_IMAGES_DIR=/mnt/data/images\n",
    }


def test_addons_that_are_switched_off() -> None:
    for text in ("disable-addons: [coredns, metrics]", 'extra-flags: "--disable-addons=coredns,metrics"'):
        assert files(f"kubesolo: {{{text}}}")["flags"] == "--disable-addons=coredns,metrics\n"
    assert files("kubesolo: {disable-addons: metrics}")["flags"] == "--disable-addons=metrics\n"
    assert "flags" not in files("kubesolo: {disable-addons: []}")


def test_everything_of_a_card() -> None:
    made = files(
        """
network:
  interface: 52-54-00-AB-CD-EF
  address: [192.168.1.5/24, "2001:DB8::5/64"]
  gateway: 192.168.1.1
  gateway6: fe80::1
  dns: [9.9.9.9, "2001:db8::1"]
  search: [Example.com]
  mtu: 1400
  vlan: 7
  ipv6: auto
  routes: [{to: 10.0.0.0/8, via: 192.168.1.254}, {to: 10.9.8.7, via: 192.168.1.254}]
"""
    )
    assert settings(made["network.sh"]) == {
        "NETWORK_MODE": "static",
        "NETWORK_MAC": "52:54:00:ab:cd:ef",
        "NETWORK_ADDRESS": "192.168.1.5/24 2001:db8::5/64",
        "NETWORK_GATEWAY": "192.168.1.1 fe80::1",
        "NETWORK_DNS": "9.9.9.9 2001:db8::1",
        "NETWORK_SEARCH": "example.com",
        "NETWORK_MTU": "1400",
        "NETWORK_VLAN": "7",
        "NETWORK_IPV6": "auto",
        "NETWORK_ROUTES": "10.0.0.0/8,192.168.1.254 10.9.8.7/32,192.168.1.254",
    }


@pytest.mark.parametrize(
    ("text", "mode", "ipv6"),
    [
        ("{}", "dhcp", "auto"),
        ("{mode: dhcp, ipv6: off}", "dhcp", "off"),
        ("{address: 10.0.0.5/24}", "static", "auto"),
        ("{address: '2001:db8::5/64'}", "static", "static"),
        ("{mode: dhcp, address: '2001:db8::5/64'}", "dhcp", "static"),
        ("{mode: dhcp, address: '2001:db8::5/64', ipv6: auto}", "dhcp", "auto"),
        ("{version: 2, ethernets: {eth0: {dhcp4: true}}}", "dhcp", "auto"),
        ("{version: 2, ethernets: {eth0: {dhcp4: true, accept-ra: false}}}", "dhcp", "off"),
        ("{version: 2, ethernets: {eth0: {addresses: ['10.0.0.5/24'], accept-ra: false}}}", "static", "off"),
        ("{version: 2, ethernets: {eth0: {addresses: ['10.0.0.5/24', 'fd00::5/64'], accept-ra: false}}}",
         "static", "static"),
        ("{version: 2, ethernets: {eth0: {addresses: ['10.0.0.5/24', 'fd00::5/64']}}}", "static", "auto"),
    ],
)  # fmt: skip
def test_modes_that_follow_from_what_is_there(text: str, mode: str, ipv6: str) -> None:
    made = settings(files(f"network: {text}\n")["network.sh"])
    assert (made["NETWORK_MODE"], made["NETWORK_IPV6"]) == (mode, ipv6)


def test_several_cards() -> None:
    made = files("network: {cards: [{interface: eth1}, {interface: eth0, address: 10.0.0.5/24}]}\n")
    assert settings(made["network.sh"])["NETWORK_INTERFACE"] == "eth1"
    assert settings(made["network-2.sh"])["NETWORK_ADDRESS"] == "10.0.0.5/24"


def test_netplan() -> None:
    made = files(
        """
network:
  version: 2
  ethernets:
    lan:
      match: {macaddress: "52:54:00:12:34:56"}
      addresses: [192.168.1.5/24]
      routes: [{to: default, via: 192.168.1.1}, {to: 0.0.0.0/0, via: 192.168.1.1}]
      nameservers: {addresses: [9.9.9.9], search: [example.com]}
    eth1: {optional: true}
  vlans:
    vlan10: {id: 10, link: eth1, dhcp4: true, mtu: 1400}
    vlan20: {id: 20, link: lan, addresses: [10.0.20.5/24], gateway4: 10.0.20.1}
"""
    )
    assert settings(made["network.sh"]) == {
        "NETWORK_MODE": "static",
        "NETWORK_MAC": "52:54:00:12:34:56",
        "NETWORK_ADDRESS": "192.168.1.5/24",
        "NETWORK_GATEWAY": "192.168.1.1",
        "NETWORK_DNS": "9.9.9.9",
        "NETWORK_SEARCH": "example.com",
        "NETWORK_IPV6": "auto",
    }
    assert settings(made["network-2.sh"]) == {
        "NETWORK_MODE": "dhcp",
        "NETWORK_INTERFACE": "eth1",
        "NETWORK_MTU": "1400",
        "NETWORK_VLAN": "10",
        "NETWORK_IPV6": "auto",
    }
    assert settings(made["network-3.sh"])["NETWORK_MAC"] == "52:54:00:12:34:56"
    assert sorted(made) == ["network-2.sh", "network-3.sh", "network.sh"]


def test_flags_are_those_that_the_shell_reads() -> None:
    """Through init/lib/flags.sh, as stage 90 does."""
    made = files(
        """
kubesolo:
  path: /mnt/data/other place/state
  extra-sans: [a.example.com, 10.0.0.9]
  apiserver-extra-sans: [b.example.com, a.example.com]
  pod-cidr: 10.44.0.0/16
  service-cidr: 10.45.0.0/16
  local-storage: false
  debug: true
  full: true
  extra-flags: --load-balancer,--pprof-server=true --local-storage-shared-path "/mnt/a b" --disable-ipv6=false
"""
    )
    assert shell_words(made["flags"]) == [
        "--path=/mnt/data/other place/state",
        "--local-storage-shared-path=/mnt/a b",
        "--pod-cidr=10.44.0.0/16",
        "--service-cidr=10.45.0.0/16",
        "--local-storage=false",
        "--debug",
        "--pprof-server",
        "--load-balancer",
        "--full",
        "--apiserver-extra-sans",
        "a.example.com,10.0.0.9,b.example.com,n",
    ]


def shell_words(line: str) -> list[str]:
    """What init/lib/flags.sh makes of a line, with the defaults of stage 90 behind it."""
    script = """
. "$1/init/lib/cmdline.sh"
. "$1/init/lib/flags.sh"
KUBESOLO_EDGE_ID= KUBESOLO_EDGE_KEY=
collect_flags '' /nonexistent /dev/stdin "--path /var/lib/kubesolo --local-storage --apiserver-extra-sans n"
printf '%s' "$FLAGS"
"""
    words = ["bash", "-c", script, "sh", str(TOP)]
    done = subprocess.run(words, input=line, capture_output=True, text=True, check=True)
    return done.stdout.split("\n")


def test_secrets_are_where_only_root_reads() -> None:
    text = "portainer: {edge-id: id, edge-key: secret}\nkubeconfig: {token: secret-secret-secret}\n"
    reading = source.read_file("f", f"#cloud-config\n{text}".encode())
    assert reading.config is not None
    made = render(reading.config)
    assert made["payload.env"] == (
        b"KUBESOLO_PORTAINER_EDGE_ID=id\nKUBESOLO_PORTAINER_EDGE_KEY=secret\n", 0o600,
    )  # fmt: skip
    assert made["kubeconfig-token"] == (b"secret-secret-secret\n", 0o600)
    assert not any(b"secret" in data for data, mode in made.values() if mode != 0o600)


def test_access() -> None:
    made = files(f"ssh: {{enabled: true, authorized_keys: ['{KEY}']}}\nssh_authorized_keys: ['{KEY} ', "
    f"'x']\n".replace(
        ", 'x'", ""))  # fmt: skip
    assert made == {"authorized_keys": f"{KEY}\n"}
    assert files(f"ssh: {{authorized_keys: ['{KEY}']}}\n") == {}
    assert files("kubeconfig: {enabled: true}\n") == {"kubeconfig-token": ""}
    assert files("kubeconfig: {enabled: false, token: secret-secret-secret}\n") == {}


def test_updates() -> None:
    key = "AB" * 32
    made = files(
        "update: {server: 'https://u.example.com/os', channel: edge, maintenance-window: 22:00-04:30,\n"
        f"  pubkey: {key}, auto-rollback-after: 900, proxy: 'http://a:b@proxy:3128', reboot: false}}\n"
        "metrics: {enabled: true}\n"
    )
    assert settings(made.pop("update.conf")) == {
        "server": "https://u.example.com/os",
        "channel": "edge",
        "maintenance-window": "22:00-04:30",
        "pubkey": key.lower(),
        "auto-rollback-after": "900",
        "proxy": "http://a:b@proxy:3128",
        "reboot": "no",
        "metrics": "yes",
    }
    assert made == {}
    assert files("metrics: {enabled: false}\n") == {"update.conf": "metrics=no\n"}
    assert files("update: {}\nmetrics: {}\n") == {}


def test_services() -> None:
    digest = "AB" * 32
    made = files(
        f"ntp: {{servers: [B.example.com, 'time:1123', '::1']}}\n"
        f"extensions: [{{file: tools.squashfs, sha256: '{digest}'}}]\nairgap: {{import_images: false}}\n"
    )
    assert made == {
        "ntp": "b.example.com\ntime:1123\n::1\n",
        "extensions": f"{digest.lower()} /mnt/data/extensions/tools.squashfs\n",
        "airgap": "AIRGAP_IMPORT_IMAGES=false\nAIRGAP_IMAGES_DIR=/mnt/data/images\n",
    }
    assert files("ntp: {enabled: false, servers: [a]}\n") == {"ntp": ""}
