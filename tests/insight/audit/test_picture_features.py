"""Features of small pictures, in their order and of one length."""

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.insight.audit import picture_features
from keras_transfer.insight.audit.picture_features import (
    compute_features,
    trim_border,
)


def _sheet(top, left, bottom, right, side=64):
    sheet = np.full((side, side, 3), 250, "uint8")
    sheet[top:bottom, left:right] = np.random.default_rng(0).integers(
        0, 200, (bottom - top, right - left, 3)
    )
    return sheet


def test_borders_are_cut_off():
    sheet = _sheet(10, 20, 42, 52)
    np.testing.assert_array_equal(
        trim_border(sheet, (32, 32)), sheet[10:42, 20:52]
    )
    full = _sheet(0, 0, 64, 64)
    np.testing.assert_array_equal(trim_border(full, (64, 64)), full)
    assert trim_border(full, (30, 20)).shape == (20, 30, 3)


@pytest.mark.parametrize("box", [(0, 0, 0, 0), (30, 30, 33, 60)])
def test_what_is_blank_or_hardly_there_stays(box):
    sheet = _sheet(*box)
    np.testing.assert_array_equal(trim_border(sheet, (64, 64)), sheet)


def test_averages_and_maxima_of_the_network(tmp_path):
    inputs = keras.Input((32, 32, 3))
    model = keras.Model(
        inputs, keras.layers.Conv2D(4, 3, strides=2, activation="relu")(inputs)
    )
    backbone = kt.load_backbone(model)
    random = np.random.default_rng(1)
    pictures = random.integers(0, 256, (70, 32, 32, 3)).astype("uint8")
    pictures[:, 0] = random.integers(0, 256, (70, 32, 3))
    found = compute_features(backbone, pictures)
    assert found.shape == (70, 8)
    maps = model.predict(
        np.stack([trim_border(p, (32, 32)) for p in pictures]).astype(
            "float32"
        ),
        verbose=0,
    )
    for half, values in (
        (found[:, :4], maps.mean(axis=(1, 2))),
        (found[:, 4:], maps.max(axis=(1, 2))),
    ):
        lengths = np.linalg.norm(values, axis=1, keepdims=True)
        np.testing.assert_allclose(half, values / lengths, rtol=1e-4, atol=1e-5)
    again = compute_features(backbone, pictures, cache=tmp_path)
    np.testing.assert_allclose(again, found, rtol=1e-3, atol=1e-4)


def _network(nested):
    inputs = x = keras.Input((32, 32, 3))
    for number, channels in enumerate((4, 5, 6, 7)):
        x = keras.layers.Conv2D(channels, 3, name=f"block{number}_conv")(x)
    network = keras.Model(inputs, x)
    if nested:
        inputs = keras.Input((32, 32, 3))
        network = keras.Model(inputs, keras.layers.ReLU()(network(inputs)))
    return kt.load_backbone(network)


@pytest.mark.parametrize("nested", [False, True])
def test_the_upper_half_of_the_groups_tells(nested):
    backbone = _network(nested)
    pictures = np.random.default_rng(2).integers(0, 256, (3, 32, 32, 3))
    found = compute_features(backbone, pictures.astype("uint8"))
    assert len(backbone.groups) == 4
    sizes = [7, 7] if nested else [7, 7, 6, 6]
    assert found.shape == (3, sum(sizes))
    for part in np.split(found, np.cumsum(sizes)[:-1], axis=1):
        np.testing.assert_allclose(np.linalg.norm(part, axis=1), 1, rtol=1e-5)


def test_not_too_many(monkeypatch):
    monkeypatch.setattr(picture_features, "_MOST_FEATURES", 20)
    pictures = np.zeros((2, 32, 32, 3), "uint8")
    assert compute_features(_network(False), pictures).shape == (2, 14)
