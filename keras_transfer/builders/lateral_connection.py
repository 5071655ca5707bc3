"""What a new column takes from an old one."""

import keras


@keras.saving.register_keras_serializable("keras_transfer")
class LateralConnection(keras.layers.Layer):
    """Add to features of a new column what it makes of those of an old one.

    `h + U relu(V α g)`, with `h` the features of the new column and `g` those
    of the old one at the same place: `V` leads to a few channels, `U` back,
    `α` is a number, and all three are learned. They act on the last axis, on
    feature maps as convolutions of 1x1 do. `U` starts as 0, so that the new
    column starts as if it stood alone; its gradient is not 0, and those of
    `V` and `α` are not from the second step on. Made by `build_progressive`.

    Rusu et al. 2016, "Progressive Neural Networks", arXiv:1606.04671,
    equation 2, whose sum over earlier columns is several of these in a row.

    Args:
        channels: Number of channels between `V` and `U`.
        **kwargs: As for `keras.layers.Layer`.
    """

    # For layer groups: it belongs to the block whose features it adds to.
    is_side_path = True

    def __init__(self, channels, **kwargs):
        super().__init__(**kwargs)
        self.channels = channels
        self.supports_masking = True

    def build(self, input_shape):
        features, old_features = input_shape
        self.scale = self.add_weight((), initializer="ones", name="scale")
        self.down = self.add_weight(
            (old_features[-1], self.channels), name="down"
        )
        self.up = self.add_weight(
            (self.channels, features[-1]), initializer="zeros", name="up"
        )

    def call(self, inputs):
        features, old_features = inputs
        # `α` goes to the smaller of the two that it may scale.
        hidden = keras.ops.matmul(old_features, self.scale * self.down)
        return features + keras.ops.matmul(keras.ops.relu(hidden), self.up)

    def compute_mask(self, inputs, previous_mask):
        return previous_mask and previous_mask[0]

    def compute_output_shape(self, input_shape):
        return input_shape[0]

    def get_config(self):
        return {**super().get_config(), "channels": self.channels}
