"""The command `app`: what it refuses before a server starts."""

from __future__ import annotations

import socket

import pytest

from pipeline.cli.main import main

pytest.importorskip("streamlit")


def test_a_port_in_use_is_reported_with_a_way_out(capsys):
    with socket.socket() as server:
        server.bind(("localhost", 0))
        server.listen()
        taken = server.getsockname()[1]
        assert main(["app", "--port", str(taken), "--no-browser"]) == 2
    err = capsys.readouterr().err
    assert f"http://localhost:{taken}" in err
    assert "--port" in err


def test_a_wrong_model_is_reported_in_the_terminal(facette, tmp_path):
    (tmp_path / "model.h5").write_text("no HDF5")
    code, _, err = facette("app", "model.h5", "--no-browser")
    assert code == 2
    assert "model.h5" in err
