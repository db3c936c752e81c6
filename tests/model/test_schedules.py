"""Schedules: where each starts and ends, that it never rises after the warm-up, and the warm-up itself."""

import dataclasses
import itertools

import pytest

from model.config import TrainingConfig
from model.schedules import SCHEDULES, learning_rate_at

N = 1000
ENDS = {"constant": 1.0, "step": 0.1**2, "exponential": 0.1, "cosine": 0.0, "one_cycle": 0.0}


def rates(warmup: float = 0.0, **fields) -> list[float]:
    config = TrainingConfig(learning_rate=0.5, warmup=warmup, decay_rate=0.1, decay_steps=3, **fields)
    return [learning_rate_at(step, N, config) for step in range(N)]


@pytest.mark.parametrize("name", SCHEDULES)
def test_from_the_peak_to_the_promised_end_without_rising(name):
    course = rates(schedule=name)
    assert course[0] == 0.5
    assert course[-1] == pytest.approx(0.5 * ENDS[name], rel=0.02, abs=0.002)
    assert all(after <= before for before, after in itertools.pairwise(course))
    assert min(course) > 0


@pytest.mark.parametrize("name", SCHEDULES)
def test_warm_up_is_a_straight_line_to_the_peak(name):
    course = rates(schedule=name, warmup=0.25)
    assert course[0] == pytest.approx(0.5 / 25)
    assert course[125] == pytest.approx((course[0] + 0.5) / 2)
    assert course[250] == pytest.approx(0.5)
    slopes = [after - before for before, after in itertools.pairwise(course[:250])]
    assert max(slopes) == pytest.approx(min(slopes))


def test_a_schedule_begins_where_the_warm_up_ends():
    late = rates(schedule="exponential", warmup=0.5)
    assert late[500] == pytest.approx(0.5)
    assert late[750] == pytest.approx(0.5 * 0.1**0.5)


def test_step_drops_at_equal_stretches():
    course = rates(schedule="step")
    assert {round(rate, 6) for rate in course} == {0.5, 0.05, 0.005}
    assert [course.count(rate) for rate in sorted(set(course), reverse=True)] == pytest.approx([334, 333, 333], abs=1)


def test_shapes_halfway():
    assert rates(schedule="cosine")[500] == pytest.approx(0.25)
    assert rates(schedule="one_cycle")[500] == pytest.approx(0.25)
    assert rates(schedule="exponential")[500] == pytest.approx(0.5 * 0.1**0.5)


def test_a_run_of_one_step_has_a_rate():
    config = dataclasses.replace(TrainingConfig(), learning_rate=0.5)
    assert learning_rate_at(0, 1, config) > 0
