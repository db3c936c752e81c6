"""Training in a thread of its own, for a front end that has to stay responsive: it can be watched, and stopped.

The work is that of the command line: `pipeline.demo.write_demo`, `pipeline.train.prepare`, `TrainingRun.epochs` and
`TrainingRun.finish`. Whoever watches reads the attributes; each is replaced or appended to in one step, so no lock is
needed.
"""

from __future__ import annotations

import logging
import threading
from pathlib import Path

from model.checkpoint import FormatError
from model.config import ConfigError, NetworkConfig, TrainingConfig
from model.training import Diverged, EpochRecord
from pipeline.demo import write_demo
from pipeline.errors import InputError
from pipeline.run import TrainingRun
from pipeline.run_folder import run_folder
from pipeline.train import prepare

_log = logging.getLogger(__name__)


class DemoTraining:
    """A training on demo pictures, begun by `start`.

    Attributes
    ----------
    stage : str
        What it is doing, in words.
    epochs : int
        How many there will be; 0 until that is known.
    records : list of EpochRecord
        Of the epochs done.
    model : Path or None
        The model, once the run is done (or was stopped after an epoch or more).
    error : str
        Why it failed; empty while it has not.
    """

    def __init__(
        self,
        demo: str,
        runs: str | Path,
        data: str | Path = "data",
        *,
        network: NetworkConfig | None = None,
        training: TrainingConfig | None = None,
    ) -> None:
        self.demo, self.runs, self.data = demo, Path(runs), Path(data)
        self.network, self.training = network, training
        self.stage, self.epochs = "Starting", 0
        self.records: list[EpochRecord] = []
        self.model: Path | None = None
        self.error = ""
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._work, name=f"train-{demo}", daemon=True)

    def start(self) -> DemoTraining:
        """Begin, and return at once."""
        self._thread.start()
        return self

    @property
    def is_running(self) -> bool:
        """Whether it is still at work."""
        return self._thread.is_alive()

    @property
    def is_stopping(self) -> bool:
        """Whether it was asked to stop and has not ended yet."""
        return self.is_running and self._stop.is_set()

    def stop(self) -> None:
        """Ask it to end after the epoch it is in; what was trained so far is kept."""
        self._stop.set()

    def wait(self, seconds: float | None = None) -> None:
        """Wait until it has ended."""
        self._thread.join(seconds)

    def _work(self) -> None:
        try:
            self._train()
        except (InputError, ConfigError, FormatError, OSError, Diverged) as error:
            self.error = str(error)
        except Exception:  # a mistake of the program: one sentence for the person, all of it for the log
            _log.exception("training on the %s demo failed", self.demo)
            self.error = "The training failed for a reason of its own; the terminal that runs the app says more."

    def _train(self) -> None:
        self.stage = "Writing the demo pictures"
        source = write_demo(self.demo, self.data / self.demo)
        self.stage = "Reading the pictures"
        folder = run_folder(self.runs, None, Path(f"demo-{self.demo}"))
        run = prepare(source, folder, network=self.network, training=self.training)
        with run.dataset:
            self.epochs = int(run.state.training.epochs)
            self.stage = "Training"
            for record in run.epochs():
                self.records.append(record)
                if self._stop.is_set():
                    break
            self._finish(run)

    def _finish(self, run: TrainingRun) -> None:
        self.stage = "Evaluating, and writing the report"
        run.finish()
        self.stage = "Done"
        self.model = run.folder / "model.h5"
