"""The configuration of a node: one YAML file, read, checked, and turned into the files that the boot stages
read.

No module here knows a path: names of files and their bytes come in as arguments. The standard library and
PyYAML alone, and of those what starts quickly: `typing`, `dataclasses` and `pathlib` cost a booting node more
than the work itself (docs/design.md).
"""
