"""How much of a training step a frozen prefix is."""

import math
from collections.abc import Iterable

from keras_transfer.caching.unrolled_graph import Step

_BACKWARD = 2  # what going back costs, beside going forward


def estimate_share(prefix: Iterable[Step], tail: Iterable[Step]) -> float:
    """Estimate what share of the arithmetic of a step a prefix does.

    It counts the products of weights and inputs, which is nearly all that
    there is to compute in convolutions and dense layers.

    Args:
        prefix: Steps that only run forward.
        tail: Steps that are trained.

    Returns:
        A number in [0, 1].
    """
    frozen, trained = (sum(map(_count_products, x)) for x in (prefix, tail))
    return frozen / max(1, frozen + (1 + _BACKWARD) * trained)


def _count_products(step: Step) -> int:
    weights = getattr(step.operation, "weights", ())
    kernels = sum(math.prod(w.shape) for w in weights if len(w.shape) > 1)
    shape = step.tensors[0].shape[1:-1]
    return kernels * math.prod(side or 1 for side in shape)
