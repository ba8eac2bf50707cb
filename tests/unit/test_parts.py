from pathlib import Path

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.go import modules
from tasks.lib.go.modules import UNKNOWN, classify, folder, licence, linked, module_parts
from tasks.parts import go_programs

VERSION_TEXT = """\
/x/kubesolo: go1.26.8
\tpath\tkubesolo.io/os/payload
\tmod\tkubesolo.io/os/payload\t(devel)\t
\tdep\tgithub.com/Azure/go-ansiterm\tv0.0.1\th1:Zm9v
\tdep\tk8s.io/api\tv0.0.0
\t=>\tk8s.io/api\tv0.36.3\th1:YmFy
\tdep\tgithub.com/prometheus/exporter-toolkit\tv0.1.0
\t=>\t./exporter-toolkit\t(devel)\t
\tbuild\t-trimpath=true
"""
COPY = "../build/scratch/payload/patched/k8s.io-client-go-v0.36.3"
PATCHED = f"\tdep\tk8s.io/client-go\tv0.36.3\n\t=>\t{COPY}\t(devel)\t\n"
MIT = "MIT License\n\nPermission is hereby granted, free of charge, to any person\nobtaining a copy of"
BSD2 = "// Redistribution and use in source and\n// binary forms, with or without"
BSD3 = f"{BSD2}\nNeither the name may be used to endorse or promote products derived from"


def test_replaced_modules_count_as_what_replaces_them_and_our_own_folders_not() -> None:
    assert linked(VERSION_TEXT) == [
        ("github.com/Azure/go-ansiterm", "v0.0.1", "h1:Zm9v"),
        ("k8s.io/api", "v0.36.3", "h1:YmFy"),
    ]


def test_a_patched_module_counts_as_the_one_it_was_copied_from() -> None:
    ((path, version, hash1),) = linked(PATCHED)
    assert (path, version) == ("k8s.io/client-go", "v0.36.3")
    assert hash1.startswith("h1:")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (MIT, {"MIT"}),
        (BSD2, {"BSD-2-Clause"}),
        (BSD3, {"BSD-3-Clause"}),
        ("Apache License\n  Version 2.0, January 2004", {"Apache-2.0"}),
        ("Mozilla Public License, version 2.0", {"MPL-2.0"}),
        ("All rights reserved.", set()),
    ],
)
def test_licences_are_recognised_by_their_sentences(text: str, expected: set[str]) -> None:
    assert classify(text) == expected


def test_the_licence_of_a_module_may_lie_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "cache_dir", lambda: tmp_path)
    place = folder("github.com/Azure/go-ansiterm", "v0.0.1")
    assert place == tmp_path / "go/mod/github.com/!azure/go-ansiterm@v0.0.1"
    place.mkdir(parents=True)
    (tmp_path / "go/mod/LICENSE").write_text(BSD3)
    assert licence(place) == UNKNOWN, "what lies outside of the module is another's"
    (place / "LICENSE").write_text(MIT)
    assert licence(place) == "MIT"
    (place / "COPYING").write_text(BSD3)
    assert licence(place) == "BSD-3-Clause AND MIT"
    assert licence(place / "sub" / "module") == "BSD-3-Clause AND MIT"


def test_programs_are_found_in_archives_inside_archives(tmp_path: Path) -> None:
    program = b"\x7fELF...\xff Go buildinf:..."
    layer = Tree()
    layer.add_file("coredns", program)
    layer.add_file("etc/notes", "\xff Go buildinf: in a text")
    layer.write_tar(tmp_path / "layer.tar", 0)
    image = Tree()
    image.add_file("blobs/sha256/ab", tmp_path / "layer.tar")
    image.add_file("index.json", "{}")
    image.write_tar(tmp_path / "image.tar", 0)
    (tmp_path / "scratch").mkdir()
    found = go_programs(tmp_path / "image.tar", tmp_path / "scratch")
    assert [path.read_bytes() for path in found] == [program]


def test_what_is_no_go_program_is_named(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("no program")
    with pytest.raises(BuildError, match="text"):
        module_parts([tmp_path / "text"])
