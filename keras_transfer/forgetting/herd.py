"""Choose the vectors whose mean is that of all."""

import numpy as np


def herd(features: np.ndarray, count: int) -> np.ndarray:
    """Choose vectors one by one, so that their mean stays near that of all.

    It is algorithm 4 of Rebuffi et al. 2017, "iCaRL: Incremental classifier
    and representation learning", arXiv:1611.07725. The first of those chosen
    are the best ones for a smaller number.

    Example:

    ```python
    chosen = herd(features[labels == 3], 20)
    ```

    Args:
        features: Array `(examples, features)`. It is L2-normalized first;
            vectors of zeros stay as they are.
        count: How many to choose, without replacement; all, if there are no
            more.

    Returns:
        Their numbers, `int64`, in the order of the choice. Of equals, the
        first is chosen.

    Raises:
        ValueError: If `features` is not such an array.
    """
    features = np.asarray(features, "float64")
    if features.ndim != 2 or not np.isfinite(features).all():
        raise ValueError(
            "`features` must be a matrix of finite numbers, an example a row. "
            f"Received: features of shape {features.shape}"
        )
    lengths = np.linalg.norm(features, axis=1, keepdims=True)
    features = features / np.where(lengths > 0, lengths, 1)
    mean = features.mean(axis=0) if len(features) else None
    squares = (features**2).sum(axis=1)
    total = np.zeros(features.shape[1])
    is_left = np.ones(len(features), bool)
    chosen = []
    for size in range(1, min(count, len(features)) + 1):
        # |total + x - size * mean|^2, without what is the same for all.
        far = squares - 2 * features @ (size * mean - total)
        best = int(np.argmin(np.where(is_left, far, np.inf)))
        chosen.append(best)
        is_left[best] = False
        total += features[best]
    return np.array(chosen, "int64")
