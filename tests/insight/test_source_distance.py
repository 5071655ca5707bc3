import keras
import numpy as np
import pytest
from sklearn.datasets import load_digits, load_sample_images

import keras_transfer as kt
from keras_transfer.insight.source_distance import (
    distance_beside_noise,
    measure_distance,
)
from tests import networks


def normalizing(mean=3.0, deviation=2.0):
    """A network that remembers normal data."""
    model = keras.Sequential(
        [keras.Input((4,)), keras.layers.BatchNormalization(epsilon=0.0)]
    )
    ones = np.ones(4)
    model.set_weights([ones, 0 * ones, mean * ones, deviation**2 * ones])
    return model


@pytest.mark.parametrize(
    ("mean", "deviation", "expected"),
    [(3, 2, 0.0), (7, 2, 2.0), (3, 6, 2.0), (7, 6, np.sqrt(8))],
)
def test_it_is_a_distance_of_normal_distributions(mean, deviation, expected):
    x = np.random.default_rng(0).normal(size=(500, 4))
    x = (x - x.mean(axis=0)) / x.std(axis=0) * deviation + mean
    found = measure_distance(normalizing(), x.astype("float32"))
    assert found == pytest.approx(expected, abs=1e-4)


def test_nothing_is_known_of_what_remembers_nothing():
    without = keras.Sequential([keras.Input((6,)), keras.layers.Dense(3)])
    never_trained = networks.conv_base()
    x = np.ones((2, 8, 8, 3), "float32")
    assert measure_distance(without, x[:, :6, 0, 0]) is None
    assert measure_distance(never_trained, x) is None
    assert distance_beside_noise(never_trained, x) is None
    assert distance_beside_noise(normalizing(), x[:, 0, 0]) is None


def test_the_model_is_left_alone():
    model = networks.build("nested")
    before = networks.values(model.variables)
    assert measure_distance(model, networks.batch_for(model)) > 0
    assert not networks.moved(model.variables, before)
    assert not any("call" in vars(x) for x in model._flatten_layers())


def test_photos_are_nearer_to_imagenet_than_digits():
    """Digits are nearly as far from it as noise is."""
    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0", input_shape=(97, 97, 3)
    )
    model = kt.build_classifier(backbone, 2)
    random = np.random.default_rng(0)
    photos = []
    for image in load_sample_images().images:
        for _ in range(8):
            y, x = random.integers(0, 200, 2)
            photos.append(image[y : y + 194 : 2, x : x + 194 : 2])
    digits = np.repeat(load_digits().images[:16, ..., None], 3, axis=-1) * 16
    digits = np.array(keras.ops.image.resize(digits, (97, 97)))
    near, far = (
        distance_beside_noise(model, np.array(part, "float32"))
        for part in (photos, digits)
    )
    assert near < 0.75 and 0.8 < far < 1.1
