"""Measure how long the program takes to start, and how many modules it loads.

`facette --help` and `facette predict` on one image are compared with Python that does nothing, and with importing
libraries that people would use instead. The commands take turns; times are medians.

    python benchmarks/startup.py
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from PIL import Image

from model.config import NetworkConfig, TrainingConfig
from model.parameters import initialize
from pipeline.classifier import ImageClassifier
from pipeline.images.geometry import Geometry
from pipeline.preprocess import Preprocessor

COUNT = "; import sys; print('modules', len(sys.modules), file=sys.stderr)"


def facette(*arguments: str) -> str:
    """Return a script that does the same as the command."""
    return f"from pipeline.cli.main import main\ntry:\n    main({list(arguments)})\nexcept SystemExit:\n    pass\n0"


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=11)
    options = parser.parse_args()
    scripts = {"Python alone": "0", "facette --help": facette("--help")}
    with tempfile.TemporaryDirectory() as folder:
        geometry = Geometry(height=32, width=32, color="rgb", fit="pad")
        network = NetworkConfig(hidden=(512, 256), head="softmax", batch_norm=False)
        parameters = initialize((geometry.n_x, 512, 256, 2), network, np.random.default_rng(0))
        model, image = Path(folder, "model.h5"), Path(folder, "image.jpg")
        ImageClassifier(Preprocessor(geometry), network, parameters, ("ant", "bee"), TrainingConfig()).save(model)
        Image.effect_noise((640, 480), 60).convert("RGB").save(image)
        scripts["facette predict, one image"] = facette("predict", str(model), str(image))
        for name in ("numpy", "sklearn.neural_network", "onnxruntime", "torch"):
            if importlib.util.find_spec(name.partition(".")[0]):
                scripts[f"import {name}"] = f"import {name}"
        times: dict[str, list[float]] = {name: [] for name in scripts}
        modules = {}
        for _ in range(options.repeats + 1):  # the first time fills the system's cache
            for name, script in scripts.items():
                begin = time.perf_counter()
                done = subprocess.run(
                    [sys.executable, "-c", script + COUNT], capture_output=True, text=True, check=True
                )
                times[name].append(time.perf_counter() - begin)
                modules[name] = done.stderr.split()[-1]
    print(f"Medians of {options.repeats}; Python {sys.version.split()[0]}, NumPy {np.__version__}\n")
    print("| Process | Seconds | Modules |\n|---|--:|--:|")
    for name, seconds in times.items():
        print(f"| {name} | {statistics.median(seconds[1:]):.3f} | {modules[name]} |")


if __name__ == "__main__":
    main()
