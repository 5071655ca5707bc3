"""LogME: how probable labels are, given features and any linear model."""

import numpy as np

from keras_transfer.insight.principal_components import find_components
from keras_transfer.insight.ridge_probe import check_features

_MOST_STEPS = 500
_TOLERANCE = 1e-6
# How far the ratio of noise to weights may go, beside the features' scale:
# without end, where features say nothing, or everything.
_BOUND = 1e12


def log_me(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the log of maximum evidence of labels, given features.

    Each class has a Bayesian linear regression of its one-hot labels, without
    a bias. The evidence is what is left when all weights are integrated out,
    so that wide features are not better for being wide. The precisions of
    weights and noise are those of the highest evidence, found by MacKay's
    fixed-point iteration (You et al., "LogME: Practical Assessment of
    Pre-trained Models for Transfer Learning", ICML 2021, algorithm 1; the
    iteration on eigenvalues as in You et al., "Ranking and Tuning Pre-trained
    Models", JMLR 2022).

    Example:

    ```python
    log_me(features, labels)  # 0.3; near -0.5, and lower, for noise
    ```

    Args:
        x: Features `(examples, features)`.
        y: The number of each example's class `(examples,)`.

    Returns:
        The log evidence of one example, a mean over the classes that are
        there. Higher is better; it is comparable for the same labels only.

    Raises:
        ValueError: As `fit_ridge_probe`.
    """
    x, y, _ = check_features(x, y)
    classes, numbers = np.unique(y, return_inverse=True)
    targets = np.eye(len(classes))[numbers]
    values, scores = find_components(x, least=1e-12)
    # Squares of the targets along each component.
    parts = (scores.T @ targets) ** 2 / values[:, None]
    rest = np.maximum((targets**2).sum(axis=0) - parts.sum(axis=0), 0)
    evidence = _maximize(values[:, None], parts, rest, len(x))
    return float(evidence.mean() / len(x))


def _maximize(values, parts, rest, examples: int) -> np.ndarray:
    """Return the log evidence of each column of targets.

    `ratio` is the precision of the weights by that of the noise, alpha / beta
    in the paper.
    """
    scale = values.max(initial=0) or 1.0
    ratio = np.full(rest.shape, values.mean() if len(values) else scale)
    for _ in range(_MOST_STEPS):
        used, size, error = _fit(ratio, values, parts, rest)
        noise = examples - len(values) + (ratio / (ratio + values)).sum(axis=0)
        # Without weights the ratio would be without end.
        new = np.full_like(ratio, np.inf)
        np.divide(used * error, size * noise, out=new, where=size > 0)
        new = np.clip(new, scale / _BOUND, scale * _BOUND)
        moved = np.abs(np.log(new / ratio)).max(initial=0)
        ratio = new
        if moved < _TOLERANCE:
            break
    _, size, error = _fit(ratio, values, parts, rest)
    # At any ratio, this is the precision of the noise that fits best.
    precision = examples / (error + ratio * size)
    return (
        examples / 2 * (np.log(precision / (2 * np.pi)) - 1)
        - np.log1p(values / ratio).sum(axis=0) / 2
    )


def _fit(ratio, values, parts, rest) -> tuple:
    """Return the number of weights used, their squares and the errors'."""
    total = values + ratio
    used = (values / total).sum(axis=0)
    size = (values * parts / total**2).sum(axis=0)
    error = ((ratio / total) ** 2 * parts).sum(axis=0) + rest
    return used, size, error
