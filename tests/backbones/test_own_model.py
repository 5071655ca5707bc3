"""Models of the user's own as backbones."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from keras_transfer.backbones.own_model import head_input
from tests import networks


def classifier(*top, side=8):
    """Build a convolutional base, and on top of it what is given."""
    base = networks.conv_base(side=side)
    x = layers.GlobalAveragePooling2D(name="pool")(base.output)
    for layer in top:
        x = layer(x)
    model = keras.Model(base.input, x, name="mine")
    networks.randomize(model)
    return model


def features_of(model, x):
    """Run a model up to the map that its residual blocks end in."""
    probe = keras.Model(model.input, model.get_layer("res_c_add").output)
    return probe(x)


SOFTMAX_HEADS = {
    "argument": lambda: [layers.Dense(3, activation="softmax")],
    "sigmoid": lambda: [layers.Dense(1, activation="sigmoid")],
    "activation": lambda: [layers.Dense(3), layers.Activation("softmax")],
    "layer": lambda: [layers.Dense(3), layers.Softmax()],
    "operation": lambda: [layers.Dense(3), keras.ops.softmax],
    "deep": lambda: [
        layers.Dense(8),
        layers.Dropout(0.5),
        layers.Dense(3, activation="softmax"),
    ],
}


@pytest.mark.parametrize("head", SOFTMAX_HEADS)
def test_a_head_with_probabilities_is_taken_off(head):
    model = classifier(*SOFTMAX_HEADS[head]())
    x = networks.batch_for(model)
    backbone = kt.load_backbone(model)
    assert backbone.model.output_shape == (None, 8, 8, 4)
    np.testing.assert_array_equal(backbone.model(x), features_of(model, x))


def test_logits_are_features():
    model = classifier(layers.Dense(3))
    x = networks.batch_for(model)
    backbone = kt.load_backbone(model)
    np.testing.assert_array_equal(backbone.model(x), model(x))
    assert backbone.feature_dim == 3


def test_the_weights_are_shared():
    model = classifier(layers.Dense(3, activation="softmax"))
    shared = {id(weight) for weight in kt.load_backbone(model).model.weights}
    assert shared < {id(weight) for weight in model.weights}


@pytest.mark.parametrize("name", ["sequential", "wrapper", "twice", "nested"])
def test_a_head_outside_or_inside_a_nested_model(name):
    inner = classifier(layers.Dense(3, activation="softmax"))
    base = keras.Model(inner.input, inner.get_layer("res_c_add").output)
    first = keras.Input((8, 8, 3))
    scale = layers.Rescaling(0.5)
    models = {
        "sequential": lambda: keras.Sequential([first, scale, inner]),
        "wrapper": lambda: keras.Model(first, inner(scale(first))),
        "twice": lambda: keras.Sequential(
            [first, keras.Sequential([scale, inner])]
        ),
        "nested": lambda: keras.Sequential(
            [
                first,
                scale,
                base,
                layers.Flatten(),
                layers.Dense(3, activation="softmax"),
            ]
        ),
    }
    model = models[name]()
    x = networks.batch_for(model)
    backbone = kt.load_backbone(model)
    expected = features_of(inner, x * 0.5)
    np.testing.assert_array_equal(backbone.model(x), expected)
    names = [group.name for group in backbone.groups]
    assert names == ["stem", "block_1", "block_2", "block_3"]


def test_mlp_and_text():
    mlp = kt.load_backbone(networks.build("mlp"))
    assert (mlp.feature_dim, mlp.modality) == (8, "other")
    text = kt.load_backbone(networks.build("text_rnn"))
    assert text.input_dtype == "int32"
    assert text.model.output_shape == (None, 3)


def test_a_subclassed_model_with_its_input_shape():
    model = networks.Subclassed()
    backbone = kt.load_backbone(model, input_shape=(6,))
    x = networks.batch_for(backbone.model)
    np.testing.assert_array_equal(backbone.model(x), model(x))
    assert len(backbone.groups) == 4
    assert len(backbone.model.weights) == 11


def test_a_sequential_model_without_input_takes_the_shape():
    model = keras.Sequential([layers.Dense(4), layers.Dense(2)])
    backbone = kt.load_backbone(model, input_shape=(6,))
    assert backbone.input_shape == (6,)
    assert backbone.feature_dim == 2


@pytest.mark.parametrize("name", ["subclassed", "OwnCall"])
def test_a_model_that_does_not_tell_its_input_shape(name):
    with pytest.raises(ValueError, match="Received: .* input_shape=None"):
        kt.load_backbone(networks.build(name))


def test_a_call_of_its_own_is_not_passed_over():
    model = networks.build("OwnCall")
    backbone = kt.load_backbone(model, input_shape=(6,))
    x = networks.batch_for(backbone.model)
    np.testing.assert_array_equal(backbone.model(x), model(x))


def test_another_input_shape():
    model = networks.build("cnn")
    assert kt.load_backbone(model, input_shape=[8, 8, 3]).name == "cnn"
    with pytest.raises(ValueError, match=r"Received: input_shape=\(9, 9, 3\)"):
        kt.load_backbone(model, input_shape=(9, 9, 3))


def test_a_dict_of_one_input():
    inputs = keras.Input((6,), name="table")
    outputs = layers.Dense(4)(layers.Dense(4)(inputs))
    model = keras.Model({"table": inputs}, [outputs])
    x = np.ones((2, 6), "float32")
    backbone = kt.load_backbone(model)
    np.testing.assert_array_equal(backbone.model(x), model({"table": x}))


@pytest.mark.parametrize("name", ["two_towers", "two_outputs"])
def test_several_inputs_or_outputs(name):
    with pytest.raises(ValueError, match="one input and one output.*Received:"):
        kt.load_backbone(networks.build(name))


def test_the_convention_follows_from_the_name():
    for name, kind in [
        ("vgg16", "CaffePreprocessing"),
        ("xception", "Rescaling"),
        ("efficientnet_lite0", "Rescaling"),
        ("mine", "Identity"),
    ]:
        model = classifier(layers.Dense(3, activation="softmax"))
        renamed = keras.Model(model.input, model.output, name=name)
        preprocess = kt.load_backbone(renamed).preprocess
        assert type(preprocess).__name__ == kind


def test_preprocessing_of_ones_own():
    mine = layers.Rescaling(2.0)
    for source in (networks.build("cnn"), "VGG16"):
        backbone = kt.load_backbone(
            source,
            preprocess=mine,
            weights="imagenet" if source != "VGG16" else None,
        )
        assert backbone.preprocess is mine


def test_a_classifier_of_ours_as_a_source():
    first = kt.build_classifier(
        kt.load_backbone("MobileNetV2", weights=None, input_shape=(32, 32, 3)),
        ["a", "b"],
    )
    backbone = kt.load_backbone(first)
    second = kt.build_classifier(backbone, 3)
    x = np.random.default_rng(0).uniform(0, 255, (2, 32, 32, 3))
    features = backbone.model(backbone.preprocess(x))
    inner = first.get_layer("backbone")
    expected = inner(first.get_layer("preprocessing")(x))
    np.testing.assert_array_equal(features, expected)
    groups = [group.name for group in kt.layer_groups(second)]
    assert groups == [group.name for group in kt.layer_groups(first)]


def test_head_input_of_a_model_without_a_single_entry():
    for name in ("two_towers", "adapted", "unet", "subclassed"):
        assert head_input(networks.build(name)) is None
