"""How much of a mean is luck."""

import numpy as np

from keras_transfer.board.wilson_interval import wilson_interval

_RESAMPLES = 4000


def bootstrap_interval(
    values: np.ndarray, *, seed: int = 0
) -> tuple[float, float]:
    """Compute the 95 % interval of a mean by resampling.

    The percentile bootstrap (B. Efron, 1979, "Bootstrap methods: another look
    at the jackknife"), with 4,000 resamples. Paired differences are given as
    differences: of right answers, 1, 0 or -1 for each example.

    Example:

    ```python
    bootstrap_interval(answers == labels)  # of an accuracy
    bootstrap_interval(1.0 * right - right_before)  # of a gain
    ```

    Args:
        values: One value an example, at least one; truth values count as 0
            and 1.
        seed: Seed of the resampling. Defaults to 0.

    Returns:
        The lower and the upper end. Where no answer differs from another,
        which resampling cannot vary: Wilson's interval for truth values, and
        otherwise as far to each side as it goes from a share of 0.
    """
    values = np.asarray(values)
    is_truth = values.dtype == bool
    different, counts = np.unique(values.astype("float64"), return_counts=True)
    if len(different) == 1:
        if is_truth:
            return wilson_interval(float(different[0]), len(values))
        _, width = wilson_interval(0.0, len(values))
        return float(different[0] - width), float(different[0] + width)
    random = np.random.default_rng(seed)
    # A resample is how often each value was drawn.
    drawn = random.multinomial(
        len(values), counts / len(values), size=_RESAMPLES
    )
    means = drawn @ different / len(values)
    low, high = np.quantile(means, (0.025, 0.975))
    return float(low), float(high)
