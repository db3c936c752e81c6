"""The app: a router to the pages in `pipeline.pages`. Run ``facette app``, or ``streamlit run app.py``."""

import argparse
import logging
import sys
from functools import partial

import streamlit as st

from pipeline.images.decode import quiet_decoders
from pipeline.pages import classify, data, deeper_layers, first_layer, model
from pipeline.pages.playground import page
from pipeline.pages.widgets import markup, sidebar

# Of each page: how to draw it, its title, its icon, its place in the address.
PAGES = (
    (classify.render, "Classify", "image_search", ""),
    (first_layer.render, "First layer", "grid_view", "first-layer"),
    (deeper_layers.render, "Deeper layers", "layers", "deeper-layers"),
    (data.render, "Data", "photo_library", "data"),
    (model.render, "Model", "hub", "model"),
    (page.render, "Playground", "model_training", "playground"),
)


def main(argv: list[str]) -> None:
    """Draw the side bar and the page that the address asks for."""
    parser = argparse.ArgumentParser(prog="streamlit run app.py --")
    parser.add_argument("--runs", default="runs", help="folder of runs to choose from (default: runs)")
    parser.add_argument("--model", help="model.h5 to start with (default: the newest in runs)")
    arguments = parser.parse_args(argv)
    quiet_decoders()
    st.set_page_config(page_title="Facette", page_icon=markup.icon(), layout="wide")
    st.html(markup.STYLE)  # first, so that the browser fetches what draws images while the page is made
    st.logo(markup.LOGO, size="large")
    chosen = sidebar.choose(arguments.runs, arguments.model)
    pages = [
        st.Page(
            partial(render, chosen), title=title, icon=f":material/{icon}:", url_path=place or None, default=not place
        )
        for render, title, icon, place in PAGES
    ]
    st.navigation(pages).run()


try:
    main(sys.argv[1:])
except Exception:  # a mistake of the program: a sentence for the person, the traceback for the terminal
    logging.getLogger("facette").exception("the page failed")
    st.error(
        "Something went wrong on this page, and it is the program's fault. Reload the page; the terminal that runs "
        "the app says more.",
        icon=":material/error:",
    )
