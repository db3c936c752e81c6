"""``python -m pipeline.predict`` is the command ``facette predict``."""

import sys

from pipeline.cli.main import main

if __name__ == "__main__":
    sys.exit(main(["predict", *sys.argv[1:]]))
