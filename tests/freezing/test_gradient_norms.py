import keras
import numpy as np
import pytest

from keras_transfer.freezing.gradient_norms import relative_gradient_norms
from tests import networks


def test_norms_of_a_linear_model_in_closed_form():
    """y = (x a) b with the mean squared error, differentiated by hand."""
    model = keras.Sequential(
        [
            keras.Input((3,)),
            keras.layers.Dense(2, use_bias=False),
            keras.layers.Dense(1, use_bias=False),
        ]
    )
    model.compile("sgd", "mse")
    random = np.random.default_rng(0)
    a, b = random.normal(size=(3, 2)), random.normal(size=(2, 1))
    model.set_weights([a, b])
    batches = [(random.normal(size=(5, 3)), random.normal(size=(5, 1)))] * 2
    x, y = batches[0]
    error = 2 * (x @ a @ b - y) / 5
    expected = {
        "stem": np.linalg.norm(x.T @ error @ b.T) / np.linalg.norm(a),
        "head": np.linalg.norm((x @ a).T @ error) / np.linalg.norm(b),
    }
    found = relative_gradient_norms(model, batches)
    assert found == pytest.approx(expected, rel=1e-4)


def test_frozen_groups_are_measured_and_nothing_changes():
    model = networks.cnn()
    model.trainable = False
    model.compile("sgd", "mse")
    before = networks.values(model.variables)
    x = networks.batch_for(model)
    norms = relative_gradient_norms(model, [(x, np.ones((6, 3)))])
    assert list(norms) == ["stem", "block_1", "block_2", "block_3", "head"]
    assert min(norms.values()) > 0
    assert not networks.moved(model.variables, before)


def test_no_data_no_norms():
    model = networks.cnn()
    model.compile("sgd", "mse")
    with pytest.raises(ValueError, match="no batches. Received: data="):
        relative_gradient_norms(model, [])


def test_statistics_of_the_inputs_are_no_weights():
    random = np.random.default_rng(0)
    x, y = random.normal(size=(8, 2)) + 50, random.normal(size=(8, 1))
    normalize = keras.layers.Normalization()
    normalize.adapt(x)
    layers = [keras.layers.Dense(2), keras.layers.Dense(1)]
    found = []
    for inputs, first in ((x, [normalize]), (normalize(x).numpy(), [])):
        model = keras.Sequential([keras.Input((2,)), *first, *layers])
        model.compile("sgd", "mse")
        found.append(relative_gradient_norms(model, [(inputs, y)]))
    assert found[0] == pytest.approx(found[1], rel=1e-4)
