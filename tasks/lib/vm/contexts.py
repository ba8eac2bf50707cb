"""A cluster as a context of the file that kubectl uses, beside whatever else is in that file.

Format: https://kubernetes.io/docs/concepts/configuration/organize-cluster-access-kubeconfig, kind Config, v1.
The file's nodes are kept rather than their values, so that what is not ours means the same to every reader of
YAML; comments go, as they do when kubectl writes.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from pathlib import Path

import yaml
from yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from tasks.lib.errors import BuildError

NAME = "kubesolo-dev"
EMPTY = "apiVersion: v1\nkind: Config\n"
SECTIONS = ("clusters", "users", "contexts")
# kubectl's files have certificates on one line.
UNBROKEN = 1 << 30


def default_file(environment: Mapping[str, str]) -> Path:
    """The file that kubectl writes to: of those in KUBECONFIG the first that is there, else the last."""
    named = [Path(word).expanduser() for word in environment.get("KUBECONFIG", "").split(":") if word]
    if not named:
        return Path(environment.get("HOME", "~")).expanduser() / ".kube" / "config"
    return next((path for path in named if path.exists()), named[-1])


def merge(path: Path, kubeconfig: str, name: str = NAME) -> bool:
    """Make the cluster of `kubeconfig` the context `name` of the file, in which nothing else is changed.

    Returns whether it is the current context; it becomes that where there was none. The file is replaced as a
    whole, readable by its owner alone. Raises BuildError, with the file untouched, when it is no kubeconfig.
    """
    path = path.resolve()
    try:
        before = path.read_text(encoding="utf-8") if path.exists() else ""
        root = compose(before if before.strip() else EMPTY)
        for section, value in entries(compose(kubeconfig), name).items():
            put_entry(root, section, value, name)
    except (OSError, ValueError, yaml.YAMLError) as error:
        what = " ".join(str(error).split())
        raise BuildError(f"{path} is no kubeconfig: {what}", "mend it, or name another file") from error
    current = value_of(root, "current-context")
    if not isinstance(current, ScalarNode) or current.value in ("", "null", "~"):
        put(root, "current-context", node(name))
        current = node(name)
    spread(root, set())
    write(path, yaml.serialize(root, Dumper=yaml.SafeDumper, width=UNBROKEN))
    return str(current.value) == name


def compose(text: str) -> MappingNode:
    """The mapping that a file is; raises YAMLError or ValueError for what is none."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    if not isinstance(root, MappingNode):
        raise ValueError("it is not a mapping")
    kind = value_of(root, "kind")
    if kind is not None and kind.value != "Config":
        raise ValueError(f"its kind is {kind.value}")
    return root


def entries(cluster: MappingNode, name: str) -> dict[str, Node]:
    """The one cluster and user of a kubeconfig, and a context of both, by section."""
    found: dict[str, Node] = {}
    for section in SECTIONS[:2]:
        rows = value_of(cluster, section)
        inner = (
            value_of(rows.value[0], section[:-1]) if isinstance(rows, SequenceNode) and rows.value else None
        )
        if inner is None:
            raise ValueError(f"the node's own has no {section}")
        found[section] = inner
    found["contexts"] = node({"cluster": name, "user": name})
    return found


def put_entry(root: MappingNode, section: str, value: Node, name: str) -> None:
    """Make an entry the last of its section, in the place of one with the same name."""
    rows = value_of(root, section)
    if rows is None or (isinstance(rows, ScalarNode) and rows.tag.endswith(":null")):
        rows = node([])
        put(root, section, rows)
    if not isinstance(rows, SequenceNode) or not all(isinstance(row, MappingNode) for row in rows.value):
        raise ValueError(f"{section} is not a list of mappings")
    entry = node({"name": name})
    put(entry, section[:-1], value)
    rows.value = [*(row for row in rows.value if not is_named(row, name)), entry]


def is_named(row: Node, name: str) -> bool:
    """Whether an entry has this name."""
    found = value_of(row, "name")
    return found is not None and found.value == name


def value_of(mapping: Node, key: str) -> Node | None:
    """The value of a key."""
    return next((value for name, value in mapping.value if name.value == key), None)


def put(mapping: Node, key: str, value: Node) -> None:
    """Set a key, in its place or as the last one."""
    others = [(name, old) for name, old in mapping.value if name.value != key]
    mapping.value = [*others, (node(key), value)]


def node(value: object) -> Node:
    """The node of a value."""
    made = yaml.compose(yaml.safe_dump(value), Loader=yaml.SafeLoader)
    assert isinstance(made, Node)
    return made


def spread(part: Node, seen: set[int]) -> None:
    """One entry a line: between brackets, plain values such as times would have to be quoted."""
    if id(part) in seen or not isinstance(part, MappingNode | SequenceNode):
        return
    seen.add(id(part))
    part.flow_style = False
    for value in part.value:
        for child in value if isinstance(value, tuple) else (value,):
            spread(child, seen)


def write(path: Path, text: str) -> None:
    """Replace the file as a whole; raises BuildError when it can not be written."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        number, name = tempfile.mkstemp(prefix=f".{path.name}.", dir=path.parent)
        scratch = Path(name)
        try:
            with os.fdopen(number, "w", encoding="utf-8") as stream:
                stream.write(text)
                stream.flush()
                os.fsync(stream.fileno())
            scratch.replace(path)
        finally:
            scratch.unlink(missing_ok=True)
    except OSError as error:
        raise BuildError(f"{path} can not be written: {error.strerror}") from error
