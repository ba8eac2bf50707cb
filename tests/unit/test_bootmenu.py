import re

import pytest

from tasks.lib.bootmenu import ENTRIES, Entry, grub_cfg, isolinux_cfg

LABELS = ["kubesolo", "kubesolo-debug", "kubesolo-shell", "kubesolo-nopersist"]


def test_both_loaders_offer_the_same_entries() -> None:
    isolinux = re.findall(r"^LABEL (\S+)\n.*\n.*\n  APPEND (.*)$", isolinux_cfg("KubeSolo OS"), re.MULTILINE)
    grub = re.findall(r"--id (\S+) \{\n  linux \S+ (.*)$", grub_cfg("KubeSolo OS"), re.MULTILINE)
    assert isolinux == grub
    assert [label for label, _ in isolinux] == LABELS


def test_the_first_entry_starts_by_itself_after_three_seconds() -> None:
    assert "DEFAULT kubesolo\n" in isolinux_cfg("KubeSolo OS")
    assert "TIMEOUT 30\n" in isolinux_cfg("KubeSolo OS")
    assert "set default=kubesolo\nset timeout=3\n" in grub_cfg("KubeSolo OS")


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


def test_the_text_above_the_prompt_fits_the_screen() -> None:
    lines = [line[4:] for line in isolinux_cfg("KubeSolo OS 0.1.0").splitlines() if line.startswith("SAY")]
    assert len(lines) < 24
    assert max(len(line) for line in lines) <= 79
    assert all(any(line.split()[:1] == [label] for line in lines) for label in LABELS)
