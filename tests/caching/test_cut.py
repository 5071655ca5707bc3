import contextlib

import keras
import numpy as np
import pytest

import keras_transfer as kt
from keras_transfer.caching.cut import Cut
from keras_transfer.caching.no_cut_error import NoCutError
from tests import networks
from tests.backbones import saved_models

NETWORKS = [
    *("mlp", "cnn", "transformer", "unet", "two_towers"),
    *("nested", "as in the guide"),
]


def build(name):
    if name == "nested":
        return kt.build_classifier(networks.tiny_backbone(), 3)
    if name == "as in the guide":
        base = networks.tiny_backbone().model
        inputs = keras.Input((8, 8, 3))
        x = base(inputs, training=False)
        x = keras.layers.GlobalAveragePooling2D()(x)
        return keras.Model(inputs, keras.layers.Dense(3)(x))
    return networks.build(name)


def cuts(model):
    """Go through the cuts that the layer groups allow, from the top."""
    names = [group.name for group in kt.layer_groups(model)]
    for number in range(1, len(names)):
        kt.set_trainable(model, names[number:])
        with contextlib.suppress(NoCutError):
            yield Cut(model)


def check_cuts(model, x, which=slice(None)):
    """Compare bits: the same operations run on the same numbers."""
    expected = keras.tree.flatten(model(x, training=False))
    found = list(cuts(model))
    for cut in found[which]:
        tensors = cut.run_prefix(x)
        assert cut.is_of(tensors) and not cut.is_of(x)
        outputs = keras.tree.flatten(cut.run_tail(tensors, False))
        for a, b in zip(expected, outputs, strict=True):
            np.testing.assert_array_equal(a, b)
    return found


@pytest.mark.parametrize("name", NETWORKS)
def test_the_parts_together_are_the_model(name):
    model = build(name)
    x = networks.batch_for(model)
    found = check_cuts(model, x)
    assert len(found) == len(kt.layer_groups(model)) - 1
    assert len({cut.names for cut in found}) == len(found)
    # The nearer to the input, the fewer variables are frozen before the cut.
    counts = [len(cut.variables) for cut in found]
    assert counts == sorted(set(counts))


@pytest.mark.parametrize(
    "name", ["DenseNet121", "EfficientNetV2B0", "InceptionV3", "NASNetMobile"]
)
def test_families_of_keras_applications(name):
    model = networks.application(name)
    x = networks.batch_for(model, 2)
    found = check_cuts(model, x, slice(1, None, 6))
    # NASNet's cells pass several tensors on.
    widest = max(len(cut.names) for cut in found)
    assert (widest > 1) == (name == "NASNetMobile")
    kt.set_trainable(model, "all")


def test_the_cut_is_as_late_as_can_be():
    """After pooling, and before the dropout that is part of the head."""
    model = build("nested")
    kt.set_trainable(model, "head")
    [features] = Cut(model).run_prefix(networks.batch_for(model)).values()
    pooled = keras.Model(model.input, model.get_layer("head_pooling").output)
    np.testing.assert_array_equal(
        features, pooled(networks.batch_for(model), training=False)
    )


def test_a_saved_model_is_cut_whole(tmp_path):
    handle = saved_models.save_conv_net(tmp_path / "net")
    backbone = kt.load_backbone(handle, input_shape=(8, 8, 3))
    model = kt.build_classifier(backbone, 3)
    [cut] = check_cuts(model, networks.batch_for(model))
    assert len(cut.variables) == len(backbone.model.variables)
    kt.set_trainable(model, "top:1")
    with pytest.raises(NoCutError, match="nothing that is frozen"):
        Cut(model)


def test_dropout_draws_in_the_tail_and_not_in_the_prefix():
    model = networks.build("cnn")
    kt.set_trainable(model, "top:1")
    cut, x = Cut(model), networks.batch_for(model)
    first, again = (list(cut.run_prefix(x).values()) for _ in range(2))
    np.testing.assert_array_equal(first[0], again[0])
    tensors = cut.run_prefix(x)
    a, b = (cut.run_tail(tensors, True) for _ in range(2))
    assert not np.array_equal(a, b)


def test_a_cut_can_be_computed_from_one_before_it():
    model = networks.build("cnn")
    last, *_, first = list(cuts(model))[::-1]
    x = networks.batch_for(model)
    way = last.from_another(first)
    np.testing.assert_array_equal(
        list(way(first.run_prefix(x)).values())[0],
        list(last.run_prefix(x).values())[0],
    )
    assert first.from_another(last) is None


def test_statistics_that_adapt_are_not_frozen():
    model = networks.build("cnn")
    kt.set_trainable(model, "top:1", batch_norm="statistics")
    frozen = {id(variable) for variable in Cut(model).variables}
    *below, _, _ = kt.layer_groups(model)
    expected = {id(v) for group in below for v in group.variables}
    assert expected <= frozen
    top = kt.layer_groups(model)[-2]
    statistics = [v for v in top.variables if "moving_" in v.path]
    assert statistics and not frozen & set(map(id, statistics))


def test_the_digest_follows_the_prefix():
    model = networks.build("cnn")
    kt.set_trainable(model, "head")
    cut = Cut(model)
    before = cut.digest_weights()
    head = kt.layer_groups(model)[-1].variables[0]
    head.assign(head + 1)
    assert cut.digest_weights() == before
    cut.variables[-1].assign(cut.variables[-1] + 1)
    assert cut.digest_weights() != before


class Noise(keras.layers.Layer):
    """Says nothing of being random, but that training matters to it."""

    def call(self, inputs, training=False):
        return inputs + 1 if training else inputs


def test_what_cannot_be_cut_says_why():
    def with_layers(*layers):
        return keras.Sequential(
            [keras.Input((6,)), *layers, keras.layers.Dense(2)]
        )

    dense = keras.layers.Dense
    cases = [
        (networks.build("mlp"), "all", "nothing that is frozen"),
        (networks.build("text_rnn"), "top:2", "masks go"),
        (networks.build("subclassed"), "head", "no graph"),
        (with_layers(Noise(name="noise"), dense(4)), "head", "`noise` may"),
        (
            with_layers(keras.layers.GaussianNoise(1, name="fog"), dense(4)),
            "head",
            "`fog` may",
        ),
        (
            with_layers(dense(4, activity_regularizer="l2", name="costly")),
            "head",
            "`costly` adds to the loss",
        ),
    ]
    for model, train, reason in cases:
        kt.set_trainable(model, train)
        with pytest.raises(NoCutError, match=reason):
            Cut(model).run_prefix(networks.batch_for(model))
