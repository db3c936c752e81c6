"""Compare settings of `facette train` on one source of images, with the same splits and seeds.

    python benchmarks/recipe.py photos/ --compare pretrain=none pretrain=sparse_filtering --seeds 5

Each variant is a list of settings, name=value, separated by commas (hidden=1024,512,epochs=20 holds two). The others
are compared with the first; differences have their standard error. Choose by the validation columns, and look at the
test column once, at the end. Log loss is that of the validation images, before calibration.
"""

from __future__ import annotations

import argparse
import re
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from pipeline.data.config import DataConfig
from pipeline.evaluation.scores import score, split_probabilities
from pipeline.explanation.layers import score_first_layer
from pipeline.settings import CONFIGURATIONS, add_flags, config_from_flags
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe, RunConfig

KINDS = {"data": DataConfig, **CONFIGURATIONS}


def configurations(variant: str, seed: int, *, threads: int | None = 1) -> tuple[DataConfig, Recipe]:
    """Return the configurations that the settings of a variant stand for."""
    parser = argparse.ArgumentParser()
    for name, kind in KINDS.items():
        add_flags(parser, kind, name)
    settings = re.split(r",(?=[a-z])", variant) if variant else []
    flags = [argument for setting in settings for argument in _flag(*setting.split("="))]
    given = parser.parse_args(["--seed", str(seed), "--split-seed", str(seed), *flags])
    configs: dict[str, Any] = {name: config_from_flags(kind, given, {}) for name, kind in KINDS.items()}
    return configs.pop("data"), Recipe(**configs, run=RunConfig(threads=threads or "auto"))


def _flag(name: str, value: str) -> list[str]:
    flag = name.replace("_", "-")
    return {"true": [f"--{flag}"], "false": [f"--no-{flag}"]}.get(value.lower(), [f"--{flag}", value])


def measure(source: str, variant: str, seed: int) -> tuple[float, ...]:
    """Train once; return validation and test accuracy, log loss, seconds, and the share of edge units."""
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        data, recipe = configurations(variant, seed)
        run = prepare(source, Path(folder) / "run", data=data, recipe=recipe)
        with run.dataset:
            for _ in run.epochs():
                pass
            classifier, seconds = run.classifier(), time.perf_counter() - begin
            validation, test = (
                score(*split_probabilities(classifier, run.dataset, split)[:2], classifier.classes)
                for split in ("validation", "test")
            )
    edges = float(score_first_layer(classifier).edge.mean())
    return validation.accuracy, test.accuracy, validation.log_loss, seconds, edges


def main() -> None:
    """Train all variants with each seed in turn, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("source", help="images, as for facette train")
    parser.add_argument(
        "--compare", nargs="+", required=True, metavar="VARIANT", help="such as pretrain=none,epochs=20"
    )
    parser.add_argument("--seeds", type=int, default=3)
    arguments = parser.parse_args()
    found = np.array(
        [[measure(arguments.source, variant, seed) for variant in arguments.compare] for seed in range(arguments.seeds)]
    )
    print(f"{Path(arguments.source).name}, {arguments.seeds} seeds, one thread; differences ± their standard error\n")
    heads = ("", "validation, test, %", "log loss", "seconds", "edge units", "difference: points, points, log loss")
    print(f"| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    for k, variant in enumerate(arguments.compare):
        validation, test, loss, seconds, edges = found[:, k].T
        cells = [
            f"`{variant}`",
            f"{100 * validation.mean():.1f}, {100 * test.mean():.1f}",
            f"{loss.mean():.3f}",
            f"{np.median(seconds):.0f}",
            f"{edges.mean():.1%}",
        ]
        better = (found[:, k, :3] - found[:, 0, :3]) * (100, 100, 1)
        error = better.std(axis=0, ddof=min(1, len(better) - 1)) / np.sqrt(len(better))
        forms = ("{:+.1f} ± {:.1f}", "{:+.1f} ± {:.1f}", "{:+.3f} ± {:.3f}")
        gains = ", ".join(form.format(*gain) for form, *gain in zip(forms, better.mean(axis=0), error, strict=True))
        print(f"| {' | '.join([*cells, gains if k else ''])} |")


if __name__ == "__main__":
    main()
