"""A new head on an old body."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from tests import networks


def classifier():
    backbone = kt.load_backbone(networks.conv_base())
    networks.randomize(backbone.model)
    return kt.build_classifier(
        backbone, ["a", "b"], augmentation=layers.RandomFlip()
    )


def body(model):
    """List the weights of all groups below the head."""
    groups = kt.layer_groups(model)
    assert groups[-1].name == "head"
    return [v for group in groups[:-1] for v in group.variables]


def test_all_but_the_head_stays():
    old = classifier()
    new = kt.replace_head(old, ["x", "y", "z"])
    assert list(new.class_names) == ["x", "y", "z"]
    assert new.name == old.name
    assert type(new) is type(old)
    assert [layer.name for layer in new.layers] == [
        layer.name for layer in old.layers
    ]
    for name in ("augmentation", "preprocessing", "backbone"):
        assert new.get_layer(name) is old.get_layer(name)
    assert new.get_layer("predictions") is not old.get_layer("predictions")
    assert [id(v) for v in body(new)] == [id(v) for v in body(old)]


def test_the_new_head_alone_trains():
    old = classifier()
    new = kt.replace_head(old, 3)
    x = networks.batch_for(new)
    before = networks.values(new.weights)
    expected = np.array(old(x))
    networks.train(new, x)
    moved = networks.moved(new.weights, before)
    assert moved == {v.path for v in kt.layer_groups(new)[-1].variables}
    np.testing.assert_array_equal(old(x), expected)


@pytest.mark.parametrize(
    "name", ["mlp", "cnn", "text_rnn", "transformer", "nested", "nested_twice"]
)
def test_a_plain_keras_model(name):
    old = networks.build(name)
    new = kt.replace_head(old, 5)
    assert new.output_shape == (None, 5)
    assert new(networks.batch_for(old)).shape == (6, 5)
    assert [id(v) for v in body(new)] == [id(v) for v in body(old)]


def test_a_wrapper_around_a_whole_classifier():
    old = networks.build("wrapper")
    new = kt.replace_head(old, 5)
    assert [id(v) for v in body(new)] == [id(v) for v in body(old)]
    assert new(networks.batch_for(old)).shape == (6, 5)


@pytest.mark.parametrize("name", ["MobileNetV2", "MobileNetV3Small", "VGG16"])
def test_a_classifier_of_keras_applications(name):
    old = networks.application(name)
    new = kt.replace_head(old, 5)
    assert [id(v) for v in body(new)] == [id(v) for v in body(old)]
    assert [w.shape[-1] for w in new.trainable_weights] == [5, 5]


def test_the_options_of_a_head():
    new = kt.replace_head(
        classifier(),
        4,
        head=[layers.Flatten(), layers.Dense(6)],
        pooling=None,
        multi_label=True,
    )
    assert new.layers[-1].activation is keras.activations.sigmoid
    assert len(kt.layer_groups(new)[-1].variables) == 4


def test_again_and_saved(tmp_path):
    new = kt.replace_head(kt.replace_head(classifier(), 3), ["x", "y"])
    new.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    x = networks.batch_for(new)
    np.testing.assert_array_equal(loaded(x), new(x))
    assert list(loaded.class_names) == ["x", "y"]


@pytest.mark.parametrize(
    "name", ["unet", "two_towers", "adapted", "subclassed", "OwnCall"]
)
def test_a_model_without_a_head_that_one_tensor_enters(name):
    with pytest.raises(ValueError, match=r"Received: model=.*'stem'"):
        kt.replace_head(networks.build(name), 3)


def test_wrong_arguments():
    with pytest.raises(ValueError, match="Received: classes=0"):
        kt.replace_head(classifier(), 0)
    with pytest.raises(ValueError, match="Received: pooling='sum'"):
        kt.replace_head(classifier(), 3, pooling="sum")
