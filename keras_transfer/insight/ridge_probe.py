"""A linear probe that was tested on every example, for the price of one fit."""

import dataclasses

import numpy as np

from keras_transfer.insight.principal_components import find_components

# Of the mean eigenvalue of the features' covariance: from next to nothing to
# so much that what is left are the means of the classes.
_PENALTIES = np.logspace(-4, 3, 15)


@dataclasses.dataclass(frozen=True, eq=False)
class RidgeProbe:
    """A linear classifier: its outputs are `x @ kernel + bias`.

    An output is near 1 for the class of an example and near 0 for others.
    They are no probabilities, and sum up to 1.

    Attributes:
        kernel: Array `(features, classes)`, for features as they were given.
        bias: Array `(classes,)`.
        penalty: What scikit-learn calls `alpha`, for standardised features.
        left_out: The outputs for each example of a probe that was fitted on
            all others `(examples, classes)`.
        labels: The class of each example `(examples,)`.
    """

    kernel: np.ndarray
    bias: np.ndarray
    penalty: float
    left_out: np.ndarray
    labels: np.ndarray

    def predict(self, x: np.ndarray) -> np.ndarray:
        """Compute the outputs `(examples, classes)` for other features."""
        return np.asarray(x, "float64") @ self.kernel + self.bias

    @property
    def accuracy(self) -> float:
        """How many of the examples that were left out it got right."""
        return float((self.left_out.argmax(axis=1) == self.labels).mean())


def fit_ridge_probe(
    x: np.ndarray, y: np.ndarray, classes: int | None = None
) -> RidgeProbe:
    """Fit a ridge regression of classes on standardised features.

    One eigendecomposition serves all penalties, and all fits without one of
    the examples: leaving it out multiplies its error by `1 / (1 - h)`, where
    `h` is its own entry in the hat matrix (D. M. Allen, 1974, "The
    relationship between variable selection and data augmentation and a method
    for prediction"). Features are scaled by all examples, so that this holds
    exactly. The penalty is that of the best accuracy on what was left out, the
    squared error deciding between equals.

    Example:

    ```python
    probe = fit_ridge_probe(features, labels)
    print(probe.accuracy, probe.predict(others).argmax(axis=1))
    ```

    Args:
        x: Features `(examples, features)`. Constant ones have no effect.
        y: The number of each example's class `(examples,)`, from 0.
        classes: How many classes there are. Defaults to those in `y`.

    Returns:
        A `RidgeProbe`. All its numbers are float64.

    Raises:
        ValueError: If shapes do not fit, there are fewer than two examples,
            features are not finite, or labels are no numbers of classes.
    """
    x, y, classes = check_features(x, y, classes)
    center, spread = x.mean(axis=0), x.std(axis=0)
    # What does not vary, but for rounding, tells nothing.
    spread[spread <= 1e-6 * np.abs(center)] = np.inf
    x = (x - center) / spread
    targets = np.eye(classes)[y]
    shares = targets.mean(axis=0)
    eigenvalues, scores = find_components(x)
    weights = scores.T @ (targets - shares)
    penalties = _PENALTIES * (eigenvalues.mean() if len(eigenvalues) else 1.0)
    # Of the hat matrix's own entries, 1 / examples is the bias's part.
    own = 1 / len(x) + scores**2 @ (1 / (eigenvalues[:, None] + penalties))

    def leave_out(number):
        shrunk = weights / (eigenvalues[:, None] + penalties[number])
        errors = targets - shares - scores @ shrunk
        return targets - errors / (1 - own[:, number, None])

    def judge(number):
        outputs = leave_out(number)
        accuracy = (outputs.argmax(axis=1) == y).mean()
        return accuracy, -((outputs - targets) ** 2).sum()

    best = max(range(len(penalties)), key=judge)
    shrunk = weights / (eigenvalues[:, None] + penalties[best])
    kernel = x.T @ (scores @ (shrunk / eigenvalues[:, None]))
    kernel = kernel / spread[:, None]
    return RidgeProbe(
        kernel=kernel,
        bias=shares - center @ kernel,
        penalty=float(penalties[best]),
        left_out=leave_out(best),
        labels=y,
    )


def check_features(
    x: np.ndarray, y: np.ndarray, classes: int | None = None
) -> tuple[np.ndarray, np.ndarray, int]:
    """Check features and labels, as for `fit_ridge_probe`.

    Returns:
        Tuple of the features in float64, the labels in int64, and the number
        of classes.
    """
    x, y = np.asarray(x), np.asarray(y)
    if x.ndim != 2 or y.shape != x.shape[:1] or len(x) < 2:
        raise ValueError(
            "Features must be an array (examples, features) of two examples "
            "or more, and labels the number of each one's class. Received: "
            f"x of shape {x.shape}, y of shape {y.shape}"
        )
    x = x.astype("float64")
    if not np.isfinite(x).all():
        raise ValueError(
            "Features must be finite: look for NaN in the data, or for a "
            "network that overflows. Received: x with "
            f"{(~np.isfinite(x)).sum()} of {x.size} values that are not"
        )
    numbers = y.astype("int64")
    if (numbers != y).any() or numbers.min() < 0:
        raise ValueError(
            "Labels must be numbers of classes, 0 or more. "
            f"Received: y between {y.min()} and {y.max()}, dtype {y.dtype}"
        )
    most = int(numbers.max()) + 1
    if classes is not None and classes < most:
        raise ValueError(
            f"`classes` must be {most} or more, as labels go up to "
            f"{most - 1}. Received: classes={classes}"
        )
    return x, numbers, classes or most
