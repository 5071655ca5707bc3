"""How alike two representations of the same examples are."""

import numpy as np


def linear_cka(x: np.ndarray, y: np.ndarray) -> float:
    """Compute the linear centered kernel alignment of two sets of features.

    Kornblith et al. 2019, "Similarity of Neural Network Representations
    Revisited", arXiv:1905.00414, equation 3: `‖YᵀX‖² / (‖XᵀX‖ ‖YᵀY‖)` of
    centered features, with Frobenius norms. Rotating or scaling all features
    makes no difference. All is computed in float64.

    Example:

    ```python
    linear_cka(features_before, features_after)  # 1.0: nothing has changed
    ```

    Args:
        x: Features `(examples, features)`.
        y: Other features of the same examples, `(examples, others)`.

    Returns:
        A number in [0, 1]; NaN where one of them is the same for all examples.

    Raises:
        ValueError: If these are not two arrays of as many examples, two or
            more.
    """
    x, y = np.asarray(x, "float64"), np.asarray(y, "float64")
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or len(x) < 2:
        raise ValueError(
            "Features must be two arrays `(examples, features)` of as many "
            "examples, two or more. Received: x of shape "
            f"{x.shape}, y of shape {y.shape}"
        )
    return _align(_products(x), _products(y))


def chance_cka(x: np.ndarray, y: np.ndarray, *, seed: int = 0) -> float:
    """Compute the alignment of features that have nothing in common.

    With few examples of many features, even such ones seem alike. It is the
    mean over ten pairings of examples with others at random.

    Args:
        x: As for `linear_cka`.
        y: As for `linear_cka`.
        seed: Seed of the pairings.

    Returns:
        A number in [0, 1]: what to hold a value of `linear_cka` against.
    """
    x, y = (_products(np.asarray(part, "float64")) for part in (x, y))
    random = np.random.default_rng(seed)
    found = []
    for _ in range(10):
        order = random.permutation(len(y))
        found.append(_align(x, y[np.ix_(order, order)]))
    return float(np.mean(found))


def _products(x) -> np.ndarray:
    """Return the products of all pairs of examples, `(examples, examples)`."""
    # As ‖YᵀX‖² is the sum of the products of XXᵀ and YYᵀ, which are small.
    x = x - x.mean(axis=0)
    return x @ x.T


def _align(x, y) -> float:
    norms = np.linalg.norm(x) * np.linalg.norm(y)
    if norms == 0:
        return float("nan")
    return float(min((x * y).sum() / norms, 1.0))
