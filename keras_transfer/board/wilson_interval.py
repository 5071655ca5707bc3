"""How far a share that was counted on few examples can be trusted."""

import math

_QUANTILE = 1.959964  # of the normal distribution, for 95 %


def wilson_interval(share: float, examples: int) -> tuple[float, float]:
    """Compute the 95 % interval of a share.

    Wilson's, which holds for few examples and for shares near 0 and 1, too
    (E. B. Wilson, 1927, "Probable inference, the law of succession, and
    statistical inference").

    Example:

    ```python
    wilson_interval(0.7, 100)  # (0.604, 0.781)
    ```

    Args:
        share: The share that was counted, an accuracy say, in [0, 1].
        examples: How many examples it was counted on, 1 or more.

    Returns:
        The lower and the upper end, in [0, 1].
    """
    square = _QUANTILE**2
    middle = (share + square / (2 * examples)) / (1 + square / examples)
    spread = share * (1 - share) / examples + square / (4 * examples**2)
    half = _QUANTILE * math.sqrt(spread) / (1 + square / examples)
    return max(middle - half, 0.0), min(middle + half, 1.0)
