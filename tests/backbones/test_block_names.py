"""Blocks from layer names, where no network has to be built to see them."""

import pytest

from keras_transfer.backbones.block_names import find_blocks

# Weighted layers of each family, with the block that their names tell.
NAMES = {
    "MobileNet": {
        "conv1": None,
        "conv_dw_1": "1",
        "conv_pw_1_bn": "1",
        "conv_dw_12": "12",
    },
    "MobileNetV2": {
        "Conv1": None,
        "expanded_conv_depthwise": None,
        "block_1_expand": "block_1",
        "block_16_project_BN": "block_16",
        "block_16_project": "block_16",
    },
    "MobileNetV3": {
        "conv": None,
        "expanded_conv_depthwise": None,
        "expanded_conv_1_expand": "expanded_conv_1",
        "expanded_conv_10_squeeze_excite_conv": "expanded_conv_10",
        "expanded_conv_10_project_bn": "expanded_conv_10",
    },
    "EfficientNet": {
        "stem_conv": None,
        "block1a_dwconv": "block1a",
        "block6h_expand_conv": "block6h",
    },
    "ResNet": {
        "conv1_conv": None,
        "conv2_block1_0_conv": "conv2_block1",
        "conv5_block3_3_bn": "conv5_block3",
    },
    "DenseNet": {
        "conv1_conv": None,
        "conv2_block1_concat": "2",
        "conv2_block6_2_conv": "2",
        "pool2_bn": "2",
        "conv3_block12_2_conv": "3",
    },
    "VGG": {
        "block1_conv1": "block1",
        "block5_conv3": "block5",
        "fc1": None,
    },
    "Xception": {
        "block2_sepconv1": "block2",
        "block13_sepconv2_bn": "block13",
        "conv2d_3": None,
    },
    "ConvNeXt": {
        "convnext_tiny_stem": None,
        "convnext_tiny_downsampling_block_0": "downsampling_block_0",
        "convnext_tiny_stage_2_block_10_depthwise_conv": "stage_2_block_10",
        "convnext_tiny_stage_2_block_1_layer_scale": "stage_2_block_1",
    },
    "NASNet": {
        "stem_conv1": None,
        "reduction_conv_1_stem_1": "stem_1",
        "normal_concat_0": "0",
        "separable_conv_1_bn_normal_left1_12": "12",
        "reduction_left1_reduce_4": "reduce_4",
    },
    "KerasHub": {
        "token_embedding": None,
        "transformer_layer_0": "transformer_layer_0",
        "transformer_layer_11": "transformer_layer_11",
    },
}


@pytest.mark.parametrize("family", NAMES)
def test_blocks_of_a_family(family):
    names = list(NAMES[family])
    blocks = find_blocks(names, [True] * len(names))
    assert blocks == list(NAMES[family].values())


def test_names_without_blocks():
    names = ["conv2d", "conv2d_1", "batch_normalization_1", "dense"]
    assert find_blocks(names, [True] * 4) is None


def test_a_scheme_speaks_for_most_of_the_weighted_layers_only():
    names = ["block_1_conv", "block_2_conv", "one", "two", "three"]
    assert find_blocks(names, [True] * 5) is None
    assert find_blocks(names, [True, True, True, False, False]) is not None


def test_one_block_is_no_scheme():
    assert find_blocks(["block_1_conv", "block_1_bn"], [True, True]) is None
