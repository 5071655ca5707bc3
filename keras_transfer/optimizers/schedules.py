"""How the learning rate goes within a phase."""

import math
from collections.abc import Callable

_LOW = 1 / 25  # where a rise begins, as a share of the highest rate


def constant(progress: float) -> float:
    """Keep the rate."""
    return 1.0


def cosine(progress: float) -> float:
    """Fall to 0 along half a cosine.

    Loshchilov & Hutter 2017, "SGDR: Stochastic Gradient Descent with Warm
    Restarts", arXiv:1608.03983, equation 5, without the restarts.
    """
    return (1 + math.cos(math.pi * progress)) / 2


def warmup_cosine(progress: float, warmup: float = 0.1) -> float:
    """Rise linearly for a tenth of the phase, then fall to 0.

    The rise is for optimizers like Adam, whose first steps are the least
    certain, and for groups that join when its bias correction has run out:
    their first steps would be up to five times too long.
    """
    if progress < warmup:
        return _LOW + (1 - _LOW) * progress / warmup
    return cosine((progress - warmup) / (1 - warmup))


def one_cycle(progress: float, rise: float = 0.25) -> float:
    """Rise for a quarter of the phase, then fall to 0, along cosines.

    Smith 2018, "A disciplined approach to neural network hyper-parameters",
    arXiv:1803.09820, in the form that fastai gave it. The momentum, which
    Smith cycles too, is left alone.
    """
    if progress < rise:
        return 1 - (1 - _LOW) * cosine(progress / rise)
    return cosine((progress - rise) / (1 - rise))


_SCHEDULES = {
    "constant": constant,
    "cosine": cosine,
    "warmup_cosine": warmup_cosine,
    "one_cycle": one_cycle,
}


def get_schedule(name: str) -> Callable[[float], float]:
    """Return the schedule that a `Phase` names.

    Args:
        name: `"constant"`, `"cosine"`, `"warmup_cosine"` or `"one_cycle"`.

    Returns:
        A function from the progress within the phase, in [0, 1), to the share
        of the highest rate, in [0, 1].
    """
    return _SCHEDULES[name]
