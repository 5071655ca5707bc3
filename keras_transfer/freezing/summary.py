"""Show which layer groups of a model train."""

import keras

from keras_transfer.backbones.layer_groups import (
    LayerGroup,
    count_weights,
    layer_groups,
)
from keras_transfer.freezing.freezable_model import batch_norm_layers, is_live
from keras_transfer.freezing.parameter_kinds import (
    ADAPTED,
    ADAPTER,
    BETA,
    BIAS,
    GAMMA,
    find_kinds,
)
from keras_transfer.freezing.weight_movement import is_learned

_PARTS = {
    ADAPTER: "adapters",
    BIAS: "biases",
    GAMMA: "gamma",
    BETA: "beta",
}
_NORM_STATES = {True: "adapts its statistics", False: "frozen"}


def trainable_summary(model: keras.Model) -> str:
    """Describe a model's layer groups and what trains in them.

    Example:

    ```python
    print(kt.trainable_summary(model))
    # group     layers    weights   trainable   state
    # stem           3        896           0   frozen
    # ...
    # head           3     12,810      12,810   trains
    # trainable: 12,810 || all: 3,383,818 || 0.38 %
    ```

    Args:
        model: A built Keras model.

    Returns:
        A table as text, one line a group, from input to output. Where only
        adapters, biases or parameters of normalization train in a group, its
        state says so. The last line
        is `trainable: X || all: Y || Z %`, counted in numbers, as the whole
        model sees them: what `fit` will train.
    """
    trains = {id(weight) for weight in model.trainable_weights}
    kinds = find_kinds(model)
    rows = [("group", "layers", "weights", "trainable", "state")]
    for group in layer_groups(model):
        live = [v for v in group.variables if id(v) in trains]
        rows.append(
            (
                group.name,
                f"{len(group.layers):,}",
                f"{count_weights(group.variables):,}",
                f"{count_weights(live):,}",
                _state(group, {id(v) for v in live}, kinds),
            )
        )
    widths = [max(len(row[n]) for row in rows) for n in range(4)]
    lines = [
        "   ".join(
            [
                row[0].ljust(widths[0]),
                *(row[n].rjust(widths[n]) for n in (1, 2, 3)),
                row[4],
            ]
        )
        for row in rows
    ]
    total = count_weights(model.weights)
    live = count_weights(model.trainable_weights)
    share = 100 * live / total
    lines.append(f"trainable: {live:,} || all: {total:,} || {share:.2f} %")
    return "\n".join(lines)


def _state(group: LayerGroup, live: set[int], kinds: dict[int, str]) -> str:
    if not live:
        adapts = is_live(group)
        return "BatchNorm adapts its statistics" if adapts else "frozen"
    state = "trains"
    parts = {kinds.get(id_) for id_ in live}
    rest = {
        kinds.get(id(v))
        for v in group.variables
        if id(v) not in live and is_learned(v)
    }
    if parts <= _PARTS.keys() and rest.intersection((None, ADAPTED, GAMMA)):
        names = [name for kind, name in _PARTS.items() if kind in parts]
        state = f"trains {' and '.join(names)}"
    norms = batch_norm_layers(group)
    if not norms:
        return state
    trained = any(
        id(variable) in live
        for layer in norms
        for variable in layer._trainable_variables
    )
    adapts = any(layer.trainable for layer in norms)
    if trained:
        return f"{state}, BatchNorm {'too' if adapts else 'statistics frozen'}"
    return f"{state}, BatchNorm {_NORM_STATES[adapts]}"
