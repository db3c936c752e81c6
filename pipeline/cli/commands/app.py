"""`facette app`: the Streamlit app in a browser."""

from __future__ import annotations

from argparse import ArgumentParser as Parser
from argparse import Namespace as Arguments

EXAMPLES = (
    ("", "open the newest model in the folder runs"),
    ("runs/demo-faces --port 8600", "open one model, on another port"),
)


def add_arguments(parser: Parser) -> None:
    """Add the flags of `app`."""
    parser.add_argument(
        "model",
        nargs="?",
        help="a model.h5, or the folder of a run, to start with (default: the newest in the folder of runs)",
    )
    parser.add_argument(
        "--runs", metavar="FOLDER", default="runs", help="folder of runs to choose from (default: runs)"
    )
    parser.add_argument("--port", type=int, metavar="N", default=8501, help="port of the local server (default: 8501)")
    parser.add_argument("--no-browser", action="store_true", help="do not open a browser window")


def run(arguments: Arguments) -> int:
    """Serve the app."""
    from pipeline.serve import launch

    if arguments.model:
        from pipeline.classifier import ImageClassifier

        ImageClassifier.load(arguments.model)  # so that a wrong file is reported here, not in the browser
    return launch(arguments.model, arguments.runs, arguments.port, browser=not arguments.no_browser)
