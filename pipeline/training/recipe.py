"""Everything that decides what comes out of a training run, but for the images; and what its "auto" values become.

`resolve_recipe` is the one place that turns "auto" into values for images. A training run is prepared with it, and the
Playground shows with it what a run would use, so that the two cannot disagree. Two decisions need more than the facts
that it is given, because something has to be tried: the augmentation of many images
(`pipeline.training.augmentation_trial`), whose outcome is one of the facts, and the number of threads
(`pipeline.training.timing`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from model.config import Auto, NetworkConfig, ResolvedTraining, TrainingConfig, check_fields, option, resolve
from model.edges.config import PretrainConfig
from model.edges.first_layer import LEARNING_SIDE
from pipeline.classifier import ImageClassifier
from pipeline.errors import InputError
from pipeline.images.augment import MANY, AugmentConfig, resolve_augmentation
from pipeline.images.geometry import Geometry

_EPOCHS_OF_MANY = 20
_FINE_TUNING = 0.1  # of the learning rate: at the full one, a trained model first forgets what it knew
_MOST_MEMORY = 1e12  # MB
_LEAST_SIDE = 8  # pixels; smaller images have no room for an edge
_RATE_OF_EDGES, _RATE_OF_ENLARGED_EDGES = 0.3, 0.1


@dataclass(frozen=True)
class RunConfig:
    """What a run starts from, and what it may use of the machine."""

    start_from: str = option("", "fine-tune this model.h5: its layers, classes and image size are kept")
    pretrain_on: str = option("", "folder of photographs for --pretrain, in place of those that are installed")
    memory: float = option(
        1000.0, "MB of images that are held in memory; more are read from the file", check="positive"
    )
    threads: int | Auto = option("auto", "threads for matrix products; auto: 1 or all cores, whichever is faster",
                                 check="up_to_1024")  # fmt: skip

    def __post_init__(self) -> None:
        check_fields(self)

    @property
    def memory_bytes(self) -> int:
        """Bytes of images to hold in memory."""
        return int(min(self.memory, _MOST_MEMORY) * 1e6)


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what comes out of a run, but for the images; a field of a part may be "auto".

    The same recipe, images, machine and number of threads give the same weights, bit for bit.
    """

    network: NetworkConfig = NetworkConfig()
    training: TrainingConfig = TrainingConfig()
    pretraining: PretrainConfig = PretrainConfig()
    augmentation: AugmentConfig = AugmentConfig()
    run: RunConfig = RunConfig()


@dataclass(frozen=True)
class DataFacts:
    """What "auto" values depend on.

    Attributes
    ----------
    m, n_classes : int
        Training images and classes.
    geometry : Geometry
    augmentation : AugmentConfig or None
        What a trial decided, resolved; None if there was no trial.
    """

    m: int
    n_classes: int
    geometry: Geometry
    augmentation: AugmentConfig | None = None


@dataclass(frozen=True)
class ResolvedRecipe:
    """A recipe in which no configuration has a field that is "auto"."""

    network: NetworkConfig
    training: ResolvedTraining
    pretraining: PretrainConfig
    augmentation: AugmentConfig


def fine_tuning(recipe: Recipe, initial: ImageClassifier) -> Recipe:
    """Return the recipe with what is fixed by the model to fine-tune: its layers, but for dropout, and its contrast."""
    given = recipe.network
    return replace(
        recipe,
        network=replace(initial.network, dropout=given.dropout, input_dropout=given.input_dropout),
        pretraining=PretrainConfig("none", normalize_contrast=initial.preprocessor.contrast),
    )


def resolve_recipe(recipe: Recipe, facts: DataFacts) -> ResolvedRecipe:
    """Turn every "auto" into a value.

    Augmentation is resolved first, then pretraining, which depends on it, then network and training.

    - ``augmentation``: what a trial decided, else `pipeline.images.augment.resolve_augmentation`.
    - ``epochs``: 20 with augmentation and 10,000 training images or more. No image then comes twice, and there is more
      to learn. On MNIST, 20 epochs in place of 12 raised the accuracy on validation images from 99.28 to 99.51 % with
      layers 1024-512, and from 99.27 to 99.44 % with 512-256 (one seed).
    - ``pretrain``: sparse filtering if training images are shifted, else none. Edges are local. If every image is
      shifted a little each time, a network that starts with edges was as good as one that starts at random, or better;
      if images never moved, it was 3 points worse on 40 well-centred faces (the figures are in docs/edges.md). Not for
      images under 8 pixels a side, which have no room for an edge. `RunConfig.pretrain_on` and `pretrain_layers` above
      1 ask for it too.
    - ``layer_rates``, if none are given: 0.3 for a pretrained layer 1, or 0.1 if images are larger than the crops from
      which filters are learned, so that the filters are enlarged: at 0.3, hardly any edges were left in 64 x 64 images
      in colour, before there was a limit (`PretrainConfig.largest_change`). With 2 or 3 pretrained layers: 0.1 and 0.3
      for layers 1 and 2.
    - ``learning_rate``: a tenth of the usual one for fine-tuning.
    - Everything else: `model.config.resolve`.

    Raises
    ------
    ConfigError
        When the given values cannot work with these images; the message begins with the name of the setting.
    InputError
        When photographs are given, and pretrain is none.
    """
    network, training, geometry = recipe.network, recipe.training, facts.geometry
    augmentation = facts.augmentation or resolve_augmentation(recipe.augmentation, facts.m)
    pretraining = _resolve_pretraining(recipe, augmentation, geometry)
    if training.epochs == "auto" and augmentation.is_on and facts.m >= MANY:
        training = replace(training, epochs=_EPOCHS_OF_MANY)
    sizes = {"n_x": geometry.n_x, "m": facts.m, "n_classes": facts.n_classes}
    network, resolved = resolve(network, training, **sizes)
    pretraining.check(len(network.hidden))
    if pretraining.is_on and not training.layer_rates:
        with_rates = replace(resolved, layer_rates=_pretrained_rates(pretraining, geometry))
        network, resolved = resolve(network, with_rates, **sizes)
    if recipe.run.start_from and training.learning_rate == "auto":
        resolved = replace(resolved, learning_rate=resolved.learning_rate * _FINE_TUNING)
    return ResolvedRecipe(network, resolved, pretraining, augmentation)


def _resolve_pretraining(recipe: Recipe, augmentation: AugmentConfig, geometry: Geometry) -> PretrainConfig:
    pretraining, photographs = recipe.pretraining, recipe.run.pretrain_on
    if photographs and not pretraining.is_on:
        raise InputError("pretrain_on: names photographs to learn from, but pretrain is none; leave out one of them")
    if pretraining.pretrain != "auto":
        return pretraining
    has_room = min(geometry.height, geometry.width) >= _LEAST_SIDE
    is_useful = bool(augmentation.shift) and has_room and bool(recipe.network.hidden)
    is_asked_for = bool(photographs) or pretraining.pretrain_layers > 1
    return replace(pretraining, pretrain="sparse_filtering" if is_useful or is_asked_for else "none")


def _pretrained_rates(pretraining: PretrainConfig, geometry: Geometry) -> tuple[float, ...]:
    if pretraining.pretrain_layers > 1:
        return 0.1, 0.3
    is_enlarged = max(geometry.height, geometry.width) > LEARNING_SIDE
    return (_RATE_OF_ENLARGED_EDGES if is_enlarged else _RATE_OF_EDGES,)
