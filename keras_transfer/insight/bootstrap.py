"""How much of a mean is luck."""

from collections.abc import Sequence

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


def luck_of_the_best(right: Sequence[np.ndarray], *, seed: int = 0) -> float:
    """Estimate by how much the best of several means flatters itself.

    What is chosen for its mean on some examples was partly lucky with them,
    and the more so the closer the others are. In each of 4,000 resamples the
    best is chosen anew; how much less it has on all examples is what is
    returned, on average (B. Efron, 1983, "Estimating the error rate of a
    prediction rule").

    Args:
        right: For each of them, one value for each of the same examples.
        seed: Seed of the resampling. Defaults to 0.

    Returns:
        A difference of means: 0 for one alone, and about 0 where one is far
        better than the others.
    """
    right = np.asarray(right, "float64")
    # Few, however many examples there are.
    patterns, counts = np.unique(right, axis=1, return_counts=True)
    count = counts.sum()
    random = np.random.default_rng(seed)
    drawn = random.multinomial(count, counts / count, size=_RESAMPLES)
    means = drawn @ patterns.T / count
    on_all = right.mean(axis=1)
    best, chosen = on_all.argmax(), means.argmax(axis=1)
    # Both against the best of all: on average that is the same, and has less
    # luck of its own.
    ahead = means.max(axis=1) - means[:, best]
    return float((ahead + on_all[best] - on_all[chosen]).mean())
