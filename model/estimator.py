"""`NetClassifier`: the L-layer network as a scikit-learn estimator. Only here are examples rows: X is (m, n_x).

This file follows the conventions of scikit-learn: flat arguments that are stored as given, all checks in `fit`, plain
defaults. The arguments are the fields of `NetworkConfig` and `TrainingConfig`, with their defaults,
except for those in `DIFFERENT_DEFAULTS`; a test keeps the three in agreement. The work is done by
`model.training.train`; images, data sets larger than memory and files are left to `pipeline`.
"""

from __future__ import annotations

import dataclasses
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state
from sklearn.utils.multiclass import check_classification_targets
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from model.activations import Array
from model.batches import ArrayBatches, split_evenly
from model.config import NetworkConfig, TrainingConfig
from model.errors import ConfigError
from model.network import class_probabilities, labels_from
from model.training import TrainingState, start, train

Labels = NDArray[np.integer]
Config = TypeVar("Config", NetworkConfig, TrainingConfig)

DIFFERENT_DEFAULTS: dict[str, Any] = {
    "batch_norm": False,  # otherwise the result for an example depends on the batch it is trained in
    "learning_rate": 0.002,  # "auto" depends on m: weight 2 would differ from having the example twice
    "class_weight": None,  # scikit-learn's word for "none"; it may be a dictionary too
    "dtype": "auto",  # the dtype of X, as everywhere in scikit-learn
    "restore_best": True,  # only has an effect with validation_fraction
    "random_state": None,
}
_DTYPES: dict[str, Any] = {"auto": (np.float64, np.float32), "float32": np.float32, "float64": np.float64}
_STREAM = 10_000  # examples that "auto" assumes in partial_fit, which cannot know their number


class NetClassifier(ClassifierMixin, BaseEstimator):
    """An L-layer fully connected network as a scikit-learn classifier.

    Scale X before (``make_pipeline(StandardScaler(), NetClassifier())``), as for every network.

    Parameters
    ----------
    hidden : tuple of int, int, or "auto"
        Units of each hidden layer. (): logistic regression.
    activation, head, initializer, head_scale, batch_norm, dropout, input_dropout
        See `model.config.NetworkConfig`.
    epochs, batch_size, learning_rate, optimizer, momentum, beta1, beta2, epsilon, schedule, warmup, decay_rate, \
decay_steps, layer_rates, l2, weight_decay, clip_norm, average, label_smoothing, mixup, patience, restore_best
        See `model.config.TrainingConfig`.
    class_weight : None, "balanced" or dict of class to float
        Multiplied with `sample_weight`. A class that the dictionary leaves out has weight 1.
    validation_fraction : float
        Share of the examples, the same for each class, that `fit` holds out to evaluate on after each epoch: needed for
        `patience`, `restore_best` and `validation_loss_curve_`. 0: none.
    warm_start : bool
        `fit` starts from the weights of the last `fit` instead of random ones.
    random_state : int, RandomState or None
    dtype : "auto", "float32" or "float64"
        Precision of weights and X in training; "auto": float32 if X is float32, else float64.

    Attributes
    ----------
    classes_ : ndarray of shape (n_classes,)
    parameters_ : Parameters
        W and b, ``parameters_[l].W`` of shape (n_l, n_{l-1}).
    network_ : NetworkConfig
        As resolved for the data.
    loss_curve_, validation_loss_curve_ : list of float
        Mean cost of each epoch; no validation costs if no examples were held out.
    n_iter_ : int
        Number of epochs done.
    n_features_in_, feature_names_in_
        As in all of scikit-learn.

    Examples
    --------
    >>> from sklearn.datasets import load_digits
    >>> X, y = load_digits(return_X_y=True)
    >>> classifier = NetClassifier(hidden=(64,), random_state=0).fit(X[:1000] / 16, y[:1000])
    >>> classifier.score(X[1000:] / 16, y[1000:]) > 0.9
    True
    """

    classes_: NDArray[Any]
    _state: TrainingState

    def __init__(
        self,
        hidden="auto",
        *,
        activation="relu",
        head="auto",
        initializer="he",
        head_scale=0.1,
        batch_norm=False,
        dropout=0.0,
        input_dropout=0.0,
        epochs="auto",
        batch_size="auto",
        learning_rate=0.002,
        optimizer="adamw",
        momentum=0.9,
        beta1=0.9,
        beta2=0.999,
        epsilon=1e-8,
        schedule="one_cycle",
        warmup=0.2,
        decay_rate=0.1,
        decay_steps=3,
        layer_rates=(),
        l2=0.0,
        weight_decay=0.02,
        clip_norm=0.0,
        average=0.0,
        label_smoothing=0.0,
        mixup=0.0,
        class_weight=None,
        patience=0,
        restore_best=True,
        validation_fraction=0.0,
        warm_start=False,
        random_state=None,
        dtype="auto",
    ):
        self.hidden = hidden
        self.activation = activation
        self.head = head
        self.initializer = initializer
        self.head_scale = head_scale
        self.batch_norm = batch_norm
        self.dropout = dropout
        self.input_dropout = input_dropout
        self.epochs = epochs
        self.batch_size = batch_size
        self.learning_rate = learning_rate
        self.optimizer = optimizer
        self.momentum = momentum
        self.beta1 = beta1
        self.beta2 = beta2
        self.epsilon = epsilon
        self.schedule = schedule
        self.warmup = warmup
        self.decay_rate = decay_rate
        self.decay_steps = decay_steps
        self.layer_rates = layer_rates
        self.l2 = l2
        self.weight_decay = weight_decay
        self.clip_norm = clip_norm
        self.average = average
        self.label_smoothing = label_smoothing
        self.mixup = mixup
        self.class_weight = class_weight
        self.patience = patience
        self.restore_best = restore_best
        self.validation_fraction = validation_fraction
        self.warm_start = warm_start
        self.random_state = random_state
        self.dtype = dtype

    def fit(self, X: Any, y: Any, sample_weight: Any = None) -> NetClassifier:
        """Train on X.

        Parameters
        ----------
        X : array-like of shape (m, n_x)
        y : array-like of shape (m,)
        sample_weight : array-like of shape (m,), optional
            0 or more; an example of weight 2 counts as much as two of weight 1.

        Raises
        ------
        ValueError
            For data or arguments that cannot work (`ConfigError` names the argument).
        Diverged
            When the cost became NaN or infinite.
        """
        X, y, sample_weight = self._validated(X, y, sample_weight, reset=True)
        classes, labels = np.unique(y, return_inverse=True)
        continues = self.warm_start and hasattr(self, "_state")
        if continues and not np.array_equal(classes, self.classes_):
            raise ValueError(f"warm_start: y has the classes {classes}, the last fit had {self.classes_}; keep them")
        counting = np.flatnonzero(sample_weight)
        n_present = len(np.unique(labels[counting]))
        if n_present < 2:
            raise ValueError(
                f"{type(self).__name__} needs two classes or more; y (with a sample_weight other than 0) "
                f"has {n_present} class"
            )
        weights = sample_weight * _weights_by_class(self.class_weight, classes, labels, sample_weight)[labels]
        network, training = self._configs(X.dtype)
        chosen, held_out = self._hold_out(counting, labels, training.seed)
        examples = X if len(chosen) == len(X) else X[chosen]  # not copied if all of them are used
        source = ArrayBatches(examples.T, labels[chosen], weights[chosen])
        validation = ArrayBatches(X[held_out].T, labels[held_out], sample_weight[held_out]) if len(held_out) else None
        state = start(
            network,
            training,
            n_x=X.shape[1],
            m=len(chosen),
            n_classes=len(classes),
            parameters=self.parameters_ if continues else None,
        )
        records = list(train(state, source, validation))
        if state.best is not None:  # the weights in use are also those that training continues from
            state.parameters.assign(state.result)
            if state.average is not None:
                state.average.assign(state.result)
        self.classes_ = classes
        self._adopt(state, records, forget=not continues)
        return self

    def partial_fit(self, X: Any, y: Any, classes: Any = None, sample_weight: Any = None) -> NetClassifier:
        """Go over X once, at the constant learning rate `learning_rate`, and keep the whole state for the next call.

        `schedule`, `warmup`, `epochs`, `patience` and `validation_fraction`, which depend on the whole run, have no
        effect. Weights are relative to the others of the same call.

        Parameters
        ----------
        X : array-like of shape (m, n_x)
        y : array-like of shape (m,)
        classes : array-like of shape (n_classes,)
            All classes of this and all later calls; needed in the first call.
        sample_weight : array-like of shape (m,), optional
        """
        is_first = not hasattr(self, "_state")
        if is_first and classes is None:
            raise ValueError("classes: the first call of partial_fit needs the classes of all later calls too")
        known = np.unique(classes) if is_first else self.classes_
        if classes is not None and not np.array_equal(np.unique(classes), known):
            raise ValueError(f"classes: {classes} are not those of the first call, {known}; they cannot change")
        X, y, sample_weight = self._validated(X, y, sample_weight, reset=is_first)
        if not np.isin(y, known).all():
            raise ValueError(f"y holds {np.setdiff1d(y, known)}, which are not among the classes {known}")
        if isinstance(self.class_weight, str):
            raise ValueError("class_weight: 'balanced' needs all of y at once; give a dictionary to partial_fit")
        labels = np.searchsorted(known, y)
        weights = sample_weight * _weights_by_class(self.class_weight, known, labels, sample_weight)[labels]
        network, training = self._configs(X.dtype)
        if is_first:
            state = start(network, training, n_x=X.shape[1], m=max(len(y), _STREAM), n_classes=len(known))
        else:
            state = self._state
        if state.network.batch_norm and len(y) // len(split_evenly(len(y), state.training.batch_size)) < 2:
            raise ConfigError("batch_norm: partial_fit needs 2 examples or more at a time, or batch_norm off")
        one_pass: dict[str, Any] = {"epochs": state.epoch + 1, "schedule": "constant", "warmup": 0.0, "patience": 0}
        if training.learning_rate != "auto":
            one_pass["learning_rate"] = training.learning_rate
        state.training = dataclasses.replace(state.training, **one_pass)
        state.best = None
        source = ArrayBatches(X.T.astype(state.parameters.flat.dtype, copy=False), labels, weights)
        records = list(train(state, source))
        self.classes_ = known
        self._adopt(state, records, forget=is_first)
        return self

    def predict_proba(self, X: Any) -> Array:
        """Return the probability of each class, (m, n_classes), columns in the order of `classes_`; rows sum to 1."""
        check_is_fitted(self)
        X = validate_data(self, X, dtype=_DTYPES["auto"], reset=False)
        X = X.astype(self.parameters_.flat.dtype, copy=False)
        return class_probabilities(X.T, self.parameters_, self.network_).T

    def predict(self, X: Any) -> NDArray[Any]:
        """Return the most probable class of each row, shape (m,)."""
        labels = labels_from(self.predict_proba(X).T)
        return self.classes_[labels]

    def _validated(self, X: Any, y: Any, sample_weight: Any, *, reset: bool) -> tuple[Array, NDArray[Any], Array]:
        if self.dtype not in _DTYPES:
            raise ConfigError(f"dtype: {self.dtype!r} is unknown; choose one of {', '.join(_DTYPES)}")
        X, y = validate_data(self, X, y, dtype=_DTYPES[self.dtype], reset=reset)
        check_classification_targets(y)
        return X, y, _check_sample_weight(sample_weight, X, dtype=X.dtype)

    def _configs(self, dtype: np.dtype) -> tuple[NetworkConfig, TrainingConfig]:
        """Build the frozen configurations, which check every value, from the flat arguments."""
        given = {name: _plain(value) for name, value in self.get_params(deep=False).items()}
        if isinstance(given["hidden"], int):
            given["hidden"] = (given["hidden"],)
        seed = given["random_state"]
        if not isinstance(seed, int):
            seed = int(check_random_state(self.random_state).randint(2**31 - 1))
        given |= {
            "seed": seed,
            "dtype": dtype.name,
            "class_weight": "none",
        }  # they are in the example weights
        return _config_from(NetworkConfig, given), _config_from(TrainingConfig, given)

    def _hold_out(self, counting: Labels, labels: Labels, seed: int) -> tuple[Labels, Labels]:
        """Split the indices of the examples that count into those to train on and those to validate on."""
        share = _plain(self.validation_fraction)
        if not isinstance(share, (int, float)) or not 0 <= share < 1:
            raise ConfigError(f"validation_fraction: {share!r} does not work; give a number at least 0 and below 1")
        if not share:
            if self.patience:
                raise ConfigError("patience: early stopping needs examples to validate on; set validation_fraction")
            return counting, counting[:0]
        return train_test_split(counting, test_size=share, stratify=labels[counting], random_state=seed % 2**32)

    def _adopt(self, state: TrainingState, records: list[Any], *, forget: bool) -> None:
        """Store the outcome of a training under the names of scikit-learn."""
        self._state = state
        self.parameters_, self.network_ = state.result, state.network
        if forget:
            self.loss_curve_: list[float] = []
            self.validation_loss_curve_: list[float] = []
            self.n_iter_ = 0
        self.loss_curve_ += [record.cost for record in records]
        self.validation_loss_curve_ += [r.validation_cost for r in records if np.isfinite(r.validation_cost)]
        self.n_iter_ += len(records)


def _config_from(kind: type[Config], given: dict[str, Any]) -> Config:
    return kind(**{field.name: given[field.name] for field in dataclasses.fields(kind)})


def _plain(value: Any) -> Any:
    """Turn NumPy scalars, arrays and lists, which parameter searches pass, into plain Python values."""
    if isinstance(value, (list, tuple, np.ndarray)):
        return tuple(_plain(item) for item in value)
    return value.item() if isinstance(value, np.generic) else value


def _weights_by_class(class_weight: Any, classes: NDArray[Any], labels: Labels, sample_weight: Array) -> Array:
    """Return the weight of each class, shape (n_classes,); `balanced` counts examples by their weight."""
    if class_weight is None:
        return np.ones(len(classes), sample_weight.dtype)
    if isinstance(class_weight, dict):
        return _given_weights(class_weight, classes.tolist()).astype(sample_weight.dtype)
    if class_weight != "balanced":
        raise ConfigError(f"class_weight: {class_weight!r} does not work; give None, 'balanced' or a dictionary")
    totals = np.bincount(labels, sample_weight, minlength=len(classes))
    totals[totals == 0] = np.inf  # a class without examples has no weight
    return (totals[np.isfinite(totals)].sum() / (np.isfinite(totals).sum() * totals)).astype(sample_weight.dtype)


def _given_weights(class_weight: dict[Any, Any], classes: list[Any]) -> Array:
    """Return the weight of each class, shape (n_classes,); 1 for a class without one, if every weight has its class.

    Raises
    ------
    ConfigError
        If a class has no weight while a weight has no class, since that is nearly always a misspelt name, as in
        scikit-learn; or if a weight is not a number of 0 or more.
    """
    unknown = [name for name in class_weight if name not in classes]
    missing = [name for name in classes if name not in class_weight]
    if unknown and missing:
        raise ConfigError(
            f"class_weight: {unknown} are not among the classes {classes}, and {missing} have no weight; "
            "name the classes as y does"
        )
    weights = [_plain(class_weight.get(name, 1.0)) for name in classes]
    for name, weight in zip(classes, weights, strict=True):
        if not isinstance(weight, (int, float)) or not 0 <= weight < np.inf:
            raise ConfigError(f"class_weight: {weight!r} for {name!r} does not work; give a number of 0 or more")
    return np.array(weights, float)
