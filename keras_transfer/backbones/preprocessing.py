"""The four conventions by which keras.applications feeds its networks."""

import keras


@keras.saving.register_keras_serializable("keras_transfer")
class CaffePreprocessing(keras.layers.Layer):
    """Turn RGB in [0, 255] into BGR without ImageNet's mean colour."""

    def call(self, inputs):
        images = keras.ops.cast(inputs, self.compute_dtype)
        mean = keras.ops.cast([103.939, 116.779, 123.68], images.dtype)
        return keras.ops.flip(images, axis=-1) - mean

    def compute_output_shape(self, input_shape):
        return input_shape


def make_preprocessing(convention: str | None) -> keras.layers.Layer:
    """Make the layer that prepares raw images for a network.

    Args:
        convention: `"tf"` scales to [-1, 1]; `"torch"` to [0, 1] and then
            normalizes each channel by ImageNet's mean and deviation;
            `"caffe"` reverses the channels and subtracts their mean;
            `"unit"` scales to [0, 1], as TF Hub's image modules expect;
            `"lite"` to (x - 127) / 128, for EfficientNet-Lite;
            `None` leaves images as they are, for networks that hold their
            preprocessing inside.

    Returns:
        A layer named `preprocessing`, in float32 under every dtype policy.
    """
    options = {"name": "preprocessing", "dtype": "float32"}
    if convention == "caffe":
        return CaffePreprocessing(**options)
    if convention == "tf":
        return keras.layers.Rescaling(1 / 127.5, offset=-1.0, **options)
    if convention == "unit":
        return keras.layers.Rescaling(1 / 255.0, **options)
    if convention == "lite":
        return keras.layers.Rescaling(1 / 128, offset=-127 / 128, **options)
    if convention == "torch":
        mean, deviation = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
        return keras.layers.Rescaling(
            [1 / (255.0 * d) for d in deviation],
            offset=[-m / d for m, d in zip(mean, deviation, strict=True)],
            **options,
        )
    return keras.layers.Identity(**options)
