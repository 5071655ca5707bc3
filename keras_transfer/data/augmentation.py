"""Augmentation that exists in training only."""

import keras


@keras.saving.register_keras_serializable("keras_transfer")
class TrainingOnly(keras.layers.Layer):
    """Apply a layer in training; pass inputs through unchanged otherwise.

    Keras's random layers default to `training=True`, and leave that behind as
    the mode of every layer after them whenever a model is called without a
    `training` argument. `model(x)` and an exported model then run with
    dropout on and with BatchNorm on batch statistics. Inside this layer they
    are reached in training alone, so they cannot.

    Example:

    ```python
    augmentation = TrainingOnly(keras.layers.RandomFlip("horizontal"))
    ```

    Args:
        layer: A layer, or a list of layers to apply one after another, that
            keeps the shape of its input.
        **kwargs: As for `keras.layers.Layer`. The outputs have the dtype of
            this layer, in training and otherwise.
    """

    def __init__(self, layer, **kwargs):
        super().__init__(**kwargs)
        if isinstance(layer, list | tuple):
            layer = keras.Sequential(list(layer))
        if not isinstance(layer, keras.layers.Layer):
            raise ValueError(
                "Expected a Keras layer or a list of Keras layers. "
                f"Received: layer={layer}"
            )
        self.layer = layer

    def build(self, input_shape):
        if not self.layer.built:
            self.layer.build(input_shape)

    def call(self, inputs, training=False):
        if training:
            inputs = self.layer(inputs, training=True)
        return keras.ops.cast(inputs, self.compute_dtype)

    def compute_output_shape(self, input_shape):
        return input_shape

    def get_config(self):
        layer = keras.saving.serialize_keras_object(self.layer)
        return {**super().get_config(), "layer": layer}

    @classmethod
    def from_config(cls, config):
        layer = keras.saving.deserialize_keras_object(config.pop("layer"))
        return cls(layer, **config)
