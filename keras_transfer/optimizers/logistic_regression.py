"""Logistic regression by L-BFGS, as a kernel and a bias."""

import dataclasses
import warnings

import numpy as np
from threadpoolctl import threadpool_limits

_INVERSE_PENALTIES = (1e-4, 1e-3, 0.01, 0.1, 1.0)
# Where nothing tells. On two small sets of pictures it was right as often as
# 1, and less sure of what it got wrong.
_USUAL = 0.1
# Where weights are hardly penalised, a fine solution takes ten times as long
# as one that can be compared with others.
_COARSE, _FINE = 1e-4, 1e-6
_MOST_STEPS = 2000
_NEVER = -20.0  # the logit of a class without examples


@dataclasses.dataclass(frozen=True, eq=False)
class LogisticRegression:
    """A linear classifier: its logits are `x @ kernel + bias`.

    Attributes:
        kernel: Array `(features, classes)`.
        bias: Array `(classes,)`.
        inverse_penalty: What scikit-learn calls `C`.
        converged: Whether the solver came to an end.
    """

    kernel: np.ndarray
    bias: np.ndarray
    inverse_penalty: float
    converged: bool

    def score(
        self, x: np.ndarray, y: np.ndarray, *, exclusive: bool
    ) -> tuple[float, float]:
        """Return accuracy and log likelihood; data as for `fit_logistic`."""
        logits = x @ self.kernel + self.bias
        if exclusive:
            right = logits.argmax(axis=1) == y.argmax(axis=1)
            log_sum = np.logaddexp.reduce(logits, axis=1)
            likelihood = (logits * y).sum(axis=1) - log_sum
        else:
            right = (logits > 0) == (y > 0)
            likelihood = logits * y - np.logaddexp(0, logits)
        return float(right.mean()), float(likelihood.mean())


# The matrices are small: threads wait for each other most of the time, and
# forty times as long where other processes use the cores.
@threadpool_limits.wrap(limits=1)
def fit_logistic(
    x: np.ndarray,
    y: np.ndarray,
    sample_weight: np.ndarray,
    validation: tuple[np.ndarray, np.ndarray] | None = None,
    *,
    exclusive: bool,
    tolerance: float = _FINE,
) -> LogisticRegression:
    """Fit a logistic regression on standardised features.

    Weights are penalised as is best for the validation data: for the accuracy,
    the log likelihood deciding between equals. A class without examples has a
    logit of -20 where the highest is at least 0.

    Args:
        x: Features `(examples, features)`.
        y: Labels `(examples, classes)`, 0 or 1.
        sample_weight: The weight of each example, some above 0.
        validation: More features and labels. Without, `C` is 0.1.
        exclusive: Whether an example belongs to one class (softmax). If not,
            there is a regression for each class (sigmoid).
        tolerance: Largest slope at which the solver stops. Defaults to 1e-6.

    Returns:
        A `LogisticRegression` of features as they are given.
    """
    # Not sooner: it takes a second to import.
    from sklearn.linear_model import LogisticRegression as make

    some = sample_weight > 0
    x, y, weight = x[some].astype("float64"), y[some], sample_weight[some]
    center, spread = x.mean(axis=0), x.std(axis=0)
    # What does not vary, but for rounding, tells nothing.
    spread[spread <= 1e-6 * np.abs(center)] = np.inf
    scaled = (x - center) / spread
    basis = None
    if len(x) < x.shape[1]:
        # The weights lie in the space of the examples: fewer to look for.
        basis, _ = np.linalg.qr(scaled.T)
        scaled = scaled @ basis
    targets = [y.argmax(axis=1)] if exclusive else list(y.T.astype(int))
    classes = y.shape[1] if exclusive else 2

    def solve(inverse_penalty, tolerance):
        parts = []
        for target in targets:
            estimator = make(
                C=inverse_penalty, tol=tolerance, max_iter=_MOST_STEPS
            )
            parts.append(_solve(estimator, scaled, target, weight, classes))
        kernel, bias, converged = map(np.hstack, zip(*parts, strict=True))
        if not exclusive:
            kernel = kernel[:, 1::2] - kernel[:, ::2]
            bias = bias[1::2] - bias[::2]
        if basis is not None:
            kernel = basis @ kernel
        kernel = kernel / spread[:, None]
        bias = bias - center @ kernel
        return LogisticRegression(
            kernel, bias, inverse_penalty, bool(converged.all())
        )

    def score(inverse_penalty):
        solution = solve(inverse_penalty, _COARSE)
        return solution.score(*validation, exclusive=exclusive)

    best = _USUAL
    if validation is not None:
        best = max(_INVERSE_PENALTIES, key=score)
    return solve(best, tolerance)


def _solve(estimator, x, target, weight, classes: int) -> tuple:
    """Return kernel and bias for all classes, and whether it converged."""
    kernel, bias = np.zeros((x.shape[1], classes)), np.full(classes, _NEVER)
    present = np.unique(target)
    if len(present) == 1:
        bias[present] = 0
        return kernel, bias, True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)  # we say that ourselves
        estimator.fit(x, target, weight)
    found = np.vstack([estimator.coef_.T, estimator.intercept_])
    if len(present) == 2:
        found = np.hstack([-found, found]) / 2
    # With a mean of 0, one of the logits is never below that.
    found -= found.mean(axis=1, keepdims=True)
    kernel[:, present], bias[present] = found[:-1], found[-1]
    return kernel, bias, estimator.n_iter_.max() < _MOST_STEPS
