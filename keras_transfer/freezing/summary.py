"""Show which layer groups of a model train."""

import keras

from keras_transfer.backbones.layer_groups import (
    LayerGroup,
    count_weights,
    layer_groups,
)
from keras_transfer.freezing.freezable_model import batch_norm_layers, is_live


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
        A table as text, one line a group, from input to output. Its last line
        is `trainable: X || all: Y || Z %`, counted in numbers, as the whole
        model sees them: what `fit` will train.
    """
    trains = {id(weight) for weight in model.trainable_weights}
    rows = [("group", "layers", "weights", "trainable", "state")]
    for group in layer_groups(model):
        live = [v for v in group.variables if id(v) in trains]
        rows.append(
            (
                group.name,
                f"{len(group.layers):,}",
                f"{count_weights(group.variables):,}",
                f"{count_weights(live):,}",
                _state(group, bool(live)),
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


def _state(group: LayerGroup, trains: bool) -> str:
    if not trains:
        adapts = is_live(group)
        return "BatchNorm adapts its statistics" if adapts else "frozen"
    norms = batch_norm_layers(group)
    if any(layer.trainable_weights for layer in norms):
        return "trains, BatchNorm too"
    if any(layer.trainable for layer in norms):
        return "trains, BatchNorm adapts its statistics"
    return "trains, BatchNorm frozen" if norms else "trains"
