"""The app: a router to the pages in `pipeline.pages`. Run ``facette app``, or ``streamlit run app.py``."""

import argparse
import logging
import sys
from collections.abc import Callable
from functools import partial

import streamlit as st

from pipeline.pages import choice, classify, first_layer, model, train_demo


def main(argv: list[str]) -> None:
    """Draw the side bar and the page that the address asks for."""
    parser = argparse.ArgumentParser(prog="streamlit run app.py --")
    parser.add_argument("--runs", default="runs", help="folder of runs to choose from (default: runs)")
    parser.add_argument("--model", help="model.h5 to start with (default: the newest in runs)")
    arguments = parser.parse_args(argv)
    st.set_page_config(page_title="Facette", page_icon=":material/diamond:", layout="wide")
    chosen = choice.choose(arguments.runs, arguments.model)
    pages = [
        st.Page(
            partial(guarded, classify.render, chosen), title="Classify", icon=":material/image_search:", default=True
        ),
        st.Page(
            partial(guarded, first_layer.render, chosen),
            title="First layer",
            icon=":material/grid_view:",
            url_path="first-layer",
        ),
        st.Page(partial(guarded, model.render, chosen), title="Model", icon=":material/hub:", url_path="model"),
        st.Page(
            partial(guarded, train_demo.render, arguments.runs),
            title="Train a demo",
            icon=":material/model_training:",
            url_path="train",
        ),
    ]
    st.navigation(pages).run()


def guarded(render: Callable[..., None], *arguments: object) -> None:
    """Draw a page; a mistake of the program becomes a sentence here and a traceback in the terminal."""
    try:
        render(*arguments)
    except Exception:
        logging.getLogger("facette").exception("the page failed")
        st.error(
            "Something went wrong on this page, and it is the program's fault. Reload the page; the terminal that "
            "runs the app says more.",
            icon=":material/error:",
        )


main(sys.argv[1:])
