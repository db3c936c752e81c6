"""`facette ingest`."""

from __future__ import annotations

import json
from argparse import ArgumentParser as Parser
from argparse import Namespace as Arguments
from pathlib import Path

from pipeline.cli.console import print_result, progress_clock, say
from pipeline.cli.flags import add_worker_flags, chosen_workers, exclude_each_other
from pipeline.invocation import command_line
from pipeline.text import count

EXAMPLES = (
    (
        "data/faces faces.h5 --size 32 --color gray",
        "write all images into one file, with a size and colour of your choice",
    ),
    ("data/faces faces.h5 --dry-run --overwrite", "only say what would become of every file"),
    ("digits digits.h5", "take the handwritten digits of scikit-learn"),
)


def add_arguments(parser: Parser) -> None:
    """Add the flags of `ingest`."""
    from pipeline.data.config import DataConfig
    from pipeline.settings import add_flags

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
    add_worker_flags(parser, "decode")
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    add_flags(parser, DataConfig, "data")


def run(arguments: Arguments) -> int:
    """Turn images into a data set file."""
    from pipeline.cli.describe import describe_ingest
    from pipeline.data.config import DataConfig
    from pipeline.files.store import store_path
    from pipeline.ingestion.ingest import IngestOptions, ingest
    from pipeline.ingestion.report import write_rejected
    from pipeline.settings import config_from_flags

    exclude_each_other(arguments, "append", "overwrite")
    workers = chosen_workers(arguments)
    try:
        with progress_clock("Reading images", "images") as progress:
            report = ingest(
                arguments.source,
                arguments.target,
                config_from_flags(DataConfig, arguments, {}),
                IngestOptions(append=arguments.append, overwrite=arguments.overwrite, dry_run=arguments.dry_run),
                workers=workers,
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
    if arguments.json:
        print(json.dumps(report.to_dict(), indent=2))
        return 3 if report.rejected else 0
    print_result(describe_ingest(report))
    if arguments.dry_run:
        print_result("Nothing was written: this was a dry run")
    else:
        training = command_line("train", arguments.target)
        print_result(f"The data set is in {arguments.target}. Train on it with:  {training}")
    return 3 if report.rejected else 0
