"""The folders and links that every layer of the root begins with (FHS 3.0, merged /usr)."""

from __future__ import annotations

from tasks.lib.formats.tree import Tree

LINKS = {"bin": "usr/bin", "sbin": "usr/sbin", "lib": "usr/lib", "lib64": "usr/lib64", "usr/sbin": "bin"}
FOLDERS = {
    "boot": 0o755,
    "dev": 0o755,
    "etc": 0o755,
    "etc/kubesolo": 0o755,
    "home": 0o755,
    "mnt": 0o755,
    "mnt/data": 0o755,
    "opt": 0o755,
    "opt/cni": 0o755,
    "opt/cni/bin": 0o755,
    "proc": 0o555,
    "root": 0o700,
    "run": 0o755,
    "sys": 0o555,
    "tmp": 0o1777,
    "usr": 0o755,
    "usr/bin": 0o755,
    "usr/lib": 0o755,
    "usr/lib64": 0o755,
    "usr/local": 0o755,
    "usr/share": 0o755,
    "var": 0o755,
    "var/lib": 0o755,
    "var/lib/containerd": 0o710,
    "var/lib/kubelet": 0o700,
    "var/lib/kubesolo": 0o700,
    "var/log": 0o755,
}
KEEP = ".keep"


def merged() -> Tree:
    """A tree with only the links of the merged /usr."""
    tree = Tree()
    for path, target in LINKS.items():
        tree.add_symlink(path, target)
    return tree


def skeleton() -> Tree:
    """A tree with only the skeleton.

    Each layer has all of it, as the upper layer's folders and links hide the modes of the lower one's.
    """
    tree = Tree()
    for path, mode in FOLDERS.items():
        tree.add_dir(path, mode)
    for path, target in LINKS.items():
        tree.add_symlink(path, target)
    return tree


def finish(tree: Tree) -> Tree:
    """Drop what only keeps empty folders in git, and restore the skeleton's modes."""
    for path in list(tree):
        if path.rpartition("/")[2] == KEEP:
            tree.remove(path)
    for path, mode in FOLDERS.items():
        if tree[path].kind == "dir":
            tree.chmod(path, mode)
    return tree
