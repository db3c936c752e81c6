"""Phases are measured, and somebody can watch them."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from pipeline.training.phases import Phase, Stopwatch


def test_each_phase_is_measured_and_watched():
    seen = []

    @contextmanager
    def watch(phase):
        seen.append(f"begin {phase}")
        yield
        seen.append(f"end {phase}")

    stopwatch = Stopwatch(watch, {"reading images": 5.0})
    with stopwatch(Phase.READING):
        seen.append("work")
    with stopwatch(Phase.SCORING):
        pass
    assert seen == ["begin reading images", "work", "end reading images", "begin scoring", "end scoring"]
    assert list(stopwatch.seconds) == ["reading images", "scoring"]
    assert stopwatch.seconds["reading images"] > 5.0  # what a phase took before counts


def test_a_phase_that_fails_is_measured_too():
    stopwatch = Stopwatch()
    with pytest.raises(ZeroDivisionError), stopwatch(Phase.EDGES):
        _ = 1 / 0
    assert stopwatch.seconds["learning edges"] >= 0
