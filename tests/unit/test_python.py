"""Python for the node: what is taken of it really runs, without sources and without what a host has."""

from __future__ import annotations

import ast
import re
import tarfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tasks import python
from tasks.lib.arch import AMD64
from tasks.lib.engine import Build
from tasks.lib.errors import BuildError
from tasks.lib.formats import bytecode
from tasks.lib.formats.tree import Tree
from tasks.lib.paths import TOP
from tasks.lib.process import run
from tests.unit.targets import EPOCH, VALUES
from tests.updates.bundle import Bundle, public


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Python as on the node, with all its libraries, and agent/."""
    folder = tmp_path_factory.mktemp("python")
    Tree().write_tar(folder / "nothing.tar", 0)
    outs = [folder / "python.tar", folder / "parts.json"]
    (folder / "scratch").mkdir()
    python.build_python(
        folder / "nothing.tar", "amd64", AMD64.libraries, Build(outs, folder / "scratch", values=VALUES)
    )
    (folder / "agent").mkdir()
    python.build_agent(Build([folder / "agent.tar"], folder / "agent", values=VALUES))
    for name in ("python.tar", "agent.tar"):
        with tarfile.open(folder / name) as archive:
            archive.extractall(folder / "root", filter="tar")
    return folder / "root"


def command(root: Path) -> list[str]:
    """Starts that Python with its own loader and libraries, and without its sources' folders."""
    libraries = root / AMD64.libraries
    program = [str(libraries / AMD64.loader), "--library-path", str(libraries), str(root / python.PROGRAM)]
    return ["env", f"PYTHONHOME={root}/usr", *program, "-s", "-S", "-B"]


def test_modules_of_the_agent_run(root: Path) -> None:
    modules = sorted(
        ".".join(path.relative_to(TOP).with_suffix("").parts).removesuffix(".__init__")
        for path in python.AGENT.rglob("*.py")
    )
    code = f"import importlib, yaml\nfor name in {modules!r}: importlib.import_module(name)\n"
    code += "assert yaml.__with_libyaml__\nprint(yaml.safe_load('a: [1, 2]'))"
    assert run([*command(root), "-c", code]).stdout == b"{'a': [1, 2]}\n"


def test_what_a_configuration_needs_comes_first(root: Path, tmp_path: Path) -> None:
    """In the order in which it is read (python -v); agent/ lies elsewhere."""
    example = TOP / "docs/examples/static-ip.yaml"
    words = ["--out", str(tmp_path / "out"), "--file", str(example)]
    code = f"import sys; from agent import apply; sys.exit(apply.main({words!r}))"
    said = run([*command(root), "-v", "-c", code]).stderr.decode()
    loaded = re.findall(rf"(?:code object from|loaded from) '{root}/{python.LIBRARY}/([^']*)'", said)
    read = dict.fromkeys(f"{python.LIBRARY}/{name}" for name in loaded if not name.startswith("agent/"))
    assert (python.PROGRAM, *read) == python.load_selection().read_first(AMD64.triplet)


def test_what_the_next_modules_need_is_there(root: Path) -> None:
    """Transport and signatures: ssl loads its libraries, libcrypto can be called."""
    code = (
        "import ssl, http.client, http.server, hashlib, ctypes, tarfile, subprocess, urllib.request, logging"
    )
    run([*command(root), "-c", f"{code}\nssl.create_default_context(); hashlib.new('sha512', b'x')"])


def test_whatever_the_agent_imports_is_there(root: Path) -> None:
    """What is imported in functions only, too, and what the interpreter imports by itself."""
    names = {name for path in python.AGENT.rglob("*.py") for name in imported(ast.parse(path.read_text()))}
    code = f"import importlib\nfor name in {sorted(names)!r}: importlib.import_module(name)\n"
    code += "import time; time.strptime('2026', '%Y'); ''.encode('idna')"
    run([*command(root), "-c", code])


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules that a file imports anywhere."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module


def test_updates_are_verified_with_that_python(root: Path, tmp_path: Path) -> None:
    """The command itself, up to the point where it needs a disk with slots."""
    made = Bundle(tmp_path / "served").add("99.0.0", {"vmlinuz": b"k", "kubesolo-os.gz": b"i"})
    node = tmp_path / "node"
    (node / "usr/lib").mkdir(parents=True)
    (node / "usr/lib/os-release").write_text('VERSION_ID="0.1.0"\nARCHITECTURE="amd64"\n')
    words = ["check", "--directory", str(made.top), "--pubkey", public()]
    code = "import sys; from pathlib import Path; from agent.update.main import main; "
    code += f"sys.exit(main({words!r}, Path({str(node)!r})))"
    assert b"version 99.0.0 is offered" in run([*command(root), "-c", code]).stdout


def test_a_server_and_names_of_hosts_work(root: Path) -> None:
    code = "from agent.handover import Server; Server(('127.0.0.1', 0), None, None).server_close()"
    run([*command(root), "-c", f"{code}\nimport socket; assert 'a.example'.encode('idna')"])


def test_what_judges_an_update_runs_to_its_end(root: Path) -> None:
    """Some modules are imported only when they are needed: here they are, on the node's Python."""
    (root / "node/run/containerd").mkdir(parents=True)
    pod = {
        "metadata": {"name": "a"},
        "status": {
            "phase": "Running",
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": "2026-01-01T00:00:00Z"}],
        },
    }
    code = (
        "from pathlib import Path; from agent.update import drain, health, kube, metrics\n"
        f"node = Path({str(root / 'node')!r})\n"
        f"assert health.pod_troubles([{pod!r}], 1767225610.0, 30) == ['pod a has been Ready for 10 s only']\n"
        "assert 'refused' in health.probe('https://127.0.0.1:9/')\n"
        "client = kube.Kube('https://127.0.0.1:9', __import__('ssl').create_default_context())\n"
        "try: client.post('/x', {})\n"
        "except kube.KubeError as error: assert 'does not answer' in str(error), error\n"
        "metrics.write(node, {'phase': 'idle'}); drain.write_mark(node); print(health.check(node, {}))"
    )
    assert run([*command(root), "-c", code]).stdout == b"[]\n"


def test_there_are_no_sources(root: Path) -> None:
    assert not list(root.rglob("*.py"))
    assert list(root.rglob("agent/grubenv.pyc"))


def test_compiling_gives_the_same_bytes_twice(tmp_path: Path) -> None:
    sources = Tree()
    sources.add_file("usr/lib/a.py", "def f(x: int) -> set[str]:\n    return {'a', 'b', str(x)}\n")
    sources.add_file("usr/lib/data", "x")
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        bytecode.compiled(sources, tmp_path / name).write_tar(tmp_path / f"{name}.tar", EPOCH)
    assert (tmp_path / "one.tar").read_bytes() == (tmp_path / "two.tar").read_bytes()


def test_a_name_that_debian_does_not_have_is_an_error() -> None:
    selection = python.Selection(frozenset({"jason"}), frozenset(), frozenset())
    with pytest.raises(BuildError, match="not in Debian's Python: _yaml, jason, yaml"):
        python.select(Tree(), selection)
