"""``python -m pipeline.predict`` is the command ``facette predict``."""

import sys

if __name__ == "__main__":
    from pipeline.files.search_path import leave_out_working_directory

    leave_out_working_directory()  # before anything that could lie there is imported
    from pipeline.cli.main import main

    sys.exit(main(["predict", *sys.argv[1:]]))
