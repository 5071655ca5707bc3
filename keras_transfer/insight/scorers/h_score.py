"""H-score: how far the classes lie apart, in units of the features' spread."""

import numpy as np

from keras_transfer.insight.ridge_probe import check_features

# Of the mean variance, where the data asks for no shrinkage at all.
_LEAST = 1e-10
# Of a sum of squares, below which a difference of such sums is rounding.
_ROUNDING = 1e-12


def h_score(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the H-score of features, with a shrunk covariance.

    It is `tr(inv(C) (1 - a) B)`, where `B` is the covariance of the classes'
    means, and `C` that of the features, shrunk by `a` towards a multiple of
    the identity (Ibrahim et al., "Newer is not always better: Rethinking
    transferability metrics, their peculiarities, stability and performance",
    2022, arXiv:2110.06893; `a` by Ledoit and Wolf, "A well-conditioned
    estimator for large-dimensional covariance matrices", 2004). Without
    shrinkage it would say nothing where there are about as many features as
    examples.

    Example:

    ```python
    h_score(features, labels)  # 4.2 of at most 9, for ten classes
    ```

    Args:
        x: Features `(examples, features)`.
        y: The number of each example's class `(examples,)`.

    Returns:
        A number from 0 to the number of classes less 1. Higher is better.

    Raises:
        ValueError: As `fit_ridge_probe`.
    """
    x, y, _ = check_features(x, y)
    x = x - x.mean(axis=0)
    examples, features = x.shape
    variance = (x**2).sum() / examples / max(features, 1)
    if not variance:
        return 0.0
    classes, numbers = np.unique(y, return_inverse=True)
    members = np.eye(len(classes))[numbers]
    counts = members.sum(axis=0)
    is_wide = features > examples
    gram = (x @ x.T if is_wide else x.T @ x) / examples
    shrinkage = _choose_shrinkage(x, gram, variance)
    shrunk = (1 - shrinkage) * gram
    shrunk.flat[:: len(shrunk) + 1] += max(shrinkage, _LEAST) * variance
    if is_wide:
        # The inverse of a small matrix in place of that of a large one.
        spread = np.linalg.solve(shrunk, gram @ members)
        distances = (members * spread).sum(axis=0) / counts
    else:
        sums = x.T @ members
        spread = np.linalg.solve(shrunk, sums)
        distances = (sums * spread).sum(axis=0) / counts / examples
    return float((1 - shrinkage) * distances.sum())


def _choose_shrinkage(x, gram, variance: float) -> float:
    """Estimate how much of the identity makes the covariance most right."""
    examples, features = x.shape
    square = (gram**2).sum()
    distance = square - features * variance**2
    noise = ((x**2).sum(axis=1) ** 2).sum() / examples - square
    if distance <= _ROUNDING * square:
        return 0.0
    return float(np.clip(noise / examples / distance, 0, 1))
