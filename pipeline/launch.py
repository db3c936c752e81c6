"""Starts the Streamlit app in a process of its own."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from pipeline.errors import MissingExtra


def launch(model: str | None, runs: str, port: int, *, browser: bool) -> int:
    """Serve the app on this machine until it is interrupted; return its exit code.

    Raises
    ------
    MissingExtra
        When Streamlit is not installed.
    """
    app = importlib.util.find_spec("app")
    if importlib.util.find_spec("streamlit") is None or app is None or app.origin is None:
        raise MissingExtra("the app", "app")
    options = {
        "server.port": port,
        "server.address": "localhost",
        "server.headless": str(not browser).lower(),
        "browser.gatherUsageStats": "false",
    }
    command = [sys.executable, "-m", "streamlit", "run", app.origin]
    command += [f"--{name}={value}" for name, value in options.items()]
    command += ["--", "--runs", str(Path(runs))]
    command += ["--model", str(model)] if model else []
    try:
        return subprocess.run(command, check=False).returncode
    except KeyboardInterrupt:
        return 130
