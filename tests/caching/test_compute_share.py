import keras
import pytest

import keras_transfer as kt
from keras_transfer.caching.compute_share import estimate_share
from keras_transfer.caching.cut import Cut


def test_it_counts_products():
    """Against numbers worked out by hand."""
    inputs = keras.Input((10, 10, 3))
    x = keras.layers.Conv2D(4, 3, name="block1_conv")(inputs)  # 8 x 8
    x = keras.layers.BatchNormalization(name="block1_bn")(x)
    x = keras.layers.Conv2D(2, 3, name="block2_conv")(x)  # 6 x 6
    x = keras.layers.Flatten()(x)
    model = keras.Model(inputs, keras.layers.Dense(5, name="head")(x))
    first, second, head = 64 * 27 * 4, 36 * 36 * 2, 72 * 5
    for train, frozen, trained in (
        ("head", first + second, head),
        ("top:1", first, second + head),
    ):
        kt.set_trainable(model, train)
        cut = Cut(model)
        expected = frozen / (frozen + 3 * trained)
        assert estimate_share(cut.steps, cut.tail) == pytest.approx(expected)


def test_a_stem_is_little_and_all_but_the_head_is_much():
    backbone = kt.load_backbone(
        "MobileNetV2", weights=None, input_shape=(64, 64, 3)
    )
    model = kt.build_classifier(backbone, 3)
    names = [group.name for group in kt.layer_groups(model)]
    shares = []
    for number in (1, len(names) // 2, len(names) - 1):
        kt.set_trainable(model, names[number:])
        cut = Cut(model)
        shares.append(estimate_share(cut.steps, cut.tail))
    assert shares == sorted(shares)
    assert shares[0] < 0.03 and shares[-1] > 0.99
