"""A run killed with SIGKILL, again and again at moments of chance, ends bit for bit where an undisturbed one does."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from model.storage.checkpoint import load_state

ROOT = Path(__file__).resolve().parents[2]
CHILD = """
import sys
from pathlib import Path
import numpy as np
from model.batches import ArrayBatches
from model.storage.checkpoint import load_state, save_state
from model.config import NetworkConfig, TrainingConfig
from model.training import start, train

path = Path(sys.argv[1])
rng = np.random.default_rng(0)
labels = rng.integers(0, 10, 600)
X = np.asfortranarray((rng.normal(size=(64, 10))[:, labels] + rng.normal(size=(64, 600))).astype(np.float32))
source, validation = ArrayBatches(X[:, :400], labels[:400]), ArrayBatches(X[:, 400:600], labels[400:600])
print("ready", flush=True)
if path.exists():
    state, _, _ = load_state(path)
else:
    network = NetworkConfig(hidden=(48, 24), batch_norm=True, dropout=0.2, input_dropout=0.1)
    state = start(network, TrainingConfig(epochs=25, average=0.95), n_x=64, m=400, n_classes=10)
for record in train(state, source, validation):
    save_state(state, path)
"""


def begin(path: Path) -> subprocess.Popen:
    child = subprocess.Popen([sys.executable, "-c", CHILD, str(path)], cwd=ROOT, stdout=subprocess.PIPE, text=True)
    assert child.stdout is not None
    assert child.stdout.readline() == "ready\n"
    return child


def finish(path: Path) -> None:
    with begin(path) as child:
        assert child.wait() == 0


@pytest.mark.slow
def test_killed_and_resumed_equals_undisturbed(tmp_path):
    undisturbed, killed = tmp_path / "undisturbed.h5", tmp_path / "killed.h5"
    finish(undisturbed)
    rng = np.random.default_rng()
    epochs = []
    for _ in range(6):
        with begin(killed) as child:
            try:
                child.wait(timeout=rng.uniform(0, 0.3))
            except subprocess.TimeoutExpired:
                child.kill()
        epochs.append(load_state(killed)[0].epoch if killed.exists() else 0)  # whatever is there is a good one
    finish(killed)
    (one, *_), (other, *_) = load_state(undisturbed), load_state(killed)
    assert epochs == sorted(epochs)
    assert one.epoch == other.epoch == 25
    for name in ("parameters", "average", "best"):
        np.testing.assert_array_equal(getattr(one, name).flat, getattr(other, name).flat)
        np.testing.assert_array_equal(getattr(one, name).running, getattr(other, name).running)
    np.testing.assert_array_equal(one.moments, other.moments)
    strip = [{**vars(record), "seconds": 0} for record in one.history]
    assert strip == [{**vars(record), "seconds": 0} for record in other.history]
