import re

import pytest

from tasks.lib.boot.grubmenu import grub_cfg
from tasks.lib.boot.isolinux import greeting, greeting_cfg, prompt_cfg
from tasks.lib.boot.menu import ENTRIES, Entry

LABELS = ["kubesolo", "kubesolo-debug", "kubesolo-shell", "kubesolo-nopersist", "kubesolo-install"]


def test_both_loaders_offer_the_same_entries() -> None:
    labels = re.compile(r"^LABEL (\S+)\n  KERNEL.*\n  INITRD.*\n  APPEND (.*)$", re.MULTILINE)
    isolinux = labels.findall(prompt_cfg("KubeSolo OS"))
    assert labels.findall(greeting_cfg("KubeSolo OS")) == isolinux, "for those who type at once"
    grub = re.findall(r"^function start_(\S+) \{\n  linux \S+ (.*)$", grub_cfg("KubeSolo OS"), re.MULTILINE)
    assert [(label.replace("-", "_"), parameters) for label, parameters in isolinux] == grub
    assert [label for label, _ in isolinux] == LABELS


def test_the_first_entry_starts_by_itself_whatever_comes() -> None:
    assert "DEFAULT menu\n" in greeting_cfg("KubeSolo OS"), "which only shows what there is"
    assert "TOTALTIMEOUT 10\nONTIMEOUT prompt\n" in greeting_cfg("KubeSolo OS")
    prompt = prompt_cfg("KubeSolo OS")
    assert "DEFAULT kubesolo\nPROMPT 1\nTIMEOUT 30\nTOTALTIMEOUT 250\n" in prompt
    grub = grub_cfg("KubeSolo OS")
    assert "set timeout=3\n" in grub
    # All countdowns but GRUB's own menu, which a person has asked for three times.
    waits = [int(number) for number in re.findall(r"set timeout=(-?\d+)", grub)]
    assert waits.count(-1) == 1
    assert sum(sorted(set(waits))[1:]) < 30
    assert grub.count("set timeout_style=countdown") == len(waits) - 1


def test_no_key_means_two_things() -> None:
    noise = re.findall(r"for key in (.*); do", grub_cfg("KubeSolo OS"))
    *confirmations, choice = [set(keys.split()) for keys in noise]
    assert len(confirmations) == len(ENTRIES)
    assert all("y" not in keys and "d" in keys for keys in confirmations)
    assert not choice & set("dsnim")
    assert "y" in choice


@pytest.mark.parametrize("entry", ENTRIES, ids=LABELS)
def test_every_entry_names_the_data_partition_and_both_consoles(entry: Entry) -> None:
    words = entry.parameters.split()
    assert {"kubesolo.data=LABEL=KSOLODATA", "console=tty0", "console=ttyS0,115200n8"} <= set(words)
    assert len(words) == len(set(words))


def test_what_each_entry_is_for_stands_on_its_command_line() -> None:
    found = {entry.label: entry.parameters.split() for entry in ENTRIES}
    assert "kubesolo.debug" in found["kubesolo-debug"]
    assert found["kubesolo-debug"][-2].startswith("console=ttyS0"), "debug has its console on the serial line"
    assert "kubesolo.shell" in found["kubesolo-shell"]
    assert "kubesolo.nopersist" in found["kubesolo-nopersist"]
    assert "kubesolo.install=ask" in found["kubesolo-install"]


def test_the_text_above_the_prompt_fits_the_screen() -> None:
    lines = greeting("KubeSolo OS 0.1.0").splitlines()
    assert len(lines) < 24
    assert max(len(line) for line in lines) <= 79
    assert all(any(line.split()[:1] == [label] for line in lines) for label in LABELS)
