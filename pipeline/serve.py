"""Start the Streamlit app as a local server."""

from __future__ import annotations

import importlib.util
import os
import socket
import subprocess
import sys
from pathlib import Path

from pipeline.errors import InputError, MissingExtra
from pipeline.files.search_path import HOME

MAX_UPLOAD_MEGABYTES = 25

# What must hold wherever the app is installed. Streamlit reads .streamlit/config.toml, which says the same for
# `streamlit run app.py`, in a clone only; a test compares the two.
SERVER_OPTIONS = {
    "server.address": "localhost",
    "server.enableXsrfProtection": "true",
    "server.maxUploadSize": str(MAX_UPLOAD_MEGABYTES),
    "browser.gatherUsageStats": "false",
    "client.showErrorDetails": "none",
    "client.toolbarMode": "minimal",
    "server.fileWatcherType": "none",  # the code of an installed program does not change
}

THEME = {
    "theme.baseRadius": "0.4rem",
    "theme.paddingTop": "2.5rem",
    "theme.headingFontSizes": ["2rem", "1.6rem", "1.15rem"],
    "theme.light.primaryColor": "#0060a0",
    "theme.light.backgroundColor": "#ffffff",
    "theme.light.secondaryBackgroundColor": "#f3f5f7",
    "theme.light.textColor": "#1c2430",
    "theme.dark.primaryColor": "#56b4e9",
    "theme.dark.backgroundColor": "#12161c",
    "theme.dark.secondaryBackgroundColor": "#1c222b",
    "theme.dark.textColor": "#e8ebef",
}


def server_command(model: str | None, runs: str, port: int, *, browser: bool) -> list[str]:
    """Return the command line that serves the app on this machine.

    Raises
    ------
    MissingExtra, InputError
        If Streamlit is not installed; if the port is not valid, or not free.
    """
    if importlib.util.find_spec("streamlit") is None:
        raise MissingExtra("the app", "app")
    if not 0 < port < 65536:
        raise InputError(f"--port {port}: is not a port; give 1 to 65535")
    _check_free(port)
    options = {**SERVER_OPTIONS, "server.port": port, "server.headless": str(not browser).lower()}
    words = [sys.executable, "-P", "-m", "streamlit", "run", str(Path(HOME) / "app.py")]  # -P: not from this folder
    for name, value in {**options, **THEME}.items():  # a list is given as an option for each of its values
        words += [f"--{name}={one}" for one in (value if isinstance(value, list) else [value])]
    words += ["--", "--folder", os.getcwd(), "--runs", str(Path(runs))]  # noqa: PTH109
    return words + (["--model", str(model)] if model else [])


def _check_free(port: int) -> None:
    with socket.socket() as probe:
        if os.name == "posix":  # ignores a server that has just ended; on other systems the option means something else
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("localhost", port))
        except PermissionError:
            raise InputError(f"--port {port}: this user has no permission to use it; give a port above 1023") from None
        except OSError:
            raise InputError(
                f"port {port} is in use, perhaps by another Facette: open http://localhost:{port}, or choose another "
                f"port, such as  --port {port % 65535 + 1}"
            ) from None


def launch(model: str | None, runs: str, port: int, *, browser: bool) -> int:
    """Serve the app until it is interrupted; return its exit code.

    The server starts in the folder of app.py, because Streamlit reads .streamlit/config.toml and secrets.toml in the
    folder it starts in, and these settings could let other sites in. The app itself returns to the user's folder.

    On POSIX systems this process becomes the server, so that signals reach the server; then this function does not
    return.

    Raises
    ------
    MissingExtra, InputError
        As `server_command`.
    """
    words = server_command(model, runs, port, browser=browser)
    if os.name == "posix":
        sys.stdout.flush()
        sys.stderr.flush()
        os.chdir(HOME)
        os.execv(words[0], words)
    try:
        return subprocess.run(words, check=False, cwd=HOME).returncode
    except KeyboardInterrupt:
        return 130
