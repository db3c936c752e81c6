"""The errors of the model can be imported at no cost, so that a command line can name them."""

import subprocess
import sys


def test_importing_the_errors_loads_nothing_heavy():
    script = "import sys, model.errors; print({'numpy', 'h5py'} & {*sys.modules})"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
