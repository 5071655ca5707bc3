"""Answers of classifiers that train in a moment, on features as they are."""

from collections.abc import Sequence

import numpy as np

from keras_transfer.optimizers.logistic_regression import fit_logistic

_NEIGHBOURS = 5
_FOLDS = 5
# A regression on more is hardly better, and takes minutes.
_MOST_EXAMPLES = 5000

Folds = Sequence[tuple[np.ndarray, np.ndarray]]


def make_folds(labels: np.ndarray, seed: int = 0) -> Folds:
    """Divide examples into five folds, each class evenly.

    Args:
        labels: The number of the class of each example, two or more.
        seed: Seed of the division.

    Returns:
        For each fold the rows of all others, and its own: every example is
        in one of them.
    """
    random = np.random.default_rng(seed)
    order = random.permutation(len(labels))
    order = order[np.argsort(labels[order], kind="stable")]
    count = min(_FOLDS, len(labels))
    number = np.empty(len(labels), int)
    # Dealt out like cards, class after class.
    number[order] = np.arange(len(labels)) % count
    return [
        (np.flatnonzero(number != fold), np.flatnonzero(number == fold))
        for fold in range(count)
    ]


def answer_most_frequent(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Answer with the most frequent class of the training examples.

    Args:
        x: Features of the examples to answer `(examples, features)`.
        y: Classes of the training examples.

    Returns:
        A class for each example of `x`.
    """
    return np.full(len(x), np.bincount(y).argmax())


def answer_nearest(
    train: np.ndarray, labels: np.ndarray, x: np.ndarray
) -> np.ndarray:
    """Answer as most of the five nearest training examples do.

    Args:
        train: Features of the training examples `(examples, features)`.
        labels: Their classes.
        x: Features of the examples to answer.

    Returns:
        A class for each example of `x`. Near is what has a high cosine; each
        neighbour counts as much as that.
    """
    from sklearn.neighbors import KNeighborsClassifier

    nearest = KNeighborsClassifier(
        min(_NEIGHBOURS, len(train)),
        metric="cosine",
        weights=lambda distances: np.maximum(1 - distances, 1e-6),
    )
    return nearest.fit(train, labels).predict(x)


def answer_regression(
    train: np.ndarray, labels: np.ndarray, x: np.ndarray, *, seed: int = 0
) -> np.ndarray:
    """Answer with a logistic regression on standardised features.

    Args:
        train: Features of the training examples `(examples, features)`.
            Of more than 5,000, that many are drawn.
        labels: Their classes.
        x: Features of the examples to answer.
        seed: Seed of the drawing.

    Returns:
        A class for each example of `x`.
    """
    if len(train) > _MOST_EXAMPLES:
        random = np.random.default_rng(seed)
        rows = random.choice(len(train), _MOST_EXAMPLES, replace=False)
        train, labels = train[rows], labels[rows]
    solution = fit_logistic(
        train,
        np.eye(labels.max() + 1)[labels],
        np.ones(len(train)),
        exclusive=True,
        tolerance=1e-4,  # In half the time, with the same answers.
    )
    return (x @ solution.kernel + solution.bias).argmax(axis=1)
