"""Adapters in files of Keras: as they are, not merged."""

import types
from collections.abc import Iterable

from keras_transfer.freezing.adapters import (
    factors_of,
    kernel_of,
    revive_adapter,
)

# In Keras's order of what a layer saves, the kernel is the first.
_MERGED = "0"
_PARTS = ("frozen_kernel", "lora_a", "lora_b")


def save_factors(layers: Iterable) -> None:
    """Let layers save kernel and adapter apart, the next time they are saved.

    Keras 3.15 saves their sum, and loads it as the kernel: what was frozen is
    lost, and both factors are 0, so that they never train again. Adapters of
    quantized kernels are left to Keras: their scales go with the sum.

    Args:
        layers: Layers with adapters.
    """
    for layer in layers:
        if layer.quantization_mode is None:
            layer.save_own_variables = types.MethodType(_save, layer)


def load_factors(layers: Iterable) -> None:
    """Let layers load what `save_factors` made them save, or files of Keras.

    Args:
        layers: Layers with adapters.
    """
    for layer in layers:
        layer.load_own_variables = types.MethodType(_load, layer)


def _save(layer, store) -> None:
    del layer.save_own_variables
    usual = {}
    layer.save_own_variables(usual)
    # Without it, a layer that does not know of the parts cannot load them
    # as if there was no adapter.
    usual.pop(_MERGED)
    parts = (kernel_of(layer), *factors_of(layer))
    for key, value in (*usual.items(), *zip(_PARTS, parts, strict=True)):
        store[key] = value


def _load(layer, store) -> None:
    load = type(layer).load_own_variables
    factors = factors_of(layer)
    if _PARTS[0] in store:
        usual = {k: store[k] for k in store.keys() if k not in _PARTS}
        load(layer, {_MERGED: store[_PARTS[0]], **usual})
        for factor, key in zip(factors, _PARTS[1:], strict=True):
            factor.assign(store[key])
    else:
        load(layer, store)
        revive_adapter(layer)
    del layer.load_own_variables
