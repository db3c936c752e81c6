"""`facette ingest`."""

from __future__ import annotations

import json
import os
from argparse import ArgumentParser as Parser
from argparse import Namespace as Arguments
from pathlib import Path

from pipeline.cli.console import progress_bar, say
from pipeline.errors import InputError
from pipeline.text import count


def add_arguments(parser: Parser) -> None:
    """Add the flags of `ingest`."""
    from pipeline.data.config import DataConfig
    from pipeline.settings import add_flags, positive

    parser.add_argument(
        "source", help="folder with a sub-folder for each class, a manifest, an archive, arrays, or a known set"
    )
    parser.add_argument("target", help="data set file to create, such as faces.h5")
    parser.add_argument(
        "--append", action="store_true", help="add new images to the data set TARGET; the old keep their splits"
    )
    parser.add_argument("--overwrite", action="store_true", help="replace the data set TARGET")
    parser.add_argument("--dry-run", action="store_true", help="show what would happen, and write nothing")
    parser.add_argument("--rejected", metavar="FILE", help="write the rejected files and why, as CSV")
    parser.add_argument(
        "--jobs", type=positive, default=os.cpu_count() or 1, help="decoding threads (default: all cores)"
    )
    parser.add_argument("--workers", type=positive, metavar="N", help="decode in N processes instead of threads")
    parser.add_argument("--dask", metavar="ADDRESS", help="decode on a Dask cluster, such as tcp://scheduler:8786")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_flags(parser, DataConfig, "data")


def run(arguments: Arguments) -> int:
    """Turn images into a data set file."""
    from pipeline.cli.describe import describe_ingest
    from pipeline.data.config import DataConfig
    from pipeline.files.store import store_path
    from pipeline.images.decode import quiet_decoders
    from pipeline.ingestion.ingest import IngestOptions, ingest
    from pipeline.ingestion.report import write_rejected
    from pipeline.settings import config_from_flags
    from pipeline.workers import choose_workers

    for one, other in (("workers", "dask"), ("append", "overwrite")):
        if getattr(arguments, one) and getattr(arguments, other):
            raise InputError(f"--{one} and --{other} exclude each other; leave one out")
    try:
        with progress_bar("Reading images", "images") as progress:
            report = ingest(
                arguments.source,
                arguments.target,
                config_from_flags(DataConfig, arguments, {}),
                IngestOptions(append=arguments.append, overwrite=arguments.overwrite, dry_run=arguments.dry_run),
                workers=choose_workers(arguments.jobs, arguments.workers, arguments.dask, quiet_decoders),
                progress=progress,
            )
    except KeyboardInterrupt:
        kept = store_path(Path(arguments.target)).exists()
        say("Interrupted; the same command resumes" if kept else "Interrupted; nothing is kept")
        return 130
    if report.resumed:
        say(f"{count(report.resumed, 'file')} had been read before an interruption, and were not read again")
    if arguments.rejected:
        write_rejected(report, arguments.rejected)
    print(json.dumps(report.to_dict(), indent=2) if arguments.json else describe_ingest(report))
    if arguments.dry_run and not arguments.json:
        print("Nothing was written: this was a dry run")
    elif not arguments.json:
        print(f"The data set is in {arguments.target}. Train on it with:  facette train {arguments.target}")
    return 3 if report.rejected else 0
