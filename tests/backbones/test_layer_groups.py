"""Groups hold each weight once, in the order of depth."""

import keras
import numpy as np
import pytest
from keras import layers

import keras_transfer as kt
from keras_transfer.backbones.graph import functional_graph, ordered_nodes
from keras_transfer.backbones.layer_groups import count_weights
from tests import networks
from tests.backbones import saved_models

# Number of groups, and of weight tensors in the first and in the last one.
FAMILIES = {
    "ConvNeXtTiny": (23, 4, 4),
    "DenseNet121": (6, 5, 2),
    "EfficientNetB0": (18, 8, 2),
    "EfficientNetV2B0": (23, 5, 2),
    "InceptionResNetV2": (46, 20, 2),
    "InceptionV3": (13, 20, 2),
    "MobileNet": (15, 5, 2),
    "MobileNetV2": (18, 15, 2),
    "MobileNetV3Small": (12, 19, 4),
    "NASNetMobile": (18, 5, 2),
    "ResNet50": (18, 6, 2),
    "ResNet50V2": (18, 2, 2),
    "VGG16": (7, 2, 6),
    "Xception": (16, 5, 2),
}
# The first weighted layer of each group of a tiny network.
NETWORKS = {
    "mlp": ["dense", "dense", "dense"],
    "cnn": ["first_conv", "res_a_conv", "res_b_conv", "res_c_conv", "dense"],
    "text_rnn": ["embedding", "bidirectional", "gru", "dense", "dense"],
    "transformer": [
        "embedding",
        *["layer_normalization"] * 4,
        "dense",
    ],
    "two_outputs": ["dense", "dense", "age"],
    "siamese": [
        "first_conv",
        "res_a_conv",
        "res_b_conv",
        "res_c_conv",
        "dense",
    ],
    "tied": ["shared", "wide_a", "wide_b", "wide_c", "out"],
    "nested": ["first_conv", "res_a_conv", "res_b_conv", "res_c_conv", "dense"],
    "nested_twice": [
        "first_conv",
        "res_a_conv",
        "res_b_conv",
        "res_c_conv",
        "top",
    ],
    "adapted": [
        "to_rgb",
        "res_a_conv",
        "res_b_conv",
        "res_c_conv",
        "table_dense",
    ],
    "wrapper": [
        "first_conv",
        "res_a_conv",
        "res_b_conv",
        "res_c_conv",
        "dense",
    ],
    "blocks": ["block", "block", "block", "dense"],
    "subclassed": ["dense", "batch_normalization", "dense", "dense"],
    "Functional": ["first", "second", "third", "last"],
    "OwnCall": ["first", "second", "third", "last"],
}


def assert_partition(model, groups):
    """Check the names, and that each weight is in exactly one group."""
    middle = [group.name for group in groups[1:] if group.name != "head"]
    assert groups[0].name == "stem"
    assert middle == [f"block_{n + 1}" for n in range(len(middle))]
    assert "head" not in [group.name for group in groups[:-1]]
    grouped = [id(v) for group in groups for v in group.variables]
    assert len(grouped) == len(set(grouped))
    assert set(grouped) == {id(v) for v in model.weights}
    assert all(group.variables for group in groups)


def assert_depth_order(model, groups):
    """Check that where a layer is first used it needs no later group."""
    position = {
        layer: n for n, group in enumerate(groups) for layer in group.layers
    }
    made_in, used = {}, set()
    for node in ordered_nodes(functional_graph(model)):
        needs = [made_in.get(id(t), 0) for t in node.input_tensors]
        own = position.get(node.operation, 0)
        if node.operation not in used:
            assert max(needs) <= own or node.operation not in position
        used.add(node.operation)
        made_in.update({id(t): max(own, *needs, 0) for t in node.outputs})


@pytest.mark.parametrize("name", FAMILIES)
def test_a_family_of_keras_applications(name):
    model = networks.application(name)
    groups = kt.layer_groups(model)
    assert_partition(model, groups)
    assert_depth_order(model, groups)
    first, *_, last = (len(group.variables) for group in groups)
    assert (len(groups), first, last) == FAMILIES[name]
    assert groups[-1].name == "head"
    assert groups[-1].variables[-1].shape == (7,)


@pytest.mark.parametrize("name", networks.NETWORKS)
def test_a_network_of_ones_own(name):
    model = networks.build(name)
    groups = kt.layer_groups(model)
    assert_partition(model, groups)
    if functional_graph(model) is not None:
        assert_depth_order(model, groups)
    if name in NETWORKS:
        first = [
            next(layer.name for layer in group.layers if layer.weights)
            for group in groups
        ]
        plain = [name.rstrip("_0123456789") for name in first]
        assert plain == NETWORKS[name]


def test_a_unet_is_cut_where_its_resolution_changes():
    groups = kt.layer_groups(networks.build("unet"))
    assert groups[-1].name != "head"
    levels = [
        {layer.output.shape[1] for layer in group.layers if layer.weights}
        for group in groups
    ]
    assert [level.pop() for level in levels] == [16, 8, 4, 2, 4, 8, *[16] * 4]


def test_a_feature_map_or_a_pooling_ends_in_no_head():
    base = networks.conv_base()
    pooled = layers.GlobalAveragePooling2D()(base.output)
    for model in (base, keras.Model(base.input, pooled)):
        assert kt.layer_groups(model)[-1].name == "block_3"


def test_with_head_false_has_none():
    model = networks.build("mlp")
    names = [group.name for group in kt.layer_groups(model, with_head=False)]
    assert names == ["stem", "block_1", "block_2"]


def test_pooling_that_keeps_its_dimensions_begins_the_head():
    base = networks.conv_base()
    x = layers.GlobalAveragePooling2D(keepdims=True)(base.output)
    x = layers.Conv2D(5, 1, name="logits")(x)
    model = keras.Model(base.input, layers.Flatten()(x))
    head = kt.layer_groups(model)[-1]
    assert head.name == "head"
    assert [layer.name for layer in head.layers if layer.weights] == ["logits"]


@pytest.mark.parametrize(
    ("gated", "side"), [("itself", 8), ("itself", 1), ("another map", 8)]
)
def test_squeeze_and_excite_is_no_head(gated, side):
    base = networks.conv_base(side=side)
    x = layers.Conv2D(4, 1, name="last")(base.output)
    gate = layers.GlobalAveragePooling2D()(x)
    gate = layers.Dense(4, activation="sigmoid", name="gate")(gate)
    gate = layers.Reshape((1, 1, 4))(gate)
    x = layers.Multiply()([x if gated == "itself" else base.output, gate])
    x = layers.GlobalAveragePooling2D()(x)
    model = keras.Model(base.input, layers.Dense(5, name="logits")(x))
    head = kt.layer_groups(model)[-1]
    assert [layer.name for layer in head.layers if layer.weights] == ["logits"]


def test_preprocessing_with_weights_is_no_feature():
    normalization = layers.Normalization()
    normalization.adapt(np.random.default_rng(0).normal(size=(9, 4, 4, 3)))
    model = keras.Sequential(
        [
            keras.Input((4, 4, 3)),
            normalization,
            layers.Flatten(),
            layers.Dense(5),
            layers.Dense(2),
        ]
    )
    head = kt.layer_groups(model)[-1]
    assert count_weights(head.variables) == 12


def test_a_larger_nested_head_is_not_taken_for_the_backbone():
    base = keras.Sequential(
        [keras.Input((8, 8, 3)), layers.Conv2D(4, 3), layers.Conv2D(4, 3)]
    )
    pooling = keras.Sequential([layers.GlobalMaxPooling2D()])
    top = keras.Sequential(
        [layers.Dense(64), layers.Dense(64), layers.Dense(3)]
    )
    model = keras.Sequential([keras.Input((8, 8, 3)), base, pooling, top])
    groups = kt.layer_groups(model)
    assert groups[-1].layers == (pooling, top)


def test_the_layer_named_backbone_is_it():
    source = keras.Sequential([keras.Input((8, 8, 3)), layers.Conv2D(4, 3)])
    model = kt.build_classifier(
        kt.load_backbone(source),
        3,
        head=[layers.Flatten(), layers.Dense(4), layers.Dense(4)],
        pooling=None,
    )
    groups = kt.layer_groups(model)
    assert [len(group.variables) for group in groups] == [2, 6]


def test_a_layer_of_the_body_that_the_head_uses_again():
    inputs = keras.Input((4, 6))
    shared = layers.Dense(6, name="shared")
    x = layers.Dense(6, name="inner")(shared(inputs))
    x = shared(layers.GlobalAveragePooling1D()(x))
    model = keras.Model(inputs, layers.Dense(3, name="out")(x))
    groups = kt.layer_groups(model)
    weighted = [
        [layer.name for layer in group.layers if layer.weights]
        for group in groups
    ]
    assert weighted == [["shared"], ["inner"], ["out"]]


def test_masks_are_no_paths():
    """KerasHub's networks hand one mask to all of their layers."""
    tokens = keras.Input((7,), dtype="int32")
    mask = keras.Input((7,), dtype="bool")
    x = layers.Embedding(20, 8)(tokens)
    for letter in "abc":
        y = layers.MultiHeadAttention(2, 4, name=f"attend_{letter}")(
            x, x, attention_mask=mask[:, None]
        )
        x = layers.Add()([x, y])
    model = keras.Model([tokens, mask], layers.Dense(3)(x[:, 0]))
    assert [len(group.variables) for group in kt.layer_groups(model)] == [
        1,
        8,
        8,
        8,
        2,
    ]


def test_a_hub_layer_inside_a_model(tmp_path):
    layer = kt.HubLayer(saved_models.save_conv_net(tmp_path / "net"))
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), layer, layers.Dense(2)], name="hub"
    )
    groups = kt.layer_groups(model)
    assert_partition(model, groups)
    names = [group.name for group in groups]
    assert names == ["stem", "block_1", "block_2", "head"]
    assert all(group.layers == (layer,) for group in groups[:-1])


def test_the_bundled_architecture():
    backbone = kt.load_backbone("bundled:efficientnet_lite0", weights=None)
    groups = backbone.groups
    assert_partition(backbone.model, groups)
    assert [group.name for group in groups][-1] == "block_16"
    assert_depth_order(backbone.model, groups)


def test_a_classifier_has_the_groups_of_its_backbone():
    backbone = kt.load_backbone(networks.build("mlp"))
    model = kt.build_classifier(backbone, 4)
    expected = [group.name for group in backbone.groups]
    assert [group.name for group in kt.layer_groups(model)] == [
        *expected,
        "head",
    ]


def test_without_weights():
    unbuilt = keras.Sequential([layers.Dense(2)])
    weightless = keras.Sequential([keras.Input((2,)), layers.ReLU()])
    for model in (unbuilt, weightless):
        with pytest.raises(ValueError, match=r"no weights.*Received: model="):
            kt.layer_groups(model)
