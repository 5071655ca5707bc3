"""Parts of the data on which a model does worse than on the rest."""

from collections.abc import Mapping, Sequence

import numpy as np

from keras_transfer.board.wilson_interval import wilson_interval

_LEVEL = 0.05


def slice_rows(right: np.ndarray, slices: Mapping[str, Sequence]) -> list[dict]:
    """Compute the accuracy on each part of the data, and mark the worse.

    Example:

    ```python
    slice_rows(right, {"camera": ["phone", "phone", "scanner", ...]})
    ```

    Args:
        right: Whether each example was answered rightly.
        slices: For each name a value for each example: those of one value are
            one part.

    Returns:
        For each part a dict with the keys `"slice"`, `"value"`, `"accuracy"`,
        `"low"` and `"high"` (Wilson's 95 % interval), `"examples"`, and
        `"worse"`: whether it is answered less well than all the rest, beyond
        what chance would do among so many parts (Fisher's exact test, one
        side, 0.05 in all by Holm 1979, "A simple sequentially rejective
        multiple test procedure").

    Raises:
        ValueError: If there is not one value for each example.
    """
    right = np.asarray(right) > 0
    rows, chances = [], []
    for name, values in slices.items():
        values = np.asarray(values)
        if values.dtype == object:  # numbers and names, or nothing, mixed
            values = values.astype(str)
        if values.shape != right.shape:
            raise ValueError(
                f"`slices` must have a value for each of the {len(right)} "
                f"validation examples, in their order. Received: {name!r} "
                f"with values of shape {values.shape}"
            )
        for value in np.unique(values):
            part = values == value
            accuracy, examples = float(right[part].mean()), int(part.sum())
            low, high = wilson_interval(accuracy, examples)
            rows.append(
                {
                    "slice": str(name),
                    "value": str(value),
                    "accuracy": accuracy,
                    "low": low,
                    "high": high,
                    "examples": examples,
                }
            )
            chances.append(_chance_of_worse(right[part], right[~part]))
    for row, is_worse in zip(rows, _reject(np.array(chances)), strict=True):
        row["worse"] = bool(is_worse)
    return rows


def _chance_of_worse(part, rest) -> float:
    from scipy.stats import fisher_exact

    table = [[part.sum(), (~part).sum()], [rest.sum(), (~rest).sum()]]
    return float(fisher_exact(table, alternative="less").pvalue)


def _reject(chances) -> np.ndarray:
    """Reject by Holm's procedure."""
    order = np.argsort(chances)
    bounds = _LEVEL / np.arange(len(chances), 0, -1)
    passed = np.logical_and.accumulate(chances[order] <= bounds)
    rejected = np.zeros(len(chances), bool)
    rejected[order] = passed
    return rejected
