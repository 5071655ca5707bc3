"""What the weights of a model are: adapters, biases, of normalization."""

import re
from collections.abc import Sequence

import keras

from keras_transfer.backbones.hub_layer import HubLayer
from keras_transfer.backbones.layer_groups import LayerGroup
from keras_transfer.freezing.adapters import factors_of, is_adapted, kernel_of

ADAPTER, ADAPTED, BIAS, GAMMA, BETA = (
    "adapter",
    "adapted kernel",
    "bias",
    "gamma",
    "beta",
)
_KINDS = {"batch_norm": {GAMMA, BETA}, "bias": {BIAS, BETA}}
_NAMES = {
    "batch_norm": "normalization with gamma and beta",
    "bias": "biases",
}
_NORMALIZATIONS = (
    keras.layers.BatchNormalization,
    keras.layers.GroupNormalization,
    keras.layers.LayerNormalization,
    keras.layers.RMSNormalization,
)
# Those of others (KerasHub) go by such names.
_NORMALIZES = re.compile(r"Norm(alization)?$")
_HUB_NORM = re.compile(
    r"(norm|(^|[/_])bn\d*([/_]|$)).*(?P<kind>gamma|beta)", re.IGNORECASE
)
_HUB_BIAS = re.compile(r"(^|/)bias(es)?(:\d+)?$", re.IGNORECASE)


def find_kinds(model: keras.Model) -> dict[int, str]:
    """Tell what the weights of a model are that are not just weights.

    Args:
        model: A built Keras model.

    Returns:
        From the ids of variables to their kinds: `ADAPTER`, `ADAPTED` (the
        kernel that an adapter stands for), `BIAS`, `GAMMA` (or another scale)
        and `BETA` of a normalization.
    """
    kinds = {}
    for layer in model._flatten_layers():
        if isinstance(layer, HubLayer):
            kinds.update(_find_kinds_of_hub(layer))
            continue
        normalizes = isinstance(layer, _NORMALIZATIONS) or (
            _NORMALIZES.search(type(layer).__name__)
        )
        for variable in layer._trainable_variables:
            is_shift = variable.name in ("beta", "bias")
            if normalizes:
                kinds[id(variable)] = BETA if is_shift else GAMMA
            elif variable.name == "bias":
                kinds[id(variable)] = BIAS
        if is_adapted(layer):
            kinds[id(kernel_of(layer))] = ADAPTED
            kinds.update((id(v), ADAPTER) for v in factors_of(layer))
    return kinds


def _find_kinds_of_hub(layer: HubLayer) -> dict[int, str]:
    kinds = {}
    for name, variable in layer.named_variables:
        if found := _HUB_NORM.search(name):
            kinds[id(variable)] = found["kind"].lower()
        elif _HUB_BIAS.search(name):
            kinds[id(variable)] = BIAS
    return kinds


def choose_parameters(
    groups: Sequence[LayerGroup],
    chosen: set[str],
    kinds: dict[int, str],
    parameters: str,
) -> dict[str, set[int] | None]:
    """Choose which weights of each layer group may train.

    Args:
        groups: All layer groups of a model.
        chosen: Names of those that are to train.
        kinds: From `find_kinds`.
        parameters: As for `set_trainable`.

    Returns:
        For each name the ids of weights; `None` where the group trains as a
        whole. That is the head, and if `parameters` is `"all"`, every group
        of a model without adapters below its head.

    Raises:
        ValueError: If groups below the head are to train, and no group there
            has such weights.
    """
    below = [group for group in groups if group.name != "head"]
    wanted = _KINDS.get(parameters, {ADAPTER})
    found = {
        group.name: {
            id(v) for v in group.variables if kinds.get(id(v)) in wanted
        }
        for group in below
    }
    if not any(found.values()):
        if parameters != "all" and chosen.intersection(found):
            raise ValueError(
                f"This model has no {_NAMES[parameters]} below its head that "
                f"could train. Received: parameters={parameters!r}"
            )
        if parameters == "all":
            found = {}
    return {group.name: found.get(group.name) for group in groups}
