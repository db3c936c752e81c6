"""The app runs nothing of the folder in which it is started, and takes no settings of its server from there."""

from __future__ import annotations

import shutil
import urllib.error
import urllib.request

import pytest

pytest.importorskip("streamlit")
websockets = pytest.importorskip("websockets.sync.client")

CONFIG = """
[server]
baseUrlPath = "elsewhere"
enableCORS = false
corsAllowedOrigins = ["http://evil.example"]
enableStaticServing = true
[browser]
serverAddress = "evil.example"
"""


def draw_page(url):
    """Ask for a page as a browser does; return all that the server answers."""
    from streamlit.proto.BackMsg_pb2 import BackMsg
    from streamlit.proto.ForwardMsg_pb2 import ForwardMsg

    received = b""
    with websockets.connect(f"{url.replace('http', 'ws')}/_stcore/stream", subprotocols=["streamlit"]) as socket:
        socket.send(BackMsg(rerun_script={"query_string": ""}).SerializeToString())
        is_drawn = False
        while not is_drawn:
            message = socket.recv(timeout=60)
            received += message
            is_drawn = ForwardMsg.FromString(message).WhichOneof("type") == "script_finished"
    return received


@pytest.mark.slow
def test_the_app_runs_nothing_of_the_folder_it_is_started_in(serve, plant, ran, run_path, tmp_path):
    folder = plant(tmp_path / "downloads", ["random", "numpy", "model", "app", "sitecustomize", "streamlit", "click"])
    shutil.copytree(run_path.parent, folder / "runs")
    (folder / ".streamlit").mkdir()
    (folder / ".streamlit" / "config.toml").write_text(CONFIG)
    (folder / ".streamlit" / "secrets.toml").write_text("planted = 'secret'")
    with serve(folder) as url:
        page = draw_page(url)
        with pytest.raises(urllib.error.HTTPError):
            urllib.request.urlopen(f"{url}/elsewhere/_stcore/health")
    assert b"faces" in page  # the run in the folder
    assert b"bug in Facette" not in page
    assert ran(folder) == []
