"""Read from a network's layer names which block each layer belongs to."""

import re
from collections.abc import Sequence

# How networks name the layers of one block. A scheme is a marker (a name that
# some layer must bear, where the pattern alone would be too greedy) and a
# pattern whose group is the block's identity; nobody parses it further.
_SCHEMES = (
    # DenseNet: a dense block and the transition after it. Its dense layers
    # (58 to 98 of them) are too small to be trained one by one.
    (r"^conv2_block1_concat$", r"^(?:conv|pool)([2-5])_"),
    # ConvNeXt: `stage_2_block_7_depthwise_conv`, `downsampling_block_2`.
    (None, r"(stage_\d+_block_\d+|downsampling_block_\d+)(?:_|$)"),
    # ResNet: `conv4_block6_2_conv`.
    (None, r"^(conv\d+_block\d+)_"),
    # MobileNetV2, EfficientNet, VGG, Xception: `block_13_expand`,
    # `block6a_dwconv`, `block5_conv3`, `block13_sepconv1`.
    (None, r"^(block_?\d+[a-z]?)(?:_|$)"),
    # MobileNetV3: `expanded_conv_10_project`.
    (None, r"^(expanded_conv_\d+)(?:_|$)"),
    # MobileNet: a depthwise and a pointwise convolution.
    (None, r"^conv_(?:pad|dw|pw)_(\d+)(?:_|$)"),
    # Transformers, those of KerasHub among them: `transformer_layer_7`.
    (None, r"((?:transformer|encoder|decoder)_(?:layer|block)_\d+)(?:_|$)"),
    # NASNet: the cell's number ends the name.
    (
        r"^normal_concat_\d+$",
        r"^(?:normal|reduction|adjust|separable_conv).*?"
        r"_(stem_\d+|reduce_\d+|\d+)$",
    ),
)


def find_blocks(
    names: Sequence[str], weighted: Sequence[bool]
) -> list[str | None] | None:
    """Name the block of each layer, where the names tell.

    Args:
        names: Layer names, in order from input to output.
        weighted: For each layer whether it holds weights.

    Returns:
        For each layer the identity of its block or `None` (by its name it
        belongs to no block), or `None` altogether if no naming scheme speaks
        for more than half of the weighted layers.
    """
    for marker, pattern in _SCHEMES:
        if marker and not any(re.search(marker, name) for name in names):
            continue
        matches = [re.search(pattern, name) for name in names]
        blocks = [match and match.group(1) for match in matches]
        named = [b for b, w in zip(blocks, weighted, strict=True) if w]
        known = [b for b in named if b is not None]
        if len(set(known)) > 1 and len(known) > len(named) / 2:
            return blocks
    return None
