from pathlib import Path

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.kernel.lists import read_list, select
from tasks.lib.kernel.modules import Kernel
from tests.unit.kernel_objects import kernel_tree


def chosen(folder: Path, text: str, flavour: str = "default") -> dict[str, list[str]]:
    path = folder / "test.modules"
    path.write_text(text)
    return select(read_list(path, [flavour]), Kernel(kernel_tree()))


def test_names_folders_and_wildcards(tmp_path: Path) -> None:
    text = """
    # comment
    [disks]
    ext4   # with a comment
    [cards]
    drivers/net/ethernet/
    [again]
    drivers/net/ethernet/maker/*
    crc32c*
    """
    assert chosen(tmp_path, text) == {
        "disks": ["ext4"],
        "cards": ["alpha", "beta"],
        "again": ["crc32c_generic", "crc32c_intel"],
    }


def test_a_star_stops_at_a_slash(tmp_path: Path) -> None:
    assert chosen(tmp_path, "drivers/net/*") == {"test": ["mdio_lib"]}
    assert chosen(tmp_path, "drivers/net/ethernet/maker/*") == {"test": ["alpha"]}
    assert chosen(tmp_path, "drivers/net/ethernet/*/bet?/beta") == {"test": ["beta"]}


def test_dashes_and_underscores_are_the_same(tmp_path: Path) -> None:
    assert chosen(tmp_path, "mdio-lib\ncrc32c-intel") == {"test": ["mdio_lib", "crc32c_intel"]}


def test_built_in_modules_are_no_fault_and_not_chosen(tmp_path: Path) -> None:
    assert chosen(tmp_path, "fuse\naes_generic\nfs/fuse/\ncrc16") == {"test": ["crc16"]}


def test_exclusion_holds_for_wildcards_but_not_for_names(tmp_path: Path) -> None:
    assert chosen(tmp_path, "drivers/net/ethernet/\n- alpha") == {"test": ["beta"]}
    assert chosen(tmp_path, "drivers/net/ethernet/\n- alpha\nalpha") == {"test": ["beta", "alpha"]}


def test_sections_for_a_flavour(tmp_path: Path) -> None:
    text = "[all]\next4\n[real: default, source]\ncrc16\n[vm: cloud]\njbd2\n[rest]\nmdio-lib"
    assert chosen(tmp_path, text) == {"all": ["ext4"], "real": ["crc16"], "rest": ["mdio_lib"]}
    assert chosen(tmp_path, text, "cloud") == {"all": ["ext4"], "vm": ["jbd2"], "rest": ["mdio_lib"]}


def test_lists_include_lists(tmp_path: Path) -> None:
    (tmp_path / "common.modules").write_text("[common]\next4\n")
    assert chosen(tmp_path, "include common.modules\ncrc16") == {"common": ["ext4"], "test": ["crc16"]}


def test_unknown_names_are_all_told_with_file_and_line(tmp_path: Path) -> None:
    with pytest.raises(BuildError) as caught:
        chosen(tmp_path, "ext4\next5\ndrivers/wifi/*\n\n- nothing\n")
    name = f"{tmp_path.name}/test.modules"
    assert f"{name}:2: ext5: neither a module nor built in; did you mean ext4?" in str(caught.value)
    assert f"{name}:3: drivers/wifi/*: matches nothing" in str(caught.value)
    assert f"{name}:5: nothing: neither a module nor built in" in str(caught.value)


@pytest.mark.parametrize("line", ["two words", "[Open", "name=value", "$HOME"])
def test_a_line_that_is_not_understood_is_named(tmp_path: Path, line: str) -> None:
    with pytest.raises(BuildError, match=r"test\.modules:2: .*is not understood"):
        chosen(tmp_path, f"ext4\n{line}\n")


def test_a_missing_list_is_named(tmp_path: Path) -> None:
    with pytest.raises(BuildError, match=r"gone\.modules: can not be read"):
        chosen(tmp_path, "include gone.modules")
