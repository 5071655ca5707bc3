"""Layer groups from the names of variables, as published modules have them."""

import pytest

from keras_transfer.backbones.hub_groups import (
    group_names,
    hub_variable_groups,
)
from keras_transfer.backbones.hub_layer import HubLayer
from tests.backbones import saved_models

# Each name with its group, 0 for the stem; in the modules' order.
NETWORKS = {
    "MobileNetV2, TF Hub, alphabetical": """
        0 MobilenetV2/Conv/BatchNorm/beta
        0 MobilenetV2/Conv/weights
        4 MobilenetV2/Conv_1/BatchNorm/gamma
        4 MobilenetV2/Conv_1/weights
        1 MobilenetV2/expanded_conv/depthwise/depthwise_weights
        2 MobilenetV2/expanded_conv_1/depthwise/depthwise_weights
        4 MobilenetV2/expanded_conv_10/expand/BatchNorm/beta
        3 MobilenetV2/expanded_conv_2/project/weights
        0 MobilenetV2/Conv/BatchNorm/moving_mean
        4 MobilenetV2/Conv_1/BatchNorm/moving_mean
    """,
    "ResNetV2, TF Hub": """
        0 resnet_v2_50/conv1/weights
        1 resnet_v2_50/block1/unit_1/bottleneck_v2/conv1/weights
        2 resnet_v2_50/block1/unit_2/bottleneck_v2/preact/gamma
        3 resnet_v2_50/block2/unit_1/bottleneck_v2/conv3/biases
        3 resnet_v2_50/postnorm/gamma
        3 resnet_v2_50/logits/weights
        1 resnet_v2_50/block1/unit_1/bottleneck_v2/preact/moving_mean
        0 resnet_v2_50/conv1/moving_mean
    """,
    "BiT": """
        0 resnet/root_block/standardized_conv2d/kernel
        1 resnet/block1/unit01/a/standardized_conv2d/kernel
        2 resnet/block1/unit02/a/group_norm/gamma
        3 resnet/block3/unit10/a/group_norm/gamma
        3 resnet/group_norm/gamma
    """,
    "EfficientNet, TF Hub": """
        0 efficientnet-b0/stem/conv2d/kernel
        0 efficientnet-b0/stem/tpu_batch_normalization/gamma
        1 efficientnet-b0/blocks_0/depthwise_conv2d/depthwise_kernel
        2 efficientnet-b0/blocks_2/conv2d/kernel
        3 efficientnet-b0/blocks_12/conv2d/kernel
        3 efficientnet-b0/blocks_12/se/conv2d_1/bias
        3 efficientnet-b0/head/conv2d/kernel
        0 efficientnet-b0/stem/tpu_batch_normalization/moving_mean
        1 efficientnet-b0/blocks_0/tpu_batch_normalization/moving_mean
    """,
    "EfficientNetV2, TF Hub": """
        3 head/conv2d/kernel
        0 stem/conv2d/kernel
        1 efficientnetv2-s/blocks_0/conv2d/kernel
        2 efficientnetv2-s/blocks_3/conv2d/kernel
        3 efficientnetv2-s/blocks_30/conv2d/kernel
    """,
    "MobileNetV2, Keras": """
        0 Conv1/kernel
        0 bn_Conv1/gamma
        1 expanded_conv_depthwise/depthwise_kernel
        1 expanded_conv_project_BN/gamma
        2 block_1_expand/kernel
        3 block_3_expand/kernel
        4 block_16_project_BN/beta
        4 Conv_1/kernel
        4 Conv_1_bn/gamma
        0 bn_Conv1/moving_mean
        1 expanded_conv_project_BN/moving_mean
    """,
    "ResNet50, Keras": """
        0 conv1_conv/kernel
        0 conv1_bn/gamma
        1 conv2_block1_1_conv/kernel
        2 conv2_block3_out_conv/kernel
        3 conv4_block2_1_conv/kernel
        0 conv1_bn/moving_mean
    """,
    "EfficientNet, Keras, inside another model": """
        0 model/stem_conv/kernel
        1 model/block1a_dwconv/depthwise_kernel
        2 model/block6a_expand_conv/kernel
        3 model/block6b_expand_conv/kernel
        3 model/top_conv/kernel
        0 model/stem_conv/bias
    """,
    "VGG16, Keras": """
        1 block1_conv1/kernel
        1 block1_conv2/kernel
        2 block5_conv3/kernel
        2 fc1/kernel
    """,
    "ConvNeXt, Keras": """
        0 convnext_tiny_stem_conv/kernel
        1 convnext_tiny_stage_0_block_0_depthwise_conv/kernel
        2 convnext_tiny_stage_2_block_8_layer_scale/gamma
        3 convnext_tiny_stage_2_block_10_layer_scale/gamma
    """,
    "MobileNetV1, TF Hub": """
        0 MobilenetV1/Conv2d_0/weights
        1 MobilenetV1/Conv2d_1_depthwise/depthwise_weights
        1 MobilenetV1/Conv2d_1_pointwise/weights
        2 MobilenetV1/Conv2d_13_pointwise/weights
    """,
    "InceptionV3, TF Hub": """
        0 InceptionV3/Conv2d_1a_3x3/weights
        1 InceptionV3/Mixed_5b/Branch_0/Conv2d_0a_1x1/weights
        2 InceptionV3/Mixed_5c/Branch_0/Conv2d_0a_1x1/weights
        3 InceptionV3/Mixed_6a/Branch_0/Conv2d_1a_1x1/weights
    """,
    "InceptionResNetV2, TF Hub": """
        0 InceptionResnetV2/Conv2d_1a_3x3/weights
        1 InceptionResnetV2/Repeat/block35_1/Conv2d_1x1/weights
        2 InceptionResnetV2/Repeat/block35_10/Conv2d_1x1/weights
        3 InceptionResnetV2/Repeat_1/block17_2/Conv2d_1x1/weights
        4 InceptionResnetV2/Repeat_2/block8_1/Conv2d_1x1/weights
    """,
    "BERT": """
        0 word_embeddings/embeddings
        0 position_embedding/embeddings
        0 embeddings/layer_norm/gamma
        1 transformer/layer_0/self_attention/query/kernel
        2 transformer/layer_2/output_layer_norm/gamma
        3 transformer/layer_10/self_attention_layer_norm/gamma
        3 pooler_transform/kernel
    """,
    "BERT, encoder": """
        2 bert_model/pooler/dense/kernel
        0 bert_model/word_embeddings/embeddings
        1 bert_model/encoder/layer_7/attention/self/query/kernel
        2 bert_model/encoder/layer_8/attention/self/query/kernel
    """,
    "ViT": """
        0 embedding/kernel
        1 Transformer/encoderblock_0/LayerNorm_0/scale
        2 Transformer/encoderblock_1/LayerNorm_0/scale
        2 Transformer/encoder_norm/scale
    """,
    "one block": """
        0 stem/kernel
        0 block_1/kernel
        0 head/kernel
    """,
    "names that tell nothing": """
        0 dense/kernel
        0 dense_1/kernel
        0 conv2d_12/kernel
    """,
}


@pytest.mark.parametrize("network", NETWORKS)
def test_names_as_published(network):
    lines = [line.split() for line in NETWORKS[network].split("\n")]
    expected = {name: int(group) for group, name in filter(None, lines)}
    actual = dict(zip(expected, group_names(list(expected)), strict=True))
    assert actual == expected


def test_groups_partition_the_variables(tmp_path):
    layer = HubLayer(saved_models.save_conv_net(tmp_path / "net"))
    groups = hub_variable_groups(layer)
    assert [(name, len(variables)) for name, variables in groups] == [
        ("stem", 4),
        ("block_1", 1),
        ("block_2", 1),
    ]
    grouped = [id(v) for _, variables in groups for v in variables]
    assert sorted(grouped) == sorted(map(id, layer.variables))


def test_a_network_without_blocks_is_one_group(tmp_path):
    folder = saved_models.save_without_training_argument(tmp_path / "plain")
    layer = HubLayer(folder)
    [(name, variables)] = hub_variable_groups(layer)
    assert name == "stem"
    assert len(variables) == len(layer.variables) == 2
