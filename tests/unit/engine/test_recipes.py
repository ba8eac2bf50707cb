"""Which edits of code and values make which tasks stale."""

from __future__ import annotations

import os

import pytest

from tests.unit.engine.project import Project

RECIPES = '''
"""Recipes."""
from functools import partial

from tasks import helpers
from tasks.helpers import Shape, unused
from tasks.lib.engine import Build, artifact
from tasks.lib.paths import BUILD

TABLE = {"a": 1}
STEPS = [helpers.step]


def plain(b: Build) -> None:
    """Use nothing."""
    b.out.write_text("plain")


def table(b: Build) -> None:
    b.out.write_text(str(TABLE))


def by_module(b: Build) -> None:
    b.out.write_text(helpers.shout("x"))


def by_list(b: Build) -> None:
    for step in STEPS:
        b.out.write_text(step())


def by_class(b: Build) -> None:
    b.out.write_text(Shape().area())


def lazily(b: Build) -> None:
    from tasks.helpers import late

    b.out.write_text(late())


def flavoured(flavour: str, b: Build) -> None:
    b.out.write_text(flavour)


def task_all():
    for build in (plain, table, by_module, by_list, by_class, lazily):
        yield artifact(build.__name__, doc="", build=build, targets=[BUILD / build.__name__])
    yield artifact("flavoured", doc="", build=partial(flavoured, "sweet"), targets=[BUILD / "flavoured"])
    yield artifact("values", doc="", build=plain, targets=[BUILD / "values"],
                   values={"os": {"version": "1"}, "packages": [{"name": "bash", "version": "5"}]})
'''
HELPERS = '''
"""Helpers."""

LOUD = "!"


def shout(text: str) -> str:
    """Docstring."""
    return text + LOUD  # comment


def step() -> str:
    return "step"


class Shape:
    def area(self) -> str:
        return "4"


def late() -> str:
    return shout("late")


def unused() -> None:
    pass
'''
EDITS = {
    ("helpers", 'LOUD = "!"', 'LOUD = "?"'): {"by_module", "lazily"},
    ("helpers", "return text + LOUD", "return LOUD + text"): {"by_module", "lazily"},
    ("helpers", 'return "step"', 'return "pets"'): {"by_list"},
    ("helpers", 'return "4"', 'return "5"'): {"by_class"},
    ("helpers", 'shout("late")', 'shout("soon")'): {"lazily"},
    ("helpers", "    pass", "    return"): set(),
    ("helpers", '"""Docstring."""', '"""Another."""'): set(),
    ("helpers", "# comment", "# other"): set(),
    ("helpers", "def step() -> str:", "\n\ndef step() -> object:"): set(),
    ("recipes", '{"a": 1}', '{"a": 2}'): {"table"},
    ("recipes", '"plain")', '"other")'): {"plain", "values"},
    ("recipes", '"sweet"', '"sour"'): {"flavoured"},
    ("recipes", '"version": "1"', '"version": "2"'): {"values"},
    ("recipes", '"version": "5"', '"version": "6"'): {"values"},
    ("recipes", "[helpers.step]", "[helpers.late]"): {"by_list"},
}


@pytest.fixture
def built(project: Project) -> Project:
    project.write("tasks/helpers.py", HELPERS)
    project.write("tasks/recipes.py", RECIPES)
    project.dodo("from tasks.recipes import task_all")
    project.run()
    return project


def stale(project: Project) -> set[str]:
    lines = project.run("list", "--status").stdout.splitlines()
    return {line.split()[1] for line in lines if line.split()[:1] == ["stale"]}


def test_exactly_the_dependent_tasks_are_stale(built: Project) -> None:
    for (module, old, new), expected in EDITS.items():
        text = {"recipes": RECIPES, "helpers": HELPERS}[module]
        assert old in text
        built.write(f"tasks/{module}.py", text.replace(old, new))
        assert stale(built) == expected, (old, new)
        built.write(f"tasks/{module}.py", text)
    assert stale(built) == set()


def test_why_names_the_function_and_the_value(built: Project) -> None:
    built.write("tasks/helpers.py", HELPERS.replace('"!"', '"?"'))
    built.write("tasks/recipes.py", RECIPES.replace('"version": "5"', '"version": "6"'))
    assert "recipe tasks.helpers:LOUD changed" in built.run("why", "lazily").stdout
    out = built.run("why", "values").stdout
    assert "value packages.bash.version changed" in out
    assert '"5" -> "6"' in out


def test_edit_within_a_second_that_keeps_the_size(built: Project) -> None:
    """Python's own rule (seconds and size) would run the old code, and the record would say the new."""
    for word in ("other", "third", "again"):
        file = built.top / "tasks/recipes.py"
        before = file.stat()
        built.write("tasks/recipes.py", RECIPES.replace('"plain")', f'"{word}")'))
        os.utime(file, ns=(before.st_atime_ns, before.st_mtime_ns))
        built.run("plain")
        assert built.read("build/plain") == word


def test_closure_is_refused(project: Project) -> None:
    project.dodo("""
def task_a():
    def inner(b): pass
    return artifact("a", doc="", build=inner, targets=[BUILD / "a"])
""")
    assert "not a module-level function" in project.run("list", status=1).stderr


PACKAGE = {
    "agent/__init__.py": "",
    "agent/shape.py": "SIZE = 1\n",
    "tasks/kit/__init__.py": "from .inner import *\n",
    "tasks/kit/inner.py": 'WORD = "w"\n\n\ndef spell():\n    return WORD\n',
    "tasks/kit/registry.py": """
HANDLERS = []


def register(function):
    HANDLERS.append(function)
    return function
""",
    "tasks/kit/handlers.py": """
from .registry import register


@register
def first():
    return "first"


def second():
    return "second"


register(second)
""",
    "tasks/recipes.py": """
from agent import shape
from tasks.lib.engine import Build, artifact
from tasks.lib.paths import BUILD

from . import kit
from .kit import handlers, registry
from .kit import *


def outside(b: Build) -> None:
    b.out.write_text(str(shape.SIZE))


def by_star(b: Build) -> None:
    b.out.write_text(spell())


def by_package(b: Build) -> None:
    b.out.write_text(kit.spell())


def registered(b: Build) -> None:
    b.out.write_text("".join(handler() for handler in registry.HANDLERS))


def task_all():
    for build in (outside, by_star, by_package, registered):
        yield artifact(build.__name__, doc="", build=build, targets=[BUILD / build.__name__])
""",
}


def test_code_is_followed_whichever_way_it_is_imported(project: Project) -> None:
    for path, text in PACKAGE.items():
        project.write(path, text)
    project.dodo("from tasks.recipes import task_all")
    project.run()
    assert project.read("build/registered") == "firstsecond"
    everything = {"outside", "by_star", "by_package", "registered"}
    edits = {
        ("agent/shape.py", "1", "2"): {"outside"},
        ("tasks/kit/inner.py", '"w"', '"v"'): {"by_star", "by_package"},
        ("tasks/kit/registry.py", "HANDLERS.append(function)", "HANDLERS.insert(0, function)"): everything,
        ("tasks/kit/handlers.py", 'return "first"', 'return "fist"'): everything,
        ("tasks/kit/handlers.py", 'return "second"', 'return "recond"'): everything,
    }
    for (path, old, new), expected in edits.items():
        project.write(path, PACKAGE[path].replace(old, new))
        assert stale(project) == expected, (path, new)
        project.write(path, PACKAGE[path])
    assert stale(project) == set()


@pytest.mark.parametrize("line", ["from tasks.no import x", "from tasks import x", "import agent.x as x"])
def test_an_import_of_what_the_checkout_does_not_have_is_refused(project: Project, line: str) -> None:
    project.write("agent/__init__.py", "")
    project.dodo(f"""
def late(b: Build) -> None:
    {line}
    x()

def task_a():
    return artifact("a", doc="", build=late, targets=[BUILD / "a"])
""")
    assert "correct the import" in project.run("a", status=None).stdout
