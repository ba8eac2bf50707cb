from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable, Iterator

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.vm.hostport import HostPort, NotYetError, parse_memory, parse_milestones

Guest = Callable[[bytes], bytes]
MEMINFO = """MemTotal:        1000000 kB
MemFree:          500000 kB
Buffers:           10000 kB
Cached:           200000 kB
SReclaimable:       5000 kB
Shmem:             90000 kB
HugePages_Total:       0
RootImages: 80000 kB
"""


@pytest.fixture
def ends() -> Iterator[tuple[HostPort, socket.socket]]:
    host, guest = socket.socketpair()
    port = HostPort(host)
    yield port, guest
    port.close()
    guest.close()


def serve(channel: socket.socket, answers: list[bytes]) -> list[bytes]:
    """Answer each command that comes with the next of `answers`; returns the commands as they come."""
    seen: list[bytes] = []

    def loop() -> None:
        with contextlib.suppress(OSError):
            for answer in answers:
                seen.append(channel.recv(1000))
                channel.sendall(answer)

    threading.Thread(target=loop, daemon=True).start()
    return seen


def test_answer_of_counted_bytes(ends: tuple[HostPort, socket.socket]) -> None:
    port, guest = ends
    seen = serve(guest, [b"ok 9\nok 2\na\n\nb", b"ok 0\n"])
    assert port.ask("milestones") == "ok 2\na\n\nb"
    assert port.ask("ping") == ""
    assert seen == [b"milestones\n", b"ping\n"]


def test_error_is_not_yet(ends: tuple[HostPort, socket.socket]) -> None:
    port, guest = ends
    serve(guest, [b"error no kubeconfig yet\n", b"ok 4\nhere"])
    with pytest.raises(NotYetError, match="no kubeconfig yet"):
        port.ask("kubeconfig")
    assert port.ask("kubeconfig") == "here"


def test_wait_asks_again(ends: tuple[HostPort, socket.socket]) -> None:
    port, guest = ends
    serve(guest, [b"error not yet\n", b"error not yet\n", b"ok 1\nx"])
    assert port.wait("kubeconfig", timeout=10, pause=0.01) == "x"


def test_wait_ends(ends: tuple[HostPort, socket.socket]) -> None:
    port, guest = ends
    serve(guest, [b"error still starting\n"] * 100)
    with pytest.raises(BuildError, match="still starting"):
        port.wait("kubeconfig", timeout=0.1, pause=0.05)


def test_silence_is_bounded_and_the_late_answer_thrown_away(ends: tuple[HostPort, socket.socket]) -> None:
    port, guest = ends
    with pytest.raises(BuildError, match="no answer to ping"):
        port.ask("ping", timeout=0.1)
    guest.sendall(b"ok 4\nlate")
    assert guest.recv(100) == b"ping\n"
    serve(guest, [b"ok 3\nnew"])
    assert port.ask("log", timeout=5) == "new"


def test_half_an_answer_is_no_answer(ends: tuple[HostPort, socket.socket]) -> None:
    port, guest = ends
    serve(guest, [b"ok 100\nhalf"])
    with pytest.raises(BuildError, match="no answer"):
        port.ask("log", timeout=0.2)


def test_answer_out_of_form(ends: tuple[HostPort, socket.socket]) -> None:
    port, guest = ends
    serve(guest, [b"sh: not found\n"])
    with pytest.raises(BuildError, match="out of form"):
        port.ask("ping", timeout=1)


def test_machine_gone(ends: tuple[HostPort, socket.socket]) -> None:
    port, guest = ends
    guest.close()
    with pytest.raises(BuildError, match="gone"):
        port.ask("ping", timeout=1)


def test_milestones_keep_the_first() -> None:
    text = "init-start 1.50\nstage-00-early-mount 2\nnode-ready 20.25\nnode-ready 30.00\nnoise\nx y\n"
    assert parse_milestones(text) == {"init-start": 1.5, "stage-00-early-mount": 2.0, "node-ready": 20.25}


def test_memory_formula() -> None:
    used = 1000000 - 500000 - 10000 - 200000 - 5000 + 90000
    memory = parse_memory(MEMINFO)
    assert (memory.used, memory.images, memory.values["MemTotal"]) == (used, 80000, 1000000)
    assert memory.without_images == used - 80000


def test_memory_without_a_line() -> None:
    with pytest.raises(BuildError, match="SReclaimable"):
        parse_memory(MEMINFO.replace("SReclaimable", "Other"))
