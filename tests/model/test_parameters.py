"""Parameters: one vector and its views, the table of shapes, and the initial values."""

import copy
import pickle

import numpy as np
import pytest

from model.config import NetworkConfig
from model.parameters import DimensionError, Parameters, initialize, layer_shapes


def test_layer_views_share_the_memory_of_the_vector():
    parameters = Parameters((4, 3, 2), batch_norm=True, dtype=np.float64)
    parameters.flat[:] = np.arange(parameters.flat.size)
    np.testing.assert_array_equal(parameters[1].W, np.arange(12).reshape(3, 4))
    np.testing.assert_array_equal(parameters[1].b[:, 0], [12, 13, 14])
    np.testing.assert_array_equal(parameters[1].gamma[:, 0], [15, 16, 17])
    assert parameters[2].gamma is None
    parameters[2].b[:] = -1
    np.testing.assert_array_equal(parameters.flat[-2:], -1)


@pytest.mark.parametrize("duplicate", [lambda p: pickle.loads(pickle.dumps(p)), copy.deepcopy, Parameters.copy])
def test_a_copy_has_views_of_its_own_vector(duplicate):
    parameters = Parameters((4, 3, 2), batch_norm=True)
    parameters.flat[:] = 1
    again = duplicate(parameters)
    assert again.layer_dims == parameters.layer_dims
    np.testing.assert_array_equal(again.running, parameters.running)
    again.flat[:] = 7
    again.running[:] = 8
    assert (again[1].W == 7).all()
    assert (again[1].gamma == 7).all()
    assert (again.running_statistics(1).mean == 8).all()
    assert (parameters[1].W == 1).all()


def test_layers_are_counted_from_1_to_L():
    parameters = Parameters((4, 5, 5, 3, 1))
    assert parameters.L == 4
    for l in (0, 5, -1):
        with pytest.raises(IndexError, match=f"layer {l} does not exist; layers are counted from 1 to L = 4"):
            parameters[l]


def test_layer_shapes_are_the_table_of_the_chapter():
    config = NetworkConfig(hidden=(5, 5, 3), activation="tanh", head="sigmoid", batch_norm=False)
    rows = layer_shapes(Parameters((2, 5, 5, 3, 1)), config)
    assert [row.W for row in rows] == [(5, 2), (5, 5), (3, 5), (1, 3)]
    assert [row.b for row in rows] == [(5, 1), (5, 1), (3, 1), (1, 1)]
    assert [row.Z for row in rows] == [row.A for row in rows] == [(5, "m"), (5, "m"), (3, "m"), (1, "m")]
    assert [row.activation for row in rows] == ["tanh", "tanh", "tanh", "sigmoid"]
    assert sum(row.n_parameters for row in rows) == Parameters((2, 5, 5, 3, 1)).flat.size
    assert layer_shapes(Parameters((2, 1)), config, m=209)[0].A == (1, 209)


@pytest.mark.parametrize("layer_dims", [(4, 0, 1), (0, 3), (3,), (4, -2, 1)])
def test_layer_dims_without_units_raise(layer_dims):
    with pytest.raises(DimensionError, match=r"layer_dims is .*each 1 or more"):
        Parameters(layer_dims)


def test_a_vector_of_the_wrong_length_raises():
    with pytest.raises(
        DimensionError, match=r"layer_dims \(4, 3, 1\) needs 19 parameters in one vector, got shape \(18"
    ):
        Parameters((4, 3, 1), flat=np.zeros(18))


def test_b_starts_at_0_gamma_at_1_and_the_output_layer_small():
    config = NetworkConfig(hidden=(50, 40), head="softmax", batch_norm=True, head_scale=0.1)
    parameters = initialize((60, 50, 40, 10), config, np.random.default_rng(0))
    for l in (1, 2):
        _, b, gamma = parameters[l]
        assert not b.any()
        assert (gamma == 1).all()
    W, b, gamma = parameters[3]
    assert gamma is None
    assert not b.any()
    assert W.std() == pytest.approx(0.1 * np.sqrt(2 / 40), rel=0.15)
