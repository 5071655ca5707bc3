"""Which layer groups have a feature map to look at, and which model none."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from keras_transfer.board.feature_maps import (
    feature_map_groups,
    find_feature_maps,
)
from keras_transfer.caching.unrolled_graph import unroll_graph
from tests import networks
from tests.backbones import saved_models


def last_map(model, group):
    """Return the layer that makes the last feature map of a group."""
    steps = unroll_graph(model).steps
    key = find_feature_maps(model, steps)[group]
    [step] = [step for step in steps if key in step.writes]
    return step.operation.name


def test_groups_are_those_of_layer_groups():
    names = tuple(group.name for group in kt.layer_groups(networks.cnn()))
    assert feature_map_groups(networks.cnn()) == names[:-1]
    model = kt.build_classifier(networks.tiny_backbone(), 3)
    names = tuple(group.name for group in kt.layer_groups(model))
    assert feature_map_groups(model) == names[:-1]


@pytest.mark.parametrize("family", ["MobileNet", "MobileNetV3Small", "VGG16"])
def test_the_deepest_map_is_the_one_that_becomes_a_vector(family):
    application = getattr(keras.applications, family)
    model = application(weights=None, input_shape=(64, 64, 3), classes=7)
    layer = model.get_layer(last_map(model, feature_map_groups(model)[-1]))
    assert layer.output.shape[1:3] == (2, 2)
    [reader] = layer._outbound_nodes
    assert np.prod(reader.outputs[0].shape[1:-1]) == 1


def test_a_block_ends_in_its_sum():
    assert last_map(networks.cnn(), "block_1") == "res_a_add"
    assert last_map(networks.cnn(), "stem") == "first_bn"


def test_what_is_in_no_group_or_used_again_belongs_to_what_feeds_it():
    inputs = keras.Input((8, 8, 3))
    relu = layers.ReLU(name="used_again")
    x = relu(layers.Conv2D(4, 3, padding="same")(inputs))
    for _ in range(2):
        y = layers.Conv2D(4, 3, padding="same", activation="relu")(x)
        x = x + layers.Conv2D(4, 3, padding="same")(y)
    x = layers.GlobalAveragePooling2D()(relu(x))
    model = keras.Model(inputs, layers.Dense(3)(x))
    assert feature_map_groups(model) == ("stem", "block_1", "block_2")
    assert last_map(model, "block_1").startswith("add")
    assert last_map(model, "block_2") == "used_again"


def test_convolutions_of_the_head_count():
    head = [
        layers.Conv2D(5, 3, name="late"),
        layers.Flatten(),
        layers.Dense(3),
    ]
    backbone = kt.load_backbone(networks.conv_base(side=8))
    model = kt.build_classifier(backbone, 3, head=head, pooling=None)
    assert feature_map_groups(model)[-1] == "head"
    assert last_map(model, "head") == "late"


def test_images_that_only_pass_through_are_no_feature_maps():
    model = keras.Sequential(
        [
            keras.Input((8, 8, 3)),
            layers.Rescaling(1 / 255),
            layers.Flatten(),
            layers.Dense(3),
        ]
    )
    with pytest.raises(ValueError, match="shows none.*Received: model="):
        feature_map_groups(model)


def test_a_hub_layer_shows_none(tmp_path):
    layer = kt.HubLayer(saved_models.save_conv_net(tmp_path / "net"))
    side = saved_models.SIZE
    model = keras.Sequential(
        [keras.Input((side, side, 3)), layer, layers.Dense(3)]
    )
    with pytest.raises(ValueError, match="TF Hub module.*Received: model="):
        feature_map_groups(model)
    with pytest.raises(ValueError, match="TF Hub layer.*Received: model="):
        feature_map_groups(layer)


def test_a_model_without_a_graph_is_refused():
    unbuilt = keras.Sequential([layers.Conv2D(4, 3), layers.Dense(3)])
    for model in (unbuilt, networks.subclassed(), networks.OwnCall()):
        with pytest.raises(ValueError, match="subclassed.*Received: model="):
            feature_map_groups(model)


@pytest.mark.parametrize("name", ["mlp", "unet", "two_towers", "siamese"])
def test_what_is_no_image_classifier_is_refused(name):
    with pytest.raises(ValueError, match=r"classes\)`. Received: model=.*inp"):
        feature_map_groups(networks.build(name))
