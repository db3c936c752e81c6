"""The app: a router to the pages in `pipeline.pages`. Run ``facette app``, or ``streamlit run app.py``."""

import argparse
import logging
import os
import sys
from functools import partial

import streamlit as st

import pipeline.pages.classify.page
import pipeline.pages.data.page
import pipeline.pages.deeper_layers
import pipeline.pages.first_layer
import pipeline.pages.model
import pipeline.pages.playground.page
from pipeline.images.decode import quiet_decoders
from pipeline.pages.widgets import markup, sidebar

# Each page: the function that draws it, its title, its icon, its path in the address.
PAGES = (
    (pipeline.pages.classify.page.render, "Classify", "image_search", ""),
    (pipeline.pages.first_layer.render, "First layer", "grid_view", "first-layer"),
    (pipeline.pages.deeper_layers.render, "Deeper layers", "layers", "deeper-layers"),
    (pipeline.pages.data.page.render, "Data", "photo_library", "data"),
    (pipeline.pages.model.render, "Model", "hub", "model"),
    (pipeline.pages.playground.page.render, "Playground", "model_training", "playground"),
)


def main(argv: list[str]) -> None:
    """Draw the sidebar and the page that the address asks for."""
    parser = argparse.ArgumentParser(prog="streamlit run app.py --")
    parser.add_argument("--folder", help="working folder, which other paths are relative to (default: where it starts)")
    parser.add_argument("--runs", default="runs", help="folder of runs to choose from (default: runs)")
    parser.add_argument("--model", help="model.h5 to start with (default: the newest in runs)")
    arguments = parser.parse_args(argv)
    if arguments.folder:
        os.chdir(arguments.folder)
    quiet_decoders()
    st.set_page_config(page_title="Facette", page_icon=markup.icon(), layout="wide")
    st.html(markup.STYLE)  # first, so that the browser loads the styles while the page is drawn
    st.logo(markup.LOGO, size="large")
    chosen = sidebar.choose(arguments.runs, arguments.model)
    pages = [
        st.Page(
            partial(render, chosen), title=title, icon=f":material/{icon}:", url_path=path or None, default=not path
        )
        for render, title, icon, path in PAGES
    ]
    st.navigation(pages).run()


try:
    main(sys.argv[1:])
except Exception:  # a bug: a message on the page, the traceback in the terminal
    logging.getLogger("facette").exception("the page failed")
    st.error(
        "This page failed because of a bug in Facette. Reload it; the terminal that runs the app shows the details.",
        icon=":material/error:",
    )
