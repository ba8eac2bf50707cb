"""From an offer to the other slot, and what becomes of it after the reboot."""

from __future__ import annotations

import fcntl
import json
import os
import shutil
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.update import conf, fetch, main, settle, slot, state
from agent.update.conf import Conf
from agent.update.errors import Busy, NothingToDo, Refused, Unreachable, Unverified, UpdateError
from tests.unit.update.machine import NEW, OLD, FakeNode, fill
from tests.updates import bundle, servers
from tests.updates.bundle import Bundle


def of(served: Bundle, **changes: object) -> Conf:
    return Conf(folder=str(served.top), **changes)  # type: ignore[arg-type]


def test_an_update_goes_to_the_other_slot_and_nowhere_else(node: FakeNode, served: Bundle) -> None:
    agent = node.updater(of(served))
    assert agent.check().manifest.version.text == "0.2.0"
    assert agent.apply()
    assert node.content("B") == NEW
    assert node.content("A") == OLD
    assert slot.held(node.slot("B"))[0] == "0.2.0"
    assert node.environment()["active_slot"] == "A", "staged is not activated"
    record = state.load(node.root)
    assert (record.phase, record.frm, record.to, record.slot) == ("staged", "0.1.0", "0.2.0", "B")
    assert not node.updater(of(served)).apply(), "it is there already"


def test_only_what_is_new_is_fetched(node: FakeNode, served: Bundle) -> None:
    with servers.httpd(served.top) as port:
        node.updater(Conf(server=f"http://127.0.0.1:{port}")).apply()
    new = (len(NEW["kubesolo-os.gz"]) + len(NEW["overlay.squashfs"])) / 1e6
    assert f"{new:.1f} of {sum(map(len, NEW.values())) / 1e6:.1f} MB were fetched" in node.said[-2]


def test_a_download_goes_on_where_it_was_cut(node: FakeNode, served: Bundle) -> None:
    begun = slot.part(node.slot("B"), "overlay.squashfs")
    begun.write_bytes(NEW["overlay.squashfs"][:100_000])
    with servers.httpd(served.top) as port:
        node.updater(Conf(server=f"http://127.0.0.1:{port}")).apply()
    assert node.content("B") == NEW
    fetched = (len(NEW["kubesolo-os.gz"]) + 80_000) / 1e6
    assert f"{fetched:.1f} of" in node.said[-2]


def test_what_is_damaged_of_an_earlier_try_is_fetched_anew(node: FakeNode, served: Bundle) -> None:
    slot.part(node.slot("B"), "overlay.squashfs").write_bytes(b"\0" * 100_000)
    with servers.httpd(served.top) as port:
        node.updater(Conf(server=f"http://127.0.0.1:{port}")).apply()
    assert node.content("B") == NEW


def activate(node: FakeNode, served: Bundle) -> None:
    node.updater(of(served)).apply()
    node.updater(of(served)).activate()


def test_activation_is_a_trial_of_three_starts(node: FakeNode, served: Bundle) -> None:
    with pytest.raises(NothingToDo):
        node.updater(of(served)).activate()
    activate(node, served)
    found = node.environment()
    assert {name: found[name] for name in ("active_slot", "boot_counter", "boot_success", "trial")} == {
        "active_slot": "B", "boot_counter": "3", "boot_success": "0", "trial": "0.2.0",
    }  # fmt: skip
    assert state.load(node.root).phase == "activated"
    with pytest.raises(Refused, match="on trial"):
        node.updater(of(served)).apply()


def test_a_confirmed_trial_is_a_success(node: FakeNode, served: Bundle) -> None:
    activate(node, served)
    node.running = "B"
    assert settle.settle(node.updater(of(served))) == ""
    assert state.load(node.root).phase == "verifying"
    node.set_environment(boot_success="1")
    assert "from version 0.1.0 to 0.2.0 has succeeded" in settle.settle(node.updater(of(served)))
    record = state.load(node.root)
    assert (record.phase, record.refused) == ("success", {})
    assert settle.settle(node.updater(of(served))) == "", "once is enough"


def test_a_trial_that_was_given_up_is_told_and_not_tried_again(node: FakeNode, served: Bundle) -> None:
    activate(node, served)
    node.set_environment(active_slot="A", boot_success="1", fallback_from="B", fallback_reason="not-healthy")
    (node.esp / "grub/failure.txt").write_text(
        "slot=vda3\nstage=health\nreason=pod x is Pending\nuptime=600\n\nlast words\n"
    )
    assert "health: pod x is Pending" in settle.settle(node.updater(of(served)))
    record = state.load(node.root)
    assert record.phase == "rolled_back"
    assert record.last_log == ["last words"]
    with pytest.raises(Refused, match=r"0\.2\.0 has failed on this node: health: pod x is Pending"):
        node.updater(of(served)).apply()
    assert node.updater(of(served), force=True).apply() in (True, False)


def test_the_reason_of_another_failure_is_not_this_ones(node: FakeNode, served: Bundle) -> None:
    activate(node, served)
    (node.esp / "grub/failure.txt").write_text("slot=vda2\nstage=20\nreason=old\n\n")
    node.set_environment(active_slot="A", boot_success="1", fallback_from="B", fallback_reason="no-kernel")
    text = settle.settle(node.updater(of(served)))
    assert text.endswith("its kernel could not be loaded")


def test_an_activation_that_was_cut_short_is_taken_back(node: FakeNode, served: Bundle) -> None:
    node.updater(of(served)).apply()
    agent = node.updater(of(served))
    agent.save("activated")
    assert "cut short" in settle.settle(node.updater(of(served)))
    assert state.load(node.root).phase == "staged"
    node.updater(of(served)).activate()
    assert node.environment()["active_slot"] == "B"


def test_a_download_that_was_cut_short_says_so(node: FakeNode, served: Bundle) -> None:
    node.updater(of(served)).save("downloading", to="0.2.0")
    assert "goes on with it" in settle.settle(node.updater(of(served)))
    assert node.updater(of(served)).apply()


def test_a_check_that_was_cut_short_leaves_no_trace_of_itself(node: FakeNode, served: Bundle) -> None:
    node.updater(of(served)).save("checking")
    settle.settle(node.updater(of(served)))
    assert state.load(node.root).phase == "failed"
    node.updater(of(served)).save("checking")
    with pytest.raises(Unreachable):
        node.updater(Conf(server="http://127.0.0.1:1")).apply()
    assert state.load(node.root).phase == "failed", "a killed one is settled by the next"


def test_going_back_on_purpose(node: FakeNode, served: Bundle) -> None:
    activate(node, served)
    node.running = "B"
    (node.root / "usr/lib/os-release").write_text('VERSION_ID="0.2.0"\nARCHITECTURE="amd64"\n')
    node.set_environment(boot_success="1")
    settle.settle(node.updater(of(served)))
    assert node.updater(of(served)).rollback() == "0.1.0"
    assert node.environment()["active_slot"] == "A"
    node.running = "A"
    node.set_environment(boot_success="1")
    settle.settle(node.updater(of(served)))
    (node.root / "usr/lib/os-release").write_text('VERSION_ID="0.1.0"\nARCHITECTURE="amd64"\n')
    with pytest.raises(Refused, match="an operator has gone back from it"):
        node.updater(of(served)).apply()


def test_going_back_never_goes_forward(node: FakeNode, served: Bundle) -> None:
    """The other slot holds what was given up, or what was only staged."""
    node.updater(of(served)).apply()
    with pytest.raises(Refused, match=r"holds version 0\.2\.0, which is none to go back to from 0\.1\.0"):
        node.updater(of(served)).rollback()
    assert node.environment()["active_slot"] == "A"
    assert state.load(node.root).refused == {}


def test_a_trial_is_not_activated_again(node: FakeNode, served: Bundle) -> None:
    activate(node, served)
    node.running = "B"
    with pytest.raises(Refused, match="runs on trial"):
        node.updater(of(served)).activate()


def test_a_window_that_has_closed_meanwhile_leaves_it_staged(node: FakeNode, served: Bundle) -> None:
    node.updater(of(served)).apply()
    now = time.gmtime()
    later = (now.tm_hour + 2) % 24
    closed = of(served, window=f"{later:02}:00-{(later + 1) % 24:02}:00")
    with pytest.raises(Refused, match="outside of the maintenance window"):
        node.updater(closed).activate()
    assert state.load(node.root).phase == "staged"
    node.updater(closed, force=True).activate()


def test_checking_does_not_undo_what_another_has_written(node: FakeNode, served: Bundle) -> None:
    slow = node.updater(of(served))
    node.updater(of(served)).apply()
    slow.check()
    record = state.load(node.root)
    assert (record.phase, record.floor) == ("staged", "0.1.0")
    assert record.newest


def test_a_bad_sector_of_a_slot_is_fetched(
    node: FakeNode, served: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    def rotten(path: Path) -> Iterator[bytes]:
        yield from ()

    monkeypatch.setattr(fetch, "pieces", rotten)
    node.updater(of(served)).apply()
    assert node.content("B") == NEW


def test_settings_of_a_trial_go_with_it(node: FakeNode, served: Bundle) -> None:
    node.updater(of(served)).apply()
    assert main.main(["activate", "--no-reboot", "--auto-rollback-after", "90"], node.root) == 0
    path = node.root / main.TRIAL_SETTINGS
    assert path.read_text() == "auto-rollback-after=90\n"
    node.running = "B"
    node.set_environment(boot_success="1")
    assert main.main(["settle"], node.root) == 0
    assert not path.exists()


def test_a_damaged_slot_is_neither_activated_nor_gone_back_to(node: FakeNode, served: Bundle) -> None:
    node.updater(of(served)).apply()
    path = node.slot("B") / "overlay.squashfs"
    path.write_bytes(path.read_bytes()[:-1] + b"!")
    for work in (node.updater(of(served)).activate, node.updater(of(served), force=True).rollback):
        with pytest.raises(UpdateError, match=r"overlay\.squashfs in the slot is damaged"):
            work()
    assert node.environment()["active_slot"] == "A"


def test_two_updaters_at_once(node: FakeNode, served: Bundle) -> None:
    lock = node.root / "run/kubesolo/update.lock"
    lock.parent.mkdir(parents=True, exist_ok=True)
    with lock.open("a") as stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        with pytest.raises(Busy):
            node.updater(of(served)).apply()
    assert node.updater(of(served)).apply()


def test_a_stepping_stone_comes_first(node: FakeNode, served: Bundle) -> None:
    served.add("0.3.0", NEW, min_compatible_version="0.2.0")
    offer = node.updater(of(served)).check()
    assert (offer.manifest.version.text, offer.latest.version.text) == ("0.2.0", "0.3.0")
    (served.folder / "0.2.0.json").unlink()
    with pytest.raises(Unreachable, match=r"0\.2\.0\.json"):
        node.updater(of(served)).check()


def test_stones_in_a_circle_end(node: FakeNode, served: Bundle) -> None:
    served.manifest = served.changed(min_compatible_version="0.2.0")
    served.write()
    with pytest.raises(Refused, match="more than 8 versions"):
        node.updater(of(served)).check()


def test_a_key_is_replaced_by_a_manifest_that_the_old_one_signs(node: FakeNode, served: Bundle) -> None:
    served.add("0.3.0", {**NEW, "vmlinuz": b"kernel 3"})
    served.write(signed_by="new")
    with pytest.raises(Unverified, match="not signed"):
        node.updater(of(served)).apply()
    served.manifest = served.changed(keys=[bundle.public("new")])
    served.write()
    assert node.updater(of(served)).apply()
    served.add("0.4.0", {**NEW, "vmlinuz": b"kernel 4"}).write(signed_by="new")
    assert node.updater(of(served)).apply()


def test_what_was_seen_once_is_not_taken_back(node: FakeNode, served: Bundle) -> None:
    served.add("0.3.0", NEW, released="2026-11-02T00:00:00Z")
    node.updater(of(served)).apply()
    replayed = (served.folder / "0.2.0.json").read_bytes()
    served.put("latest", replayed, (served.folder / "0.2.0.json.sig").read_bytes())
    with pytest.raises(Refused, match="an older manifest is offered than this node has seen"):
        node.updater(of(served)).check()


def test_the_floor_holds_with_force_too(node: FakeNode, served: Bundle) -> None:
    served.add("0.3.0", NEW, floor="0.3.0")
    node.updater(of(served)).apply()
    served.manifest = served.changed(version="0.2.5", floor="0.1.0")
    served.write()
    with pytest.raises(Refused, match=r"below 0\.3\.0, the lowest"):
        node.updater(of(served), force=True).apply()


def test_a_damaged_record_is_made_anew(node: FakeNode, served: Bundle) -> None:
    for text in ("", "{", "[]", '{"phase": "flying"}', '{"attempts": "many"}', "\0" * 100):
        path = node.root / state.PLACE
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
        record = state.load(node.root)
        assert (record.phase, record.attempts) == ("failed", 0)
    assert node.updater(of(served)).apply()


def test_the_command_line(node: FakeNode, served: Bundle, capsys: pytest.CaptureFixture[str]) -> None:
    def command(*words: str) -> int:
        return main.main([*words], node.root)

    place = f"--directory={served.top}"
    assert command("check", place, "--json") == 0
    assert json.loads(capsys.readouterr().out)["version"] == "0.2.0"
    assert command("apply", "--directory", str(served.top)) == 0
    assert command("activate", "--no-reboot") == 0
    assert "has to be restarted" in capsys.readouterr().out
    assert command("apply", place) == 4
    assert "an update is on trial" in capsys.readouterr().err
    assert command("status") == 0
    assert "0.1.0 -> 0.2.0, slot B" in capsys.readouterr().out
    assert command("check") == 2
    assert command("check", "--directory", "/nowhere") == 5
    assert command("fly") == 2
    assert command("check", "--fast") == 2
    assert command("check", "--channel") == 2
    assert command("check", place, "--channel", "beta", "--json") == 5
    captured = capsys.readouterr()
    assert json.loads(captured.out)["status"] == 5
    assert main.main([]) == 2
    assert main.main(["--help"]) == 0


@pytest.mark.parametrize(
    "words", [("--registry", "r.example/os"), ("--registry=r.example",), ("--tag", "stable")]
)
def test_an_oci_registry_is_refused_with_words(
    node: FakeNode, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    """Not as a slip of the pen: it is an option that does not do anything yet."""
    assert main.main(["check", *words], node.root) == 2
    assert (
        "updates from an OCI registry are not supported; use server, usb or directory"
        in capsys.readouterr().err
    )


def test_settings_of_the_file_and_of_the_command_line(node: FakeNode, served: Bundle) -> None:
    path = node.root / conf.FILE
    path.parent.mkdir(parents=True)
    path.write_text("# comment\nserver = http://a.example/x\nchannel=beta\nauto-rollback-after=60\n")
    found = conf.load(node.root, {"channel": "edge"})
    assert (found.server, found.channel, found.rollback_after) == ("http://a.example/x", "edge", 60)
    assert conf.load(node.root, {"directory": "/x"}).server == ""
    for text in ("server=ftp://x\n", "speed=9\n", "server\n", "auto-rollback-after=-1\n", "reboot=maybe\n",
                 "maintenance-window=1-2\n", "registry=r.example\n", "channel=../x\n"):  # fmt: skip
        path.write_text(text)
        with pytest.raises(UpdateError, match=r"update\.conf"):
            conf.load(node.root, {})


@pytest.fixture
def small(node: FakeNode, monkeypatch: pytest.MonkeyPatch) -> FakeNode:
    monkeypatch.setattr(
        slot, "free", lambda folder: 250_000 if (folder / "root.squashfs").exists() else 500_000
    )
    return node


def test_where_both_versions_do_not_fit_the_old_one_goes_first(small: FakeNode, served: Bundle) -> None:
    small.updater(of(served)).apply()
    assert small.content("B") == NEW


def test_a_full_slot_is_said(node: FakeNode, served: Bundle, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(slot, "free", lambda _: 1000)
    with pytest.raises(UpdateError, match="MB free") as caught:
        node.updater(of(served)).apply()
    assert caught.value.status == 7
    assert not node.starts("B")
    assert state.load(node.root).phase == "failed"


def test_leftovers_of_another_version_go(node: FakeNode, served: Bundle) -> None:
    (node.slot("B") / "old.squashfs.part").write_bytes(b"x")
    (node.slot("B") / "old.squashfs").write_bytes(b"x")
    node.updater(of(served)).apply()
    assert node.content("B") == NEW


def test_every_step_of_the_switch_can_be_cut(
    node: FakeNode, served: Bundle, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Old, not bootable or new, and the next apply ends as the first would have."""
    manifest = node.updater(of(served)).check().manifest
    folder = node.slot("B")
    steps, done = 0, False
    while not done:
        shutil.rmtree(folder)
        fill(folder, "0.1.0", OLD)
        for name, data in NEW.items():
            slot.part(folder, name).write_bytes(data)
        done = cut_after(steps, monkeypatch, lambda: slot.switch(folder, manifest))
        if node.starts("B"):
            content = {name: data for name, data in node.content("B").items() if not name.endswith(slot.NEW)}
            assert content in (OLD, NEW), f"step {steps}"
        node.updater(of(served)).save("failed")
        node.updater(of(served)).apply()
        assert slot.verify(folder) == "0.2.0"
        steps += 1
    assert steps > 8


class CutError(Exception):
    """The power is gone."""


def cut_after(count: int, monkeypatch: pytest.MonkeyPatch, work: Callable[[], None]) -> bool:
    """Do the work, but end it before its step `count`; whether it came to its end."""
    left = [count]

    def counted(real: Callable[..., object]) -> Callable[..., object]:
        def step(*arguments: object, **more: object) -> object:
            if not left[0]:
                raise CutError
            left[0] -= 1
            return real(*arguments, **more)

        return step

    with monkeypatch.context() as patch:
        for owner, name in ((os, "replace"), (Path, "unlink"), (slot, "sync"), (slot, "write_file")):
            patch.setattr(owner, name, counted(getattr(owner, name)))
        try:
            work()
        except CutError:
            return False
    return True
