"""Transfer learning for Keras 3: backbones, layer groups, phases, TensorBoard."""

from keras_transfer.data.image_folder import load_image_folder

__version__ = "0.1.0"

__all__ = ["load_image_folder"]
