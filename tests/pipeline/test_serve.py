"""Starting the app."""

import socket

import pytest

from pipeline.errors import InputError
from pipeline.serve import server_command

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
