"""LEEP: what the classes of the source tell about those of the target."""

import numpy as np


def leep(probabilities: np.ndarray, y: np.ndarray) -> float:
    """Compute the log expected empirical prediction.

    It is the mean log likelihood of a classifier that takes the network's own
    probabilities for classes of the source, and from each of those goes on to
    the classes that were found with it (Nguyen et al., "LEEP: A New Measure to
    Evaluate Transferability of Learned Representations", ICML 2020, equations
    1 and 2). It looks at the old head only, and ranks networks badly where
    their sources have different classes.

    Example:

    ```python
    leep(network.predict(images), labels)  # -1.6
    ```

    Args:
        probabilities: Of each class of the source `(examples, sources)`.
        y: The number of each example's class `(examples,)`.

    Returns:
        A number of at most 0. Higher is better.

    Raises:
        ValueError: If rows are no probabilities, or labels do not fit.
    """
    probabilities, members = check_probabilities(probabilities, y)
    joint = probabilities.T @ members
    total = joint.sum(axis=1, keepdims=True)
    given = np.divide(joint, total, out=np.zeros_like(joint), where=total > 0)
    expected = ((probabilities @ given) * members).sum(axis=1)
    return float(np.log(expected).mean())


def check_probabilities(
    probabilities: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Check probabilities and labels, as for `leep`.

    Returns:
        Tuple of the probabilities in float64, and of one-hot labels with a
        column for each class that is there.
    """
    probabilities, y = np.asarray(probabilities, "float64"), np.asarray(y)
    if (
        probabilities.ndim != 2
        or not probabilities.size
        or y.shape != probabilities.shape[:1]
    ):
        raise ValueError(
            "Probabilities must be an array (examples, sources), and labels "
            "the number of each example's class. Received: probabilities of "
            f"shape {probabilities.shape}, y of shape {y.shape}"
        )
    sums = probabilities.sum(axis=1)
    if not (probabilities.min() >= 0 and np.allclose(sums, 1, atol=1e-2)):
        raise ValueError(
            "Each row must be probabilities that sum up to 1: what a softmax "
            "returns. Received: probabilities between "
            f"{probabilities.min()} and {probabilities.max()}, with sums "
            f"between {sums.min()} and {sums.max()}"
        )
    classes, numbers = np.unique(y, return_inverse=True)
    return probabilities, np.eye(len(classes))[numbers]
