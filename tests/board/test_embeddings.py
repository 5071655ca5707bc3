import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.board.embeddings import make_embed


def images(count=5):
    return np.random.default_rng(0).uniform(size=(count, 8, 8, 3)) * 255


def build_backbone():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv_1", activation="relu")(inputs)
    x = keras.layers.Conv2D(6, 3, name="conv_2", activation="relu")(x)
    return keras.Model(inputs, x)


@pytest.mark.parametrize("eagerly", [False, True])
@pytest.mark.parametrize("head", [None, [keras.layers.Dense(9)]])
def test_what_enters_the_head_is_pooled_features(eagerly, head):
    network = build_backbone()
    model = kt.build_classifier(kt.load_backbone(network), 3, head=head)
    model.compile("sgd", "mse", run_eagerly=eagerly)
    expected = network.predict(images(), verbose=0).mean(axis=(1, 2))
    for _ in range(2):
        found = np.asarray(make_embed(model)(images())[0])
        np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_a_head_that_reads_a_map_has_its_mean():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            keras.layers.Conv2D(4, 3, activation="relu"),
            keras.layers.Conv2D(5, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )
    features = keras.Model(model.inputs, model.layers[2].output)
    np.testing.assert_allclose(
        make_embed(model)(images())[0],
        features.predict(images(), verbose=0),
        rtol=1e-4,
    )


def test_the_model_is_left_as_it_was():
    model = kt.build_classifier(kt.load_backbone(build_backbone()), 3)
    before = model.predict(images(), verbose=0)
    _, outputs = make_embed(model)(images())
    np.testing.assert_allclose(outputs, before, rtol=1e-5)
    assert not any("call" in vars(x) for x in model._flatten_layers())
    np.testing.assert_array_equal(model.predict(images(), verbose=0), before)


class Subclassed(keras.Model):
    def __init__(self):
        super().__init__()
        self.first = keras.layers.Dense(4, activation="relu")
        self.top = keras.layers.Dense(3)

    def call(self, x):
        return self.top(self.first(x))


def test_subclassed_models_have_a_head_too():
    model, x = Subclassed(), images().reshape(5, -1)
    model(x)
    np.testing.assert_allclose(
        make_embed(model)(x)[0], model.first(x), rtol=1e-5
    )


def test_what_has_no_head_is_refused():
    with pytest.raises(ValueError, match="no head"):
        make_embed(build_backbone())
