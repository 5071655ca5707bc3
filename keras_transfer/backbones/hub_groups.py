"""Layer groups of a hub layer, from the names of its variables."""

import re
from collections.abc import Sequence

import keras

from keras_transfer.backbones.hub_layer import HubLayer

# How networks name what belongs to one block, most specific first. A pattern's
# groups are the block's place: blocks sort by them, numbers as numbers, and a
# group without a match comes first (`expanded_conv`, `expanded_conv_1`).
_SCHEMES = (
    # ResNet and BiT: `resnet_v2_50/block1/unit_1/bottleneck_v2/…`.
    r"block_?(\d+)/unit_?(\d+)/",
    # ResNet and DenseNet in Keras: `conv4_block2_1_conv/kernel`.
    r"conv(\d+)_block(\d+)_",
    # ConvNeXt, RegNet: `convnext_tiny_stage_2_block_5_depthwise_conv/kernel`.
    r"stage_?(\d+)[/_]\w*?block_?(\d+)[/_]",
    # Inception-ResNet: `InceptionResnetV2/Repeat_1/block17_10/…`.
    r"Repeat(?:_(\d+))?/block\d+_(\d+)/",
    # Inception: `InceptionV3/Mixed_5b/Branch_0/…`.
    r"Mixed_(\d+)([a-z])/",
    # EfficientNet in Keras: `block6a_expand_conv/kernel`.
    r"(?:^|/)block(\d+)([a-z])[/_]",
    # MobileNetV2 and V3. In Keras, V2's block 0 is called `expanded_conv`.
    r"(?:^|/)(?:expanded_conv(?:_(\d+))?|block_(\d+))[/_]",
    # EfficientNet, VGG, Xception: `blocks_12/…`, `block5_conv3/kernel`.
    r"(?:^|/)blocks?_?(\d+)[/_]",
    # MobileNet: `MobilenetV1/Conv2d_3_depthwise/…`, `conv_dw_3_bn/gamma`.
    r"(?:^|/)Conv2d_(\d+)_(?:depthwise|pointwise)/",
    r"(?:^|/)conv_(?:dw|pw)_(\d+)[/_]",
    # Transformers: `encoder/layer_7/…`, `encoderblock_7/…`, `layers/7/…`.
    r"(?:layers?|(?:encoder|transformer)_?block|cell)[/_]?(\d+)[/_]",
)
# What the order of the variables may put elsewhere: it can be alphabetical.
_STEM = re.compile(r"(?:^|[/_])(?:stem|root|.*embeddings?)(?:[/_]|$)", re.I)
_TOP = re.compile(
    r"(?:^|/)(?:head|top_\w+|conv_[12](?:_bn)?|post_?(?:norm|bn)|pooler\w*|"
    r"logits|predictions|classifier)/",
    re.I,
)


def hub_variable_groups(
    layer: HubLayer,
) -> list[tuple[str, list[keras.Variable]]]:
    """Partition a hub layer's variables into groups, in depth order.

    Example:

    ```python
    groups = hub_variable_groups(layer)
    [name for name, variables in groups]
    # ['stem', 'block_1', ..., 'block_17']
    ```

    Args:
        layer: A hub layer, built.

    Returns:
        Pairs of a name and a list of variables: `"stem"`, if anything comes
        before the first block, `"block_1"`, `"block_2"` … What follows the
        last block belongs to it. A single group `"stem"` if the names tell of
        fewer than two blocks.
    """
    named = layer.named_variables
    groups = {}
    order = group_names([name for name, _ in named])
    for group, (_, variable) in zip(order, named, strict=True):
        groups.setdefault(group, []).append(variable)
    return [(_label(number), groups[number]) for number in sorted(groups)]


def group_names(names: Sequence[str]) -> list[int]:
    """Tell for each variable name which group it is in.

    Args:
        names: Names such as `"efficientnet-b0/blocks_12/conv2d/kernel"`, in
            the SavedModel's order.

    Returns:
        For each name 0 for the stem, or the number of its block from 1.
    """
    places = _find_places(names)
    blocks = sorted({place for place in places if place is not None})
    numbers = {place: n for n, place in enumerate(blocks, start=1)}
    # Statistics often follow after all the weights: by what they belong to.
    owners = {}
    current = 0
    for name, place in zip(names, places, strict=True):
        owner = name.rpartition("/")[0]
        if place is not None:
            current = owners[owner] = numbers[place]
        elif not blocks or _STEM.search(name):
            owners[owner] = 0
        elif _TOP.search(name):
            owners[owner] = len(blocks)
        else:
            owners.setdefault(owner, current)
    return [owners[name.rpartition("/")[0]] for name in names]


def _find_places(names: Sequence[str]) -> list[tuple | None]:
    for scheme in _SCHEMES:
        matches = [re.search(scheme, name) for name in names]
        places = [
            match and tuple(map(_rank, match.groups())) for match in matches
        ]
        if len(set(places) - {None}) > 1:
            return places
    return [None] * len(names)


def _rank(part: str | None) -> int | str:
    if part is None:
        return -1
    return int(part) if part.isdigit() else part


def _label(number: int) -> str:
    return f"block_{number}" if number else "stem"
