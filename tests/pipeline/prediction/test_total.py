"""The number of files to classify, counted beside the classification."""

import threading

import numpy as np

from pipeline.errors import InputError
from pipeline.prediction.inputs import Inputs
from pipeline.prediction.total import FileTotal


def counted(list_items):
    with FileTotal(list_items) as total:
        total._thread.join()
    return total.n


def test_files_arrays_and_data_sets_count(faces, run_path, tmp_path):
    np.save(tmp_path / "a.npy", np.zeros((7, 8, 8), np.uint8))
    given = [str(faces), str(tmp_path / "a.npy"), str(run_path / "data.h5"), "missing.png"]
    assert counted(lambda: Inputs(given)) == 200 + 7 + 200 + 1


def test_what_cannot_be_listed_has_no_total(tmp_path):
    def unreadable():
        yield from Inputs([str(tmp_path)])  # empty
        raise InputError("not reached")

    assert counted(unreadable) is None


def test_nobody_waits_for_a_count_that_is_not_needed():
    begun, go_on = threading.Event(), threading.Event()

    def endless():
        while True:
            begun.set()
            go_on.wait(60)
            yield from ()
            yield "item"

    total = FileTotal(endless)
    with total:
        assert begun.wait(60)
        total._is_wanted = False
        go_on.set()
    assert total.n is None
