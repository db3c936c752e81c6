"""Starting the app."""

import socket
import tomllib
from pathlib import Path

import pytest

from pipeline.errors import InputError
from pipeline.serve import SERVER_OPTIONS, THEME, server_command

pytest.importorskip("streamlit")


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_a_number_that_is_no_port_is_an_error(port):
    with pytest.raises(InputError, match="give 1 to 65535"):
        server_command(None, "runs", port, browser=False)


def test_the_server_is_reached_from_this_machine_only():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    words = server_command("m.h5", "runs", port, browser=False)
    assert "--server.address=localhost" in words
    assert "--server.enableXsrfProtection=true" in words
    assert "--browser.gatherUsageStats=false" in words
    assert words[-2:] == ["--model", "m.h5"]


def flattened(settings, prefix=""):
    for name, value in settings.items():
        if isinstance(value, dict):
            yield from flattened(value, f"{prefix}{name}.")
        else:
            text = str(value).lower() if isinstance(value, bool) else str(value)
            yield prefix + name, value if isinstance(value, list) else text


def test_the_app_looks_and_serves_in_the_same_way_wherever_it_is_installed():
    stated = dict(flattened(tomllib.loads((Path(__file__).parents[2] / ".streamlit" / "config.toml").read_text())))
    assert {name: value for name, value in stated.items() if name.startswith("theme.")} == THEME
    others = {name: value for name, value in stated.items() if not name.startswith("theme.")}
    assert others.items() <= SERVER_OPTIONS.items()


def test_streamlit_takes_every_option_of_the_theme():
    from streamlit import config

    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    words = server_command(None, "runs", port, browser=False)
    for name, value in THEME.items():
        assert name in config.get_config_options()
        assert all(f"--{name}={one}" in words for one in (value if isinstance(value, list) else [value]))
