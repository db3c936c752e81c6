"""Where Python looks for modules: never in the folder in which a command is started.

That folder may be full of files from elsewhere, as a folder of downloads is, and ``import random`` would run a
``random.py`` in it. This module itself imports only what Python has loaded when it starts.
"""

from __future__ import annotations

import os
import sys

HOME = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))  # noqa: PTH100, PTH120
"""The folder that holds app.py and the packages."""


def leave_out_working_directory() -> None:
    """Import nothing from the working directory from now on, in this process and in those that it starts.

    ``python -m`` and ``python -c`` put it first, and an empty entry of PYTHONPATH means it. It stays if Facette itself
    lies there, as for its developers, or the modules of Python.
    """
    os.environ["PYTHONSAFEPATH"] = "1"  # for worker processes, and for the server of the app
    if "PYTHONPATH" in os.environ:
        os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, os.environ["PYTHONPATH"].split(os.pathsep)))
    here = _working_directory()
    if here not in (HOME, os.path.dirname(os.__file__)) and os.path.basename(here) != "site-packages":  # noqa: PTH119, PTH120
        sys.path[:] = [folder for folder in sys.path if folder not in ("", here)]


def _working_directory() -> str:
    try:
        return os.getcwd()  # noqa: PTH109
    except OSError:  # it was removed
        return ""
