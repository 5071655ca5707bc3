"""What can be had without training, on tiny networks and on a real one."""

import pathlib

import keras
import numpy as np
import pytest
import tensorflow as tf
from sklearn.linear_model import LogisticRegression
from sklearn.preprocessing import StandardScaler

import keras_transfer as kt
from keras_transfer.caching.pooled_features import pooled_features
from keras_transfer.insight import baselines as named
from keras_transfer.insight.baseline import baseline, forget
from keras_transfer.insight.baselines import Baselines
from tests.networks import tiny_backbone

CLIPART = pathlib.Path(__file__).parents[2] / "examples/data/clipart14"


def pictures(count=60, seed=0):
    """Noisy pictures of three brightnesses."""
    random = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    x = (
        random.normal(0, 40, (count, 8, 8, 3))
        + 60 * labels[:, None, None, None]
    )
    return x.astype("float32").clip(0, 255), labels


def test_rows_are_those_of_scikit_learn():
    backbone, train, other = tiny_backbone(), pictures(), pictures(30, 1)
    found = baseline(train, backbone, other)
    rows = {row["baseline"]: row for row in found.rows}
    assert list(rows) == [
        named.MOST_FREQUENT,
        named.NEIGHBOURS,
        named.REGRESSION,
        named.RANDOM_NEIGHBOURS,
        named.RANDOM_REGRESSION,
        named.PIXELS,
    ]
    assert rows[named.MOST_FREQUENT]["accuracy"] == pytest.approx(1 / 3)
    (x, y), (x_other, y_other) = (
        pooled_features(backbone, data)
        for data in map(as_dataset, (train, other))
    )
    scaler = StandardScaler().fit(x)
    oracle = LogisticRegression(C=0.1, max_iter=2000)
    oracle.fit(scaler.transform(x), y)
    accuracy = oracle.score(scaler.transform(x_other), y_other)
    assert rows[named.REGRESSION]["accuracy"] == pytest.approx(accuracy)
    assert all(
        row["low"] <= row["accuracy"] <= row["high"] and row["examples"] == 30
        for row in rows.values()
    )
    assert str(found).startswith("On validation data")


def as_dataset(arrays):
    return tf.data.Dataset.from_tensor_slices(arrays).batch(16)


def test_without_validation_data_every_example_is_answered_once():
    found = baseline(pictures(), tiny_backbone())
    assert {row["examples"] for row in found.rows} == {60}
    # Of each class there is as much in every other fold.
    assert found.right[named.MOST_FREQUENT].mean() <= 0.5
    assert "held-out" in str(found)


def test_the_network_is_left_as_it_is_and_so_is_what_is_random():
    backbone = tiny_backbone()
    before = backbone.model.get_weights()
    keras.utils.set_random_seed(3)
    expected = keras.random.normal((4,))
    keras.utils.set_random_seed(3)
    baseline(pictures(), backbone, seed=5)
    assert np.array_equal(keras.random.normal((4,)), expected)
    for old, new in zip(before, backbone.model.get_weights(), strict=True):
        assert np.array_equal(old, new)


def test_random_weights_are_other_ones_and_repeat():
    backbone = tiny_backbone()
    again = [forget(backbone, seed).model.get_weights() for seed in (1, 1, 2)]
    assert np.array_equal(again[0][0], again[1][0])
    assert not np.array_equal(again[0][0], again[2][0])
    assert not np.array_equal(again[0][0], backbone.model.get_weights()[0])


def test_shuffled_training_data_is_described_in_one_pass():
    x, y = pictures()
    shuffled = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(60).batch(16)
    found = baseline(shuffled, tiny_backbone(), pictures(30, 1))
    assert found.right[named.PIXELS].mean() > 0.9


def test_zero_shot_of_the_sources_own_head():
    backbone = tiny_backbone()
    head = keras.layers.Dense(2, "softmax")
    outputs = head(keras.layers.GlobalAveragePooling2D()(backbone.model.output))
    source = keras.Model(backbone.model.input, outputs)
    source.class_names = ["dark", "bright"]
    data = as_dataset(pictures())
    data.class_names = ["Dark", "grey", "bright"]
    found = baseline(data, backbone, source_model=source)
    row = found.rows[-1]
    assert row["baseline"] == named.ZERO_SHOT
    assert row["examples"] == 40  # grey is none of its classes
    x, y = pictures()
    said = source.predict(backbone.preprocess(x), verbose=0).argmax(axis=1)
    some = y != 1
    assert row["accuracy"] == pytest.approx((2 * said == y)[some].mean())
    none = baseline(
        data, backbone, source_model=source, class_map={"grey": "dark"}
    )
    assert named.ZERO_SHOT not in none.right


@pytest.mark.parametrize(
    ("with_source", "pixels", "expected"),
    [(0.9, 0.5, "helps"), (0.5, 0.9, "Negative"), (0.6, 0.6, "not clear")],
)
def test_verdict(with_source, pixels, expected):
    random = np.random.default_rng(0)
    right = {
        named.REGRESSION: random.random(200) < with_source,
        named.PIXELS: random.random(200) < pixels,
    }
    right = {name: part.astype(float) for name, part in right.items()}
    found = Baselines(right, "validation", 1.0)
    assert found.best_without_source == named.PIXELS
    assert expected in found.verdict
    gain, low, high = found.gain()
    assert low < gain < high
    assert gain == pytest.approx(
        right[named.REGRESSION].mean() - right[named.PIXELS].mean()
    )


def test_bad_input():
    backbone = tiny_backbone()
    with pytest.raises(ValueError, match="backbone must|`backbone` must"):
        baseline(pictures(), backbone.model)
    x, y = pictures()
    with pytest.raises(ValueError, match="two classes"):
        baseline((x, 0 * y), backbone)
    with pytest.raises(ValueError, match="`source_model`"):
        baseline((x, y), backbone, class_map={"a": 1})


def test_on_real_pictures_imagenet_helps():
    train, validation = kt.load_image_folder(
        CLIPART, image_size=64, verbose=False
    )
    backbone = kt.load_backbone(
        "bundled:efficientnet_lite0", input_shape=(64, 64, 3)
    )
    found = baseline(train.take(8), backbone, validation)
    assert found.gain()[1] > 0
    assert found.verdict.startswith("The source helps")
    accuracy = {row["baseline"]: row["accuracy"] for row in found.rows}
    assert accuracy[named.REGRESSION] > 0.4
    assert accuracy[named.RANDOM_REGRESSION] < 0.35
