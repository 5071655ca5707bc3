"""Find the learning rate of a head that suits the size of its features."""

from collections.abc import Sequence

import keras
import numpy as np
from keras import ops

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.backbones.layer_inputs import hear_inputs
from keras_transfer.builders.output_layer import find_output_layer
from keras_transfer.callbacks.linear_head import find_linear_head

USUAL_HEAD_RATE = 5e-3
# How far the first steps of Adam may move a logit: within these, heads on
# EfficientNet-Lite0, at 5e-3, converged within a hundred steps.
_LEAST_MOVE, _MOST_MOVE = 2.0, 7.0
_HIGHEST_RATE = 0.5
_EXAMPLES = 32


def choose_head_rate(model: keras.Model, *, batches: Sequence) -> float:
    """Choose the rate of a linear head by how much its features vary.

    A step of Adam moves each weight by the learning rate, whatever the
    features are, and so the logits by as much as the rate times the sum of
    the features' standard deviations. Where that is little, as for a network
    of 128 small features, a head is nowhere near its end after hundreds of
    steps at the usual rate; where it is much, steps overshoot.

    Args:
        model: The model, its backbone as it will be.
        batches: Batches of training data, of which the first examples are
            looked at.

    Returns:
        5e-3 where such a move is between 2 and 7, as with most backbones; or
        else the rate nearest to it, 0.5 at most, for which it is. Heads of
        several layers get 5e-3.
    """
    dense = _find_reader(model)
    if dense is None:
        return USUAL_HEAD_RATE
    x = keras.utils.unpack_x_y_sample_weight(batches[0])[0]
    few = keras.tree.map_structure(lambda part: part[:_EXAMPLES], x)
    with hear_inputs(dense) as heard:
        # Eagerly: for a few examples, that is quicker than to trace.
        model(few, training=False)
    features = ops.convert_to_numpy(ops.cast(heard[0], "float32"))
    spread = float(features.std(axis=0).sum())
    if not np.isfinite(spread) or spread <= 0:
        return USUAL_HEAD_RATE
    least, most = _LEAST_MOVE / spread, _MOST_MOVE / spread
    return min(max(USUAL_HEAD_RATE, least), most, _HIGHEST_RATE)


def _find_reader(model) -> keras.layers.Dense | None:
    """Return a layer that reads the features, where no other trains them."""
    try:
        return find_linear_head(model)[0]
    except ValueError:
        output = find_output_layer(model)  # of `extend_classes`
    parts = [] if output is None else output.parts
    head = {id(v) for v in layer_groups(model)[-1].variables}
    if head == {id(v) for part in parts for v in part.weights}:
        return parts[0]
    return None
