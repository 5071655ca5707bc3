"""Train low-rank adapters in place of a network's kernels."""

import math
import numbers
from collections.abc import Iterable

import keras

from keras_transfer.backbones.layer_groups import layer_groups
from keras_transfer.freezing.adapters import (
    can_be_adapted,
    is_adapted,
    kernel_of,
)
from keras_transfer.freezing.choose_groups import choose_groups
from keras_transfer.freezing.forget_compiled import forget_compiled
from keras_transfer.freezing.trainable import set_trainable


def add_lora(
    model: keras.Model,
    groups: str | Iterable[str] = "all",
    rank: int = 4,
    *,
    alpha: float | None = None,
) -> dict[str, tuple[str, ...]]:
    """Give the layers of some groups low-rank adapters, which train instead.

    The kernel `W` of a layer stays as it is, and `alpha / rank * A @ B` is
    added to it, where `A` has `rank` columns and `B` as many rows. `B` starts
    as 0, so that the model computes what it did, to the bit, until it trains.
    Hu et al. 2021, "LoRA: Low-Rank Adaptation of Large Language Models",
    arXiv:2106.09685; a convolution of `(height, width, in, out)` has an `A` of
    `(height, width, in, rank)`.

    It is what `layer.enable_lora` of Keras does, for each `Dense`,
    `EinsumDense`, `Conv1D`, `Conv2D`, `Conv3D` and `Embedding`, inside of
    other layers and nested models, too. Keras has no adapters for depthwise,
    separable and transposed convolutions and recurrent layers; those with a
    constraint and quantized ones are passed over as well.

    From then on, adapters alone train below the head: `set_trainable`,
    `Phase`, and with them `fine_tune`, leave all else there frozen, BatchNorm
    too, whichever groups they name, until `merge_lora`. Now the head trains,
    and each group that has adapters.

    A model with a graph saves and loads adapters as they are, as `.keras` or
    weights. One with a `call` of its own saves them merged, as Keras does.
    Adapters want a higher rate than the kernels would: 1e-3, say. Where the
    optimizer was built, it is built anew for what trains; its state is new.

    Example:

    ```python
    adapted = kt.add_lora(model, "top:4", rank=8)
    print(sum(map(len, adapted.values())), "layers have adapters")
    print(kt.trainable_summary(model))
    kt.fine_tune(model, train, validation, strategy=[
        kt.Phase("head", 10, 5e-3),
        kt.Phase("top:4", 20, 1e-3, schedule="warmup_cosine"),
    ])
    ```

    Args:
        model: A built Keras model.
        groups: Which layer groups, as `train` of `set_trainable`. The head,
            which trains as a whole, is left out of `"all"` and `"top:N"`: name
            it (`"head"`, or in a list or pattern) if it is pretrained.
            Defaults to `"all"`.
        rank: Number of columns of `A`, at least 1. Defaults to 4.
        alpha: What adapters are scaled by, above 0, is `alpha / rank`.
            Defaults to `rank`.

    Returns:
        For each group that was chosen, the names of the layers that now have
        an adapter and had none; none for a group where there is no such
        layer.

    Raises:
        ValueError: If no group is meant by `groups`, none of their layers can
            be adapted or all are already; or if `rank` or `alpha` is no such
            number. The model is as it was then.
    """
    _check_numbers(rank, alpha)
    alpha = None if alpha is None else float(alpha)
    parts = layer_groups(model)
    chosen = choose_groups([part.name for part in parts], groups, "groups")
    if isinstance(groups, str) and (groups == "all" or groups[:4] == "top:"):
        chosen.discard("head")
    found = {
        part.name: _find_adaptable(part)
        for part in parts
        if part.name in chosen
    }
    if not any(found.values()):
        raise ValueError(
            "No layer of these groups can be given an adapter: it must be a "
            "`Dense`, `EinsumDense`, `Conv1D`, `Conv2D`, `Conv3D` or "
            "`Embedding` without one, without a constraint and not quantized. "
            f"Received: groups={groups!r}"
        )
    trained = [
        part.name
        for part in parts
        if part.name == "head"
        or found.get(part.name)
        or any(map(is_adapted, _flatten(part.layers)))
    ]
    # What cannot be frozen is refused while there are no adapters.
    set_trainable(model, trained)
    with model.distribute_strategy.scope():
        for layers in found.values():
            for layer in layers:
                layer.enable_lora(int(rank), lora_alpha=alpha)
    set_trainable(model, trained)
    forget_compiled(model)
    return {name: tuple(x.name for x in found[name]) for name in found}


def _flatten(layers) -> list:
    inner = [x for layer in layers for x in layer._flatten_layers()]
    return list(dict.fromkeys(inner))


def _find_adaptable(group) -> list:
    own = {id(variable) for variable in group.variables}
    layers = _flatten(group.layers)
    # It overwrites the kernel of the layer that it holds.
    normalized = {
        inner
        for layer in layers
        if isinstance(layer, keras.layers.SpectralNormalization)
        for inner in layer._flatten_layers()
    }
    return [
        layer
        for layer in layers
        if layer not in normalized
        and can_be_adapted(layer)
        and id(kernel_of(layer)) in own
    ]


def _check_numbers(rank, alpha) -> None:
    is_whole = isinstance(rank, numbers.Integral)
    if not is_whole or isinstance(rank, bool) or rank < 1:
        raise ValueError(
            "`rank` must be a whole number, at least 1. "
            f"Received: rank={rank!r}"
        )
    if alpha is None:
        return
    is_number = isinstance(alpha, numbers.Real) and not isinstance(alpha, bool)
    if not is_number or not 0 < alpha < math.inf:
        raise ValueError(
            "`alpha` must be a number above 0, or `None` for that of `rank`. "
            f"Received: alpha={alpha!r}"
        )
