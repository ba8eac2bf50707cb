"""Compiles the Python files of a folder beside themselves, run by the Python that they are for.

What is made holds no time and is never compared with its source (PEP 552, unchecked).
"""

import py_compile
import sys
from pathlib import Path

folder = Path(sys.argv[1])
for path in sorted(folder.rglob("*.py")):
    py_compile.compile(
        str(path),
        cfile=f"{path}c",
        dfile=f"/{path.relative_to(folder)}",
        doraise=True,
        optimize=2,
        invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH,
    )
