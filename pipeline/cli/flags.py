"""Options that several commands have in common."""

from __future__ import annotations

import os
from argparse import ArgumentParser as Parser
from argparse import Namespace as Arguments
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from pipeline.errors import InputError
from pipeline.files.names import escape
from pipeline.invocation import command_line

if TYPE_CHECKING:
    from pipeline.classifier import ImageClassifier
    from pipeline.workers import Workers


def add_worker_flags(parser: Parser, work: str) -> None:
    """Add the options that say who works: threads, processes or a cluster. `work` is a verb, such as "decode"."""
    from pipeline.settings import positive

    cores = os.cpu_count() or 1
    parser.add_argument(
        "--jobs", type=positive, metavar="N", default=cores, help=f"{work} in N threads (default: {cores}, all cores)"
    )
    parser.add_argument("--workers", type=positive, metavar="N", help=f"{work} in N processes instead of threads")
    parser.add_argument("--dask", metavar="ADDRESS", help=f"{work} on a Dask cluster, such as tcp://scheduler:8786")


def chosen_workers(arguments: Arguments) -> Workers:
    """Return the workers that the options of `add_worker_flags` ask for.

    Raises
    ------
    InputError
        When both processes and a cluster are asked for.
    """
    from pipeline.images.decode import quiet_decoders
    from pipeline.workers import choose_workers

    exclude_each_other(arguments, "workers", "dask")
    return choose_workers(arguments.jobs, arguments.workers, arguments.dask, quiet_decoders)


def load_model(model: str, images: Sequence[str], command: str) -> ImageClassifier:
    """Load the model of a command that takes a model and images; notice if they were given in the wrong order.

    Raises
    ------
    InputError
        When one of the images is the model.
    FormatError, FileNotFoundError
        See `ImageClassifier.load`.
    """
    from pipeline.classifier import ImageClassifier, is_model

    if not is_model(model):
        swapped = next((text for text in images if is_model(text)), None)
        if swapped:
            others = [model, *(text for text in images if text != swapped)]
            raise InputError(
                f"{escape(model)} is {_what_is_at(model)}, and {escape(swapped)} is a model; give the model first:  "
                f"{command_line(command, escape(swapped), *map(escape, others))}"
            )
    return ImageClassifier.load(model)


def _what_is_at(path: str) -> str:
    """Return in a few words what a path is that is no model."""
    from model.storage.kinds import own_kind

    if Path(path).is_dir():
        return own_kind(path) or "a folder of images"
    if Path(path).exists():
        return own_kind(path) or "no model"
    return "no file"


def exclude_each_other(arguments: Arguments, one: str, other: str) -> None:
    """Refuse two options that are given together.

    Raises
    ------
    InputError
        The message names both.
    """
    if getattr(arguments, one) and getattr(arguments, other):
        flags = [f"--{name.replace('_', '-')}" for name in (one, other)]
        raise InputError(f"{' and '.join(flags)} exclude each other; leave one out")
