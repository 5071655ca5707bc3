"""What trains in SavedModels, which know no layers."""

import re
from collections.abc import Mapping, Sequence

from keras_transfer.backbones.hub_layer import HubLayer
from keras_transfer.backbones.layer_groups import LayerGroup

_BATCH_NORM = re.compile(
    r"(batch_?norm|(^|[/_])bn\d*([/_]|$)).*(gamma|beta)", re.IGNORECASE
)


def find_hub_layers(groups: Sequence[LayerGroup]) -> list[HubLayer]:
    """List the hub layers of some layer groups."""
    layers = [layer for group in groups for layer in group.layers]
    return [x for x in dict.fromkeys(layers) if isinstance(x, HubLayer)]


def train_hub_layer(
    layer: HubLayer,
    live: Sequence[LayerGroup],
    wanted: Mapping[str, set[int] | None],
    batch_norm: str,
) -> None:
    """Train what belongs to groups that train, and freeze the rest.

    Args:
        layer: A hub layer.
        live: The groups that train.
        wanted: From `choose_parameters`.
        batch_norm: As for `set_trainable`.

    Raises:
        ValueError: If it is for inference only.
    """
    whole, named = set(), set()
    for group in live:
        only = wanted[group.name]
        if only is None:
            whole.update(id(variable) for variable in group.variables)
        else:
            named.update(only)
    layer.train_variables(
        [
            variable
            for name, variable in layer.named_variables
            if id(variable) in named
            or id(variable) in whole
            and (batch_norm == "train" or not _BATCH_NORM.search(name))
        ],
        batch_norm=batch_norm,
    )
