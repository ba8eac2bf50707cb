"""The builder's command line; `./doit` runs this file with the Python of its environment."""

import signal
import sys
from pathlib import Path

signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback from Ctrl-C while modules are imported
TOP = Path(__file__).resolve().parents[1]
sys.path[0] = str(TOP)

from tasks.imports import install  # noqa: E402

install(TOP)

from tasks.lib.engine.main import main  # noqa: E402

if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
