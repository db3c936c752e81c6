"""Trying out how fast a step is changes nothing in what is learned."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from model.config import NetworkConfig, TrainingConfig
from model.edges.config import NOT_PRETRAINED
from pipeline.classifier import ImageClassifier
from pipeline.cli.describe import describe_plan
from pipeline.training.prepare import prepare
from pipeline.training.recipe import Recipe, RunConfig
from pipeline.training.timing import estimate_seconds


def test_estimate_leaves_the_run_as_it_was(faces, small, run_path, tmp_path):
    run = prepare(faces, tmp_path / "run", recipe=small)
    with run.dataset:
        assert estimate_seconds(run) > 0
        list(run.epochs())
        assert estimate_seconds(run) == 0
        np.testing.assert_array_equal(run.classifier().parameters.flat, ImageClassifier.load(run_path).parameters.flat)


@pytest.mark.slow
def test_trying_threads_leaves_the_run_as_it_was(faces, tmp_path):
    recipe = Recipe(NetworkConfig(hidden=(2048, 64)), TrainingConfig(epochs=2), NOT_PRETRAINED)

    def weights(name, **threads):
        run = prepare(faces, tmp_path / name, recipe=dataclasses.replace(recipe, run=RunConfig(**threads)))
        with run.dataset:
            list(run.epochs())
        return run.threads, run.classifier().parameters.flat

    threads, tried = weights("tried")
    given, told = weights("told", threads=threads)
    assert given == threads >= 1
    np.testing.assert_array_equal(tried, told)


def test_steps_too_small_to_share_take_one_thread(faces, small, tmp_path):
    run = prepare(faces, tmp_path / "run", recipe=small)
    with run.dataset:
        assert run.threads == 1
        assert "on 1 thread" in describe_plan(run)
