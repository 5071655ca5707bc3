"""What a phase trains, in words."""

from collections.abc import Mapping, Sequence

import keras

from keras_transfer.backbones.layer_groups import count_weights, layer_groups
from keras_transfer.board.class_report import escape_markdown


def phase_markdown(
    model: keras.Model,
    title: str,
    learning_rates: Mapping[str, float],
    notes: Mapping[str, str] | None = None,
) -> str:
    """Describe in markdown what a model trains now.

    Args:
        model: A built Keras model.
        title: Name of the phase.
        learning_rates: The learning rate, or several, by name.
        notes: What else there is to say, by what it is about.

    Returns:
        A heading and a table. Layer groups are left out where the model has
        none.
    """
    rows = []
    groups = group_states(model)
    if groups:
        rows.append(("trains", group_ranges(groups, True)))
        rows.append(("frozen", group_ranges(groups, False)))
    live, total = map(count_weights, (model.trainable_weights, model.weights))
    share = live / max(total, 1)
    rows.append(("trainable weights", f"{live:,} of {total:,} ({share:.2%})"))
    for name, rate in learning_rates.items():
        rows.append((name.replace("_", " "), f"{rate:.6g}"))
    rows += (notes or {}).items()
    first, *others = (
        f"| {name} | {escape_markdown(text)} |" for name, text in rows
    )
    return "\n".join(
        [f"### {escape_markdown(title)}", "", first, "|:--|:--|", *others]
    )


def group_states(model: keras.Model) -> list[tuple[str, bool]]:
    """Return the name of each layer group and whether it trains.

    Args:
        model: A Keras model.

    Returns:
        Pairs from input to output; none where the model has no groups.
    """
    try:
        groups = layer_groups(model)
    except Exception:  # whatever the model is, the rest can be told
        return []
    trained = {id(weight) for weight in model.trainable_weights}
    return [
        (group.name, any(id(v) in trained for v in group.variables))
        for group in groups
    ]


def group_ranges(groups: Sequence[tuple[str, bool]], trains: bool) -> str:
    """Name the groups that train, or that do not, by ranges.

    Example:

    ```python
    groups = [("stem", False), ("block_1", True), ("block_2", True),
              ("block_3", True), ("head", True)]
    group_ranges(groups, True)   # 'block_1 to head'
    ```

    Args:
        groups: Names from input to output, and whether each trains.
        trains: Which of them to name.

    Returns:
        Names and ranges of three or more, separated by commas; "none" if
        there are none.
    """
    runs = [[]]
    for name, live in groups:
        if live == trains:
            runs[-1].append(name)
        elif runs[-1]:
            runs.append([])
    texts = [
        ", ".join(run) if len(run) < 3 else f"{run[0]} to {run[-1]}"
        for run in runs
        if run
    ]
    return ", ".join(texts) or "none"
