"""Facette from Python: the names that most programs need, under one roof.

    import facette

    result = facette.train("photos/", epochs=20)
    print(result.classifier.classify("new.jpg"))

Each name is imported from its own module when it is first used, so importing this module costs nothing. Its modules can
be imported directly as well; nothing is defined here.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from model.config import NetworkConfig, TrainingConfig
    from model.edges.config import PretrainConfig
    from model.errors import ConfigError, Diverged, FormatError
    from model.estimator import NetClassifier
    from pipeline.classifier import ImageClassifier
    from pipeline.data.config import DataConfig
    from pipeline.data.dataset import Dataset
    from pipeline.errors import InputError
    from pipeline.evaluation.evaluate import evaluate
    from pipeline.evaluation.result import TrainingResult
    from pipeline.images.augment import AugmentConfig
    from pipeline.images.errors import ImageError
    from pipeline.ingestion.ingest import ingest
    from pipeline.prediction.predict import predict
    from pipeline.prediction.undo import undo_sorting
    from pipeline.sources.demo import write_demo
    from pipeline.training.finish import finish
    from pipeline.training.one_call import train_classifier
    from pipeline.training.prepare import prepare
    from pipeline.training.recipe import Recipe, RunConfig
    from pipeline.training.resume import resume
    from pipeline.training.run import TrainingRun

    train = train_classifier

_HOMES = {
    "model.config": ("NetworkConfig", "TrainingConfig"),
    "model.edges.config": ("PretrainConfig",),
    "model.errors": ("ConfigError", "Diverged", "FormatError"),
    "model.estimator": ("NetClassifier",),
    "pipeline.classifier": ("ImageClassifier",),
    "pipeline.data.config": ("DataConfig",),
    "pipeline.data.dataset": ("Dataset",),
    "pipeline.errors": ("InputError",),
    "pipeline.evaluation.evaluate": ("evaluate",),
    "pipeline.evaluation.result": ("TrainingResult",),
    "pipeline.images.augment": ("AugmentConfig",),
    "pipeline.images.errors": ("ImageError",),
    "pipeline.ingestion.ingest": ("ingest",),
    "pipeline.prediction.predict": ("predict",),
    "pipeline.prediction.undo": ("undo_sorting",),
    "pipeline.sources.demo": ("write_demo",),
    "pipeline.training.finish": ("finish",),
    "pipeline.training.one_call": ("train_classifier",),
    "pipeline.training.prepare": ("prepare",),
    "pipeline.training.recipe": ("Recipe", "RunConfig"),
    "pipeline.training.resume": ("resume",),
    "pipeline.training.run": ("TrainingRun",),
}
_HOME_OF = {name: (module, name) for module, names in _HOMES.items() for name in names}
_HOME_OF["train"] = _HOME_OF.pop("train_classifier")  # `model.training.train` is another function

__all__ = sorted(_HOME_OF)


def __getattr__(name: str) -> Any:
    """Import a name when it is first used."""
    if name not in _HOME_OF:
        raise AttributeError(f"module 'facette' has no {name!r}; it has {', '.join(__all__)}")
    module, name_there = _HOME_OF[name]
    globals()[name] = found = getattr(import_module(module), name_there)
    return found


def __dir__() -> list[str]:
    return __all__
