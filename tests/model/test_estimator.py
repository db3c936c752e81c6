"""`NetClassifier`: scikit-learn's own checks, all of them, and what scikit-learn's users will do with it."""

import copy
import dataclasses
import inspect
import pickle

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.calibration import CalibratedClassifierCV
from sklearn.datasets import load_digits
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MinMaxScaler, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks

from model.config import NetworkConfig, TrainingConfig
from model.errors import ConfigError, Diverged
from model.estimator import DIFFERENT_DEFAULTS, NetClassifier

OWN = {"validation_fraction", "warm_start"}


@parametrize_with_checks([NetClassifier(), NetClassifier(hidden=(), optimizer="nesterov", learning_rate=0.1)])
@pytest.mark.slow
def test_scikit_learns_checks(estimator, check):
    check(estimator)


def test_arguments_and_defaults_are_those_of_the_configurations():
    parameters = inspect.signature(NetClassifier).parameters
    fields = {f.name: f.default for kind in (NetworkConfig, TrainingConfig) for f in dataclasses.fields(kind)}
    expected = {"random_state" if name == "seed" else name: default for name, default in fields.items()}
    assert set(parameters) == set(expected) | OWN
    differing = {name for name in expected if parameters[name].default != expected[name]}
    assert differing == set(DIFFERENT_DEFAULTS)
    assert all(parameters[name].default == default for name, default in DIFFERENT_DEFAULTS.items())


def test_every_argument_reaches_the_configurations():
    given = {
        "hidden": (5,),
        "activation": "tanh",
        "head": "softmax",
        "initializer": "lecun",
        "head_scale": 0.5,
        "batch_norm": True,
        "dropout": 0.1,
        "input_dropout": 0.2,
        "epochs": 1,
        "batch_size": 7,
        "learning_rate": 0.02,
        "optimizer": "rmsprop",
        "momentum": 0.8,
        "beta1": 0.7,
        "beta2": 0.9,
        "epsilon": 1e-4,
        "schedule": "cosine",
        "warmup": 0.1,
        "decay_rate": 0.5,
        "decay_steps": 2,
        "layer_rates": (0.5, 1.0),
        "l2": 0.01,
        "weight_decay": 0.03,
        "clip_norm": 2.0,
        "average": 0.5,
        "label_smoothing": 0.05,
        "mixup": 0.2,
        "patience": 4,
        "restore_best": False,
    }
    classifier = NetClassifier(**given, validation_fraction=0.3, random_state=11, dtype="float32").fit(*small())
    used = vars(classifier.network_) | vars(classifier._state.training)
    assert {**given, "seed": 11, "dtype": "float32", "class_weight": "none"} == used


def small(m=60):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(m, 6))
    return X, (X[:, 0] > 0).astype(int)


@pytest.fixture(scope="module")
def digits():
    X, y = load_digits(return_X_y=True)
    return X[:600], y[:600]


QUICK = NetClassifier(hidden=(32,), epochs=15, learning_rate=0.01, random_state=0)


# Where scikit-learn's users put it.


def test_in_a_pipeline(digits):
    X, y = digits
    pipeline = make_pipeline(StandardScaler(), clone(QUICK)).fit(X[:400], y[:400])
    assert pipeline.score(X[400:], y[400:]) > 0.75


def test_in_a_grid_search_over_numpy_values_lists_and_steps_of_a_pipeline(digits):
    X, y = digits
    grid = {
        "netclassifier__hidden": [(16,), [8], np.array([12, 8])],
        "netclassifier__learning_rate": np.array([0.001, 0.02]),
        "netclassifier__batch_size": np.array([20]),
    }
    search = GridSearchCV(make_pipeline(MinMaxScaler(), clone(QUICK)), grid, cv=2, error_score="raise").fit(X, y)
    assert search.best_params_["netclassifier__learning_rate"] == 0.02
    assert search.best_score_ > 0.8


def test_in_cross_validation(digits):
    X, y = digits
    scores = cross_val_score(QUICK, X / 16, y, cv=3, scoring="neg_log_loss")
    assert scores.shape == (3,)
    assert scores.mean() > -0.6


def test_in_a_calibration(digits):
    X, y = digits
    calibrated = CalibratedClassifierCV(QUICK, cv=2).fit(X[:400] / 16, y[:400])
    assert calibrated.score(X[400:] / 16, y[400:]) > 0.7


def test_pandas_names_are_checked(digits):
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame(small()[0], columns=list("abcdef"))
    classifier = clone(QUICK).fit(frame, small()[1])
    assert classifier.feature_names_in_.tolist() == list("abcdef")
    with pytest.raises(ValueError, match="feature names should match"):
        classifier.predict(frame[list("fedcba")])


def test_classes_of_any_kind():
    X, y = small()
    for names in (np.array(["dog", "cat"]), np.array([7, -2]), np.array([True, False]), np.array(["ü", "ö"], object)):
        classifier = clone(QUICK).fit(X, names[y])
        assert set(classifier.predict(X)) <= set(names)
        np.testing.assert_array_equal(classifier.classes_, np.unique(names))
        assert classifier.score(X, names[y]) > 0.8


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda c: pickle.loads(pickle.dumps(c))])
@pytest.mark.parametrize("batch_norm", [False, True])
def test_a_copy_predicts_the_same_and_trains_on_alone(duplicate, batch_norm):
    X, y = small()
    first = clone(QUICK).set_params(batch_norm=batch_norm, average=0.5).fit(X, y)
    before = first.predict_proba(X)
    again = duplicate(first)
    np.testing.assert_array_equal(again.predict_proba(X), before)
    again.partial_fit(X, y)
    assert not np.allclose(again.predict_proba(X), before)
    np.testing.assert_array_equal(first.predict_proba(X), before)
    np.testing.assert_array_equal(first.partial_fit(X, y).predict_proba(X), again.predict_proba(X))


# Precision, randomness.


@pytest.mark.parametrize(
    ("given", "asked", "used"),
    [
        (np.float32, "auto", np.float32),
        (np.float64, "auto", np.float64),
        (np.int64, "auto", np.float64),
        (np.float64, "float32", np.float32),
        (np.float32, "float64", np.float64),
    ],
)
def test_precision(given, asked, used):
    X, y = small()
    classifier = NetClassifier(hidden=(4,), epochs=2, dtype=asked).fit((X * 10).astype(given), y)
    assert classifier.parameters_.flat.dtype == used
    assert classifier.predict_proba((X * 10).astype(given)).dtype == used


def test_random_state():
    X, y = small()

    def outcome(random_state):
        return clone(QUICK).set_params(random_state=random_state).fit(X, y).predict_proba(X)

    np.testing.assert_array_equal(outcome(3), outcome(3))
    np.testing.assert_array_equal(outcome(np.random.RandomState(3)), outcome(np.random.RandomState(3)))
    assert not np.array_equal(outcome(3), outcome(4))
    assert not np.array_equal(outcome(None), outcome(None))


# Curves, validation, early stopping.


def test_curves(digits):
    X, y = digits
    classifier = clone(QUICK).set_params(validation_fraction=0.2).fit(X / 16, y)
    assert len(classifier.loss_curve_) == len(classifier.validation_loss_curve_) == classifier.n_iter_ == 15
    assert classifier.loss_curve_[-1] < classifier.loss_curve_[0]
    assert classifier.validation_loss_curve_[-1] < classifier.validation_loss_curve_[0]
    assert clone(QUICK).fit(X / 16, y).validation_loss_curve_ == []


def test_early_stopping_needs_examples_set_aside_and_then_stops():
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 20)), rng.integers(0, 2, 60)
    classifier = NetClassifier(hidden=(32,), patience=3, epochs=200, learning_rate=0.01, random_state=0)
    with pytest.raises(
        ConfigError, match="patience: early stopping needs examples to validate on; set validation_fraction"
    ):
        classifier.fit(X, y)
    classifier.set_params(validation_fraction=0.3).fit(X, y)
    best = int(np.argmin(classifier.validation_loss_curve_))
    assert classifier.n_iter_ == best + 1 + 3 < 200


# partial_fit and warm_start.


def test_partial_fit_learns_in_passes_and_fit_starts_afresh(digits):
    X, y = digits
    X = X / 16
    classifier = NetClassifier(hidden=(32,), learning_rate=0.005, random_state=0)
    for _ in range(12):
        for part in np.array_split(np.arange(500), 5):
            classifier.partial_fit(X[part], y[part], classes=range(10))
    assert classifier.score(X[500:], y[500:]) > 0.75
    assert classifier.n_iter_ == 60
    afresh = clone(QUICK).fit(X, y).predict_proba(X)
    np.testing.assert_array_equal(classifier.set_params(**QUICK.get_params()).fit(X, y).predict_proba(X), afresh)
    assert classifier.n_iter_ == 15


def test_partial_fit_knows_classes_that_have_not_come_yet():
    X, y = small()
    classifier = NetClassifier(hidden=(4,)).partial_fit(X[y == 0], y[y == 0], classes=[0, 1, 2])
    assert classifier.predict_proba(X).shape == (60, 3)
    classifier.partial_fit(X[y == 1], y[y == 1])
    with pytest.raises(ValueError, match=r"y holds \[3\], which are not among the classes \[0 1 2\]"):
        classifier.partial_fit(X, y + 2)
    with pytest.raises(ValueError, match="they cannot change"):
        classifier.partial_fit(X, y, classes=[0, 1])


@pytest.mark.parametrize("average", [0.0, 0.5])
def test_partial_fit_goes_on_from_the_best_weights_of_a_fit(average):
    rng = np.random.default_rng(0)
    X, y = rng.normal(size=(60, 20)), rng.integers(0, 2, 60)  # nothing to learn: the last weights are far from the best
    classifier = clone(QUICK).set_params(validation_fraction=0.3, epochs=40, average=average).fit(X, y)
    assert np.argmin(classifier.validation_loss_curve_) < 30
    before = classifier.predict_proba(X)
    after = classifier.set_params(learning_rate=1e-6).partial_fit(X, y).predict_proba(X)
    assert classifier.n_iter_ == 41
    assert 0 < np.abs(after - before).max() < 1e-3


def test_partial_fit_says_what_it_cannot_do():
    X, y = small()
    with pytest.raises(ValueError, match="classes: the first call of partial_fit needs the classes of all later calls"):
        NetClassifier().partial_fit(X, y)
    with pytest.raises(ValueError, match="class_weight: 'balanced' needs all of y at once"):
        NetClassifier(class_weight="balanced").partial_fit(X, y, classes=[0, 1])
    with pytest.raises(ConfigError, match="batch_norm: partial_fit needs 2 examples or more at a time"):
        NetClassifier(batch_norm=True).partial_fit(X[:1], y[:1], classes=[0, 1])


def test_warm_start_goes_on_from_the_last_weights(digits):
    X, y = digits
    classifier = clone(QUICK).set_params(warm_start=True, epochs=5).fit(X / 16, y)
    classifier.fit(X / 16, y)
    assert classifier.n_iter_ == len(classifier.loss_curve_) == 10
    assert classifier.loss_curve_[5] < classifier.loss_curve_[0] / 2
    with pytest.raises(ValueError, match="warm_start: y has the classes"):
        classifier.fit(X[y > 3] / 16, y[y > 3])
    with pytest.raises(ValueError, match="the weights given are of a network"):
        classifier.set_params(hidden=(7,)).fit(X / 16, y)


# Weights.


def test_sample_weight_0_is_not_being_there():
    X, y = small()
    weights = np.r_[np.ones(40), np.zeros(20)]
    with_zeros = clone(QUICK).fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(
        with_zeros.predict_proba(X), clone(QUICK).fit(X[:40], y[:40]).predict_proba(X), rtol=1e-9
    )


@pytest.mark.parametrize("balanced", ["balanced", {0: 1.0, 1: 3.0}, {1: 3.0}])
def test_class_weights_are_having_the_rare_class_more_often(balanced):
    X, y = small()
    chosen = np.r_[np.flatnonzero(y == 0)[:15], np.flatnonzero(y == 1)[:5]]
    X, y = X[chosen], y[chosen]
    repeated = np.repeat(np.arange(20), np.where(y == 1, 3, 1))
    weighted = clone(QUICK).set_params(class_weight=balanced, batch_size=20).fit(X, y)
    more = clone(QUICK).set_params(batch_size=30).fit(X[repeated], y[repeated])
    np.testing.assert_allclose(weighted.predict_proba(X), more.predict_proba(X), rtol=1e-6)


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ({0: 20, 1: 1}, r"class_weight: \[0, 1\] are not among the classes \['sick', 'well'\]"),
        ({"Sick": 20, "well": 1}, r"\['Sick'\] are not among .* and \['sick'\] have no weight; name the classes as y"),
        ({"sick ": 20}, r"\['sick '\] are not among the classes"),
        ({"sick": -1}, r"-1 for 'sick' does not work; give a number of 0 or more"),
        ({"sick": "20"}, r"'20' for 'sick' does not work"),
        ({"well": float("nan")}, r"nan for 'well' does not work"),
    ],
)
def test_a_class_weight_that_would_have_no_effect_is_an_error(weights, message):
    X, y = small()
    names = np.array(["sick", "well"])[y]
    with pytest.raises(ConfigError, match=message):
        NetClassifier(class_weight=weights).fit(X, names)
    with pytest.raises(ConfigError, match=message):
        NetClassifier(class_weight=weights).partial_fit(X, names, classes=["sick", "well"])


def test_a_dictionary_of_weights_may_name_more_classes_than_y_has():
    X, y = small()
    one = clone(QUICK).set_params(class_weight={np.int64(0): 1, 1: 3, 2: 9}).fit(X, y)
    other = clone(QUICK).set_params(class_weight={1: 3}).fit(X, y)
    np.testing.assert_array_equal(one.predict_proba(X), other.predict_proba(X))


def test_balance_counts_examples_by_their_weight():
    X, y = small()
    weights = np.where(y == 1, 4.0, 1.0)
    one = clone(QUICK).set_params(class_weight="balanced").fit(X, y)
    other = clone(QUICK).set_params(class_weight="balanced").fit(X, y, sample_weight=weights)
    np.testing.assert_allclose(one.predict_proba(X), other.predict_proba(X), rtol=1e-6)


# What cannot work.


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"activation": "relux"}, "activation: 'relux' is unknown; choose one of identity, sigmoid"),
        ({"hidden": (4, 0)}, "hidden: "),
        ({"hidden": (4.5,)}, "hidden: "),
        ({"batch_size": 61}, "batch_size: 61 is more than the 60 training examples"),
        ({"dtype": "float16"}, "dtype: 'float16' is unknown; choose one of auto, float32, float64"),
        ({"class_weight": "even"}, "class_weight: 'even' does not work; give None, 'balanced' or a dictionary"),
        ({"validation_fraction": 1.0}, "validation_fraction: 1.0 does not work"),
        ({"learning_rate": -1}, "learning_rate: -1 does not work"),
    ],
)
def test_arguments_are_checked_in_fit_and_not_before(arguments, message):
    classifier = clone(NetClassifier(**arguments))
    with pytest.raises(ConfigError, match=message):
        classifier.fit(*small())


def at(X, place, value):
    X = X.astype(float)
    X[place] = value
    return X


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda X, y: (at(X, (3, 2), np.nan), y), "NaN"),
        (lambda X, y: (at(X, (3, 2), np.inf), y), "infinity"),
        (lambda X, y: (X, at(y, 3, np.nan)), "NaN"),
        (lambda X, y: (X.T, y), "inconsistent numbers of samples"),
        (lambda X, y: (X, X[:, 0]), "Unknown label type: continuous"),
        (lambda X, y: (X, np.zeros(60)), "two classes or more; y .* has 1 class"),
        (lambda X, y: (X[:0], y[:0]), "0 sample"),
    ],
)
def test_bad_data_is_refused(spoil, message):
    with pytest.raises(ValueError, match=message):
        clone(QUICK).fit(*spoil(*small()))


def test_sparse_data_is_refused():
    X, y = small()
    with pytest.raises(TypeError, match=r"[Ss]parse"):
        clone(QUICK).fit(sparse.csr_array(X), y)


@pytest.mark.parametrize("weights", [-np.ones(60), np.zeros(60), np.full(60, np.nan), np.ones(59)])
def test_bad_weights_are_refused(weights):
    with pytest.raises(ValueError, match=r"weight|class|shape"):
        clone(QUICK).fit(*small(), sample_weight=weights)


def test_predicting_before_fitting():
    with pytest.raises(NotFittedError):
        QUICK.predict(small()[0])


def test_a_failed_fit_leaves_the_last_one_in_place():
    X, y = small()
    classifier = clone(QUICK).fit(X, y)
    before = classifier.predict_proba(X)
    classifier.set_params(optimizer="sgd", learning_rate=1e300, epochs=3)
    with pytest.raises(Diverged, match="Lower learning_rate"):
        classifier.fit(X, y)
    np.testing.assert_array_equal(classifier.predict_proba(X), before)
