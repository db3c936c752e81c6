"""A training killed at chosen moments, and resumed each time, ends bit for bit where an undisturbed one does."""

import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.storage.checkpoint import load_state

ROOT = Path(__file__).resolve().parents[2]
EPOCHS = 25
# When a child dies, and the largest number of events that it lives through before.
MOMENTS = {
    "at a batch": 30,  # in the middle of an epoch
    "while writing": 30,  # the checkpoint is half there, under its temporary name
    "before renaming": 4,  # the new checkpoint is whole, but not yet in the place of the old one
    "after renaming": 4,
}
CHILD = """
import os, resource, signal, sys
from pathlib import Path
import numpy as np
from model.batches import ArrayBatches
from model.storage.checkpoint import load_state, save_state
from model.config import NetworkConfig, TrainingConfig
from model.training import start, train

path, epochs, moment, events_to_live = Path(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
event_of = {"at a batch": "batch", "while writing": "batch", "before renaming": "rename", "after renaming": "rename"}
is_renamed = False


def watch(event, arguments):
    global events_to_live, is_renamed
    if is_renamed:  # this is the first event after it
        is_renamed = False  # the kill is an event, too
        os.kill(os.getpid(), signal.SIGKILL)
    happened = "rename" if event == "os.rename" and Path(arguments[1]) == path else event
    if happened != event_of.get(moment):
        return
    events_to_live -= 1
    if events_to_live > 0:
        return
    if moment == "while writing":  # the system kills a process that writes beyond this size
        signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        resource.setrlimit(resource.RLIMIT_FSIZE, (5000, 5000))
    elif moment == "after renaming":
        is_renamed = True
    else:
        os.kill(os.getpid(), signal.SIGKILL)


class Batches(ArrayBatches):
    def batches(self, batch_size, order):
        for batch in super().batches(batch_size, order):
            sys.audit("batch")
            yield batch


sys.addaudithook(watch)
rng = np.random.default_rng(0)
labels = rng.integers(0, 10, 600)
X = np.asfortranarray((rng.normal(size=(64, 10))[:, labels] + rng.normal(size=(64, 600))).astype(np.float32))
source, validation = Batches(X[:, :400], labels[:400]), ArrayBatches(X[:, 400:600], labels[400:600])
if path.exists():
    state, _, _ = load_state(path)
else:
    network = NetworkConfig(hidden=(48, 24), batch_norm=True, dropout=0.2, input_dropout=0.1)
    state = start(network, TrainingConfig(epochs=epochs, average=0.95), n_x=64, m=400, n_classes=10)
for record in train(state, source, validation):
    save_state(state, path)
"""


def run_child(path: Path, moment: str = "never", events_to_live: int = 0) -> int:
    """Start or resume a training in a process of its own; return how it ended."""
    command = [sys.executable, "-c", CHILD, str(path), str(EPOCHS), moment, str(events_to_live)]
    return subprocess.run(command, cwd=ROOT).returncode


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory):
    path = tmp_path_factory.mktemp("undisturbed") / "checkpoint.h5"
    assert run_child(path) == 0
    return load_state(path)[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
def test_killed_and_resumed_equals_undisturbed(undisturbed, seed, tmp_path):
    path, rng = tmp_path / "checkpoint.h5", np.random.default_rng(seed)
    epochs = [0]
    for moment in rng.permutation([*MOMENTS]):
        killer = signal.SIGXFSZ if moment == "while writing" else signal.SIGKILL
        assert run_child(path, moment, int(rng.integers(1, MOMENTS[moment], endpoint=True))) == -killer, moment
        epochs.append(load_state(path)[0].epoch if path.exists() else 0)  # a checkpoint that is there is whole
    assert epochs == sorted(epochs)
    assert 0 < epochs[-1] < EPOCHS
    assert run_child(path) == 0
    killed = load_state(path)[0]
    assert killed.epoch == undisturbed.epoch == EPOCHS
    for name in ("parameters", "average", "best"):
        np.testing.assert_array_equal(getattr(killed, name).flat, getattr(undisturbed, name).flat)
        np.testing.assert_array_equal(getattr(killed, name).running, getattr(undisturbed, name).running)
    np.testing.assert_array_equal(killed.moments, undisturbed.moments)
    histories = [[{**vars(record), "seconds": 0} for record in state.history] for state in (killed, undisturbed)]
    assert histories[0] == histories[1]
