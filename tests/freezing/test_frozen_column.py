"""A network that nothing trains."""

import keras
import numpy as np

from keras_transfer.freezing.adapted_variables import adapted_variables
from keras_transfer.freezing.frozen_column import FrozenColumn
from tests import networks


def column():
    """Take over a network with BatchNorm, dropout and a list of outputs."""
    inner = networks.build("cnn")
    features = inner.get_layer("res_a_add").output
    return FrozenColumn(
        keras.Model(inner.input, [inner.output, features]),
        class_names=("a", "b", "c"),
        name="frozen",
    )


def around(layer):
    inputs = keras.Input((8, 8, 3))
    outputs = keras.layers.Dense(3)(layer(inputs)[0])
    return keras.Model(inputs, outputs)


def test_no_flag_reaches_its_weights():
    layer = column()
    model = around(layer)
    for part in (model, layer, layer.column, *layer.column.layers):
        part.trainable = False
        part.trainable = True
    assert layer.trainable is False and layer.trainable_weights == []
    assert len(layer.weights) == len(layer.column.weights)
    assert model.trainable_weights == model.layers[-1].weights
    before = networks.values(layer.weights)
    x = networks.batch_for(model)
    networks.train(model, x)
    assert not networks.moved(layer.weights, before)


def test_it_runs_in_inference_mode():
    layer = column()
    x = networks.batch_for(layer.column)
    expected = layer.column(x, training=False)
    model = around(layer)
    probe = keras.Model(model.input, layer.output)
    for found, wanted in zip(probe(x, training=True), expected, strict=True):
        np.testing.assert_array_equal(found, wanted)


def test_a_file_has_its_weights_once(tmp_path):
    layer = column()
    model = around(layer)
    x = networks.batch_for(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(x), model(x))
    assert loaded.get_layer("frozen").class_names == ["a", "b", "c"]
    assert loaded.get_layer("frozen").trainable_weights == []
    model.save_weights(tmp_path / "model.weights.h5")
    numbers = sum(int(np.prod(w.shape)) for w in layer.column.weights)
    assert model.count_params() == numbers + 12
    fresh = around(column())
    fresh.load_weights(tmp_path / "model.weights.h5")
    np.testing.assert_array_equal(fresh(x), model(x))


def test_what_it_knows_is_not_learned_here():
    model = around(column())
    held = {id(w) for w in model.get_layer("frozen").weights}
    assert held == adapted_variables(model)
