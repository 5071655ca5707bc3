"""Make adapters a part of the kernels that they stand beside."""

import keras

from keras_transfer.freezing.adapters import (
    factors_of,
    find_adapted,
    kernel_of,
)
from keras_transfer.freezing.forget_compiled import forget_compiled


def merge_lora(model: keras.Model) -> None:
    """Add the adapters of a model to its kernels, and take them away.

    The model changes in place, and computes what it did: each kernel becomes
    `W + alpha / rank * A @ B` (`add_lora`), the sum that each call computed
    before. In half precision it is rounded once now, not three times. The
    model has the weights and the speed that it had without adapters, and can
    be exported, saved, trained and given adapters like any other.

    Kernels that had adapters stay frozen until `set_trainable` says what
    trains. Where the optimizer was built, it is built anew for what trains;
    its state is new.

    Example:

    ```python
    kt.merge_lora(model)
    model.export("flowers")
    ```

    Args:
        model: A model with adapters, by `add_lora` or `layer.enable_lora`.

    Raises:
        ValueError: If the model has no adapters, or some on quantized
            kernels, which the sum does not fit in.
    """
    layers = find_adapted(model)
    quantized = [x.name for x in layers if x.quantization_mode is not None]
    if not layers or quantized:
        raise ValueError(
            "The model must have adapters (`kt.add_lora`), on kernels that "
            f"are not quantized. Received: model={model.name}, with "
            f"{len(layers)} layers that have adapters, and these of them "
            f"quantized: {quantized}"
        )
    for layer in layers:
        kernel, (a, b) = kernel_of(layer), factors_of(layer)
        scale = layer.lora_alpha / layer.lora_rank
        # As Keras adds them up, in the same order.
        merged = keras.ops.add(kernel, scale * keras.ops.matmul(a, b))
        kernel.assign(keras.ops.cast(merged, kernel.dtype))
        for factor in (a, b):
            layer._untrack_variable(factor)
            # Not by `del`, which collects garbage each time.
            super(keras.layers.Layer, layer).__delattr__(factor.name)
        layer.lora_enabled = False
        layer.lora_rank = layer.lora_alpha = None
    forget_compiled(model)
