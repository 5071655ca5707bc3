"""One memory of two."""

import keras
import numpy as np


def merge_memories(old: tuple, new: tuple, per_class: int) -> tuple:
    """Keep a few examples of each class of two memories.

    The first of each are kept, which `choose_memory` has chosen first (as
    Rebuffi et al. 2017, arXiv:1611.07725, algorithm 5, shrink theirs). Of a
    class that is in both they are taken in turn, so that old examples do not
    drown in new ones.

    Args:
        old: Tuple `(x, y)` or `(x, y, sample_weight)` of arrays, as
            `choose_memory` returns it, labels `(examples,)`.
        new: Another of the same kind.
        per_class: How many examples of each class to keep at most.

    Returns:
        Such a tuple, class by class.
    """
    joined = keras.tree.map_structure(
        lambda *parts: np.concatenate(parts), old, new
    )
    # 0, 2, 4 ... in one memory and 1, 3, 5 ... in the other.
    turns = np.concatenate(
        [2 * _rank(part[1]) + n for n, part in enumerate((old, new))]
    )
    order = np.lexsort((turns, joined[1]))
    kept = order[_rank(joined[1][order]) < per_class]
    return keras.tree.map_structure(lambda part: part[kept], joined)


def _rank(labels) -> np.ndarray:
    """Count for each label how many of its class come before it."""
    ranks = np.zeros(len(labels), "int64")
    for label in np.unique(labels):
        rows = np.flatnonzero(labels == label)
        ranks[rows] = np.arange(len(rows))
    return ranks
