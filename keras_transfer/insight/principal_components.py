"""Principal components of features, wide or narrow."""

import numpy as np
from threadpoolctl import threadpool_limits


def find_components(
    x: np.ndarray, least: float = 1e-10
) -> tuple[np.ndarray, np.ndarray]:
    """Find the components of features, as they are: not centred, not scaled.

    It is one eigendecomposition of the smaller of `x @ x.T` and `x.T @ x`. The
    axes of the components are `x.T @ scores / eigenvalues`.

    Args:
        x: Features `(examples, features)` in float64.
        least: Eigenvalues up to this share of the largest count as 0.

    Returns:
        Tuple `(eigenvalues, scores)`: those of `x.T @ x` above 0, in rising
        order `(components,)`; and what each example has of each component
        `(examples, components)`.
    """
    is_wide = x.shape[1] > len(x)
    gram = x @ x.T if is_wide else x.T @ x
    # The threads of LAPACK wait for each other without sleeping. Where others
    # need the cores, two of them took ten times as long as one.
    with threadpool_limits(1, "blas"):
        eigenvalues, vectors = np.linalg.eigh(gram)
    some = eigenvalues > least * eigenvalues.max(initial=0)
    eigenvalues, vectors = eigenvalues[some], vectors[:, some]
    scores = vectors * np.sqrt(eigenvalues) if is_wide else x @ vectors
    return eigenvalues, scores
