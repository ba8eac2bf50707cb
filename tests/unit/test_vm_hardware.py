from __future__ import annotations

import socket
from pathlib import Path

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.vm.hardware import LONGEST_SETTING, Hardware, settings, uefi_options
from tasks.lib.vm.machine import free_port


def option(words: list[str], name: str) -> list[str]:
    return [words[place + 1] for place, word in enumerate(words) if word == name]


def test_media_are_read_only() -> None:
    words = Hardware(cdrom=Path("a.iso"), usb=Path("b.iso")).options()
    assert all("readonly=on" in drive for drive in option(words, "-drive"))


def test_commas_in_paths_are_doubled() -> None:
    words = Hardware(data=Path("/tmp/a,b/data.img")).options()
    assert "file=/tmp/a,,b/data.img" in option(words, "-drive")[0]
    assert "file=/a,,b" in uefi_options(Path("/a,b"), Path("/c"))[1]


def test_isolated_network_reaches_nothing() -> None:
    (network,) = option(Hardware(forwards={6443: 1234, 8080: 99}).options(), "-netdev")
    assert "restrict=on" in network
    assert "hostfwd=tcp:127.0.0.1:1234-:6443" in network
    assert "hostfwd=tcp:127.0.0.1:99-:8080" in network


def test_user_network_is_not_restricted() -> None:
    (network,) = option(Hardware(network="user").options(), "-netdev")
    assert "restrict" not in network


def test_silent_network_has_a_card_and_nobody_on_it() -> None:
    words = Hardware(network="silent").options()
    assert option(words, "-netdev") == ["hubport,id=net,hubid=0"]
    assert any(device.startswith("virtio-net-pci") for device in option(words, "-device"))


def test_no_network_has_no_card() -> None:
    words = Hardware(network="none").options()
    assert option(words, "-netdev") == []
    assert not any("net" in device for device in option(words, "-device"))


def test_wire_is_a_card_of_its_own() -> None:
    words = Hardware(network="silent", wire=(Path("/tmp/a,b"), Path("/tmp/c"))).options()
    assert option(words, "-netdev")[1].endswith("local.path=/tmp/a,,b,remote.type=unix,remote.path=/tmp/c")
    assert sum(device.startswith("virtio-net-pci") for device in option(words, "-device")) == 2


def test_firmware_files_hold_any_text() -> None:
    words = Hardware(firmware_files={"opt/a": "x,y"}).options()
    assert option(words, "-fw_cfg") == ["name=opt/a,string=x,,y"]
    assert "-fw_cfg" not in Hardware().options()


def test_slow_disk_is_throttled() -> None:
    words = option(Hardware(data=Path("d.img"), data_requests=9).options(), "-drive")
    assert "throttling.iops-total=9" in words[0]
    assert "throttling" not in " ".join(Hardware(data=Path("d.img")).options())


def test_command_line_goes_into_a_file() -> None:
    hardware = Hardware(kernel=Path("k"), append="kubesolo.edge-key=secret")
    assert not any("secret" in word for word in hardware.options())
    assert 'append = "kubesolo.edge-key=secret"' in settings(hardware.append)


@pytest.mark.parametrize("text", ['a="b c"', "a\nb", "a" * (LONGEST_SETTING + 1)])
def test_command_line_that_qemu_can_not_read(text: str) -> None:
    with pytest.raises(BuildError, match="kernel command line"):
        settings(text)


def test_taken_port_is_said() -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with pytest.raises(BuildError, match=f"port {taken} is taken"):
            free_port(taken)
    assert free_port() > 0
