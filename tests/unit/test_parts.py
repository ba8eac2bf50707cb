from pathlib import Path

import pytest

from tasks.lib.errors import BuildError
from tasks.lib.formats.tree import Tree
from tasks.lib.go import modules
from tasks.lib.go.modules import Linked, classified, folder, licence_texts, linked, module_parts, part
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
COPY = "../build/scratch/payload/patched/k8s.io-client-go@v0.36.3"
PATCHED = f"/x/kubesolo: go1.26.8\n\tdep\tk8s.io/client-go\tv0.0.0\n\t=>\t{COPY}\t(devel)\t\n"
MIT = """Copyright (c) 2020 A. Nonymous

Permission is hereby granted, free of charge, to any person obtaining a copy of this software and
associated documentation files (the "Software"), to deal in the Software without restriction,
including without limitation the rights to use, copy, modify, merge, publish, distribute,
sublicense, and/or sell copies of the Software, and to permit persons to whom the Software is
furnished to do so, subject to the following conditions:

The above copyright notice and this permission notice shall be included in all copies or substantial
portions of the Software.

THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY OF ANY KIND, EXPRESS OR IMPLIED, INCLUDING BUT
NOT LIMITED TO THE WARRANTIES OF MERCHANTABILITY, FITNESS FOR A PARTICULAR PURPOSE AND
NONINFRINGEMENT. IN NO EVENT SHALL THE AUTHORS OR COPYRIGHT HOLDERS BE LIABLE FOR ANY CLAIM, DAMAGES
OR OTHER LIABILITY, WHETHER IN AN ACTION OF CONTRACT, TORT OR OTHERWISE, ARISING FROM, OUT OF OR IN
CONNECTION WITH THE SOFTWARE OR THE USE OR OTHER DEALINGS IN THE SOFTWARE.
"""


def test_replaced_modules_count_as_what_replaces_them_and_our_own_folders_not() -> None:
    assert linked(VERSION_TEXT) == [
        Linked("stdlib", "v1.26.8"),
        Linked("github.com/Azure/go-ansiterm", "v0.0.1", "h1:Zm9v"),
        Linked("k8s.io/api", "v0.36.3", "h1:YmFy"),
    ]


def test_a_patched_module_counts_as_the_one_it_was_copied_from_with_its_patches() -> None:
    library, module = linked(PATCHED)
    assert (module.path, module.version, module.patched) == ("k8s.io/client-go", "v0.36.3", True)
    assert module.hash1.startswith("h1:")
    assert library.patched, "a program that has patches has those of the library too"
    row = part(module, {"MIT"}, ["a.patch"], "+kubesolo.1")
    assert (row.version, row.source) == ("v0.36.3+kubesolo.1", "k8s.io/client-go@v0.36.3")
    assert row.patches == ("a.patch",)
    assert part(module, [], [], "+kubesolo.1").version == "v0.36.3"


@pytest.mark.timeout(900)
def test_licence_texts_are_recognised_by_a_library(tmp_path: Path) -> None:
    for name, text in (("a", MIT), ("b", MIT), ("c", "All rights reserved.")):
        (tmp_path / name).write_text(text)
    found = classified([tmp_path / name for name in "abc"], tmp_path)
    assert found == {tmp_path / "a": ["MIT"], tmp_path / "b": ["MIT"], tmp_path / "c": []}
    assert classified([], tmp_path) == {}


def test_the_licence_of_a_module_may_lie_above_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(modules, "cache_dir", lambda: tmp_path)
    place = folder(Linked("github.com/Azure/go-ansiterm", "v0.0.1"))
    assert place == tmp_path / "go/mod/github.com/!azure/go-ansiterm@v0.0.1"
    place.mkdir(parents=True)
    (tmp_path / "go/mod/LICENSE").write_text(MIT)
    assert licence_texts(place) == [], "what lies outside of the module is another's"
    (place / "LICENSE").write_text(MIT)
    (place / "COPYING").write_text(MIT)
    assert licence_texts(place) == [place / "COPYING", place / "LICENSE"]
    assert licence_texts(place / "sub" / "module") == licence_texts(place)


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
        module_parts([tmp_path / "text"], tmp_path)


def test_a_program_of_another_module_names_that_module() -> None:
    """As kubeadm does, which is compiled where it is not a dependency of anything."""
    row = "mod\tk8s.io/kubernetes\tv1.36.3\th1:qDQdoMiluAE2Eab6Fa52YV+WjiGz9mZFFoagEA6cI+o="
    text = f"kubeadm: go1.26.8\n\tpath\tk8s.io/kubernetes/cmd/kubeadm\n\t{row}\n"
    assert [(module.path, module.version) for module in linked(text)] == [
        ("stdlib", "v1.26.8"),
        ("k8s.io/kubernetes", "v1.36.3"),
    ]
    own = "payload: go1.26.8\n\tmod\tkubesolo.io/os/payload\t(devel)\t\n"
    assert [module.path for module in linked(own)] == ["stdlib"]
