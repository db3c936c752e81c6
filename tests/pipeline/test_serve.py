"""Starting the app."""

import socket

import pytest

from pipeline.cli.main import main
from pipeline.errors import InputError
from pipeline.serve import command

pytest.importorskip("streamlit")


@pytest.fixture
def taken():
    """A port that somebody listens on."""
    with socket.socket() as server:
        server.bind(("localhost", 0))
        server.listen()
        yield server.getsockname()[1]


def test_a_port_that_is_taken_is_told_with_a_way_out(taken, capsys):
    assert main(["app", "--port", str(taken), "--no-browser"]) == 2
    said = capsys.readouterr().err
    assert f"http://localhost:{taken}" in said
    assert "--port" in said


@pytest.mark.parametrize("port", [0, -1, 65536])
def test_what_is_no_port_is_refused(port):
    with pytest.raises(InputError, match="give 1 to 65535"):
        command(None, "runs", port, browser=False)


def test_the_server_is_reached_from_this_machine_only():
    with socket.socket() as free:
        free.bind(("localhost", 0))
        port = free.getsockname()[1]
    words = command("m.h5", "runs", port, browser=False)
    assert "--server.address=localhost" in words
    assert "--server.enableXsrfProtection=true" in words
    assert "--browser.gatherUsageStats=false" in words
    assert words[-2:] == ["--model", "m.h5"]
