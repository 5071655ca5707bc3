"""Which labels a classifier that has not seen them finds hard to believe."""

from collections.abc import Sequence

import numpy as np

from keras_transfer.insight.audit.finding import Finding
from keras_transfer.insight.audit.picture_table import PictureTable

# A class with fewer different pictures has too few to judge one by.
LEAST_EXAMPLES = 5
# By how much the answer for another class must be higher; or, where there are
# many and answers are low, how many times as likely the class must be.
_LEAST_MARGIN, _LEAST_ODDS = 0.32, 25
# Of similarity, over the squared distance.
_NEARNESS = 0.6
# With more examples than that, similarity is to so many of them alone.
_MOST_LANDMARKS = 1500
_PENALTIES = (0.0003, 0.001, 0.003, 0.01, 0.03, 0.1)
_SCALES = np.geomspace(1, 100, 60)


def find_label_errors(
    table: PictureTable,
    features: np.ndarray,
    groups: np.ndarray,
) -> list[Finding]:
    """List pictures that rather look like another class.

    A classifier answers for each group of duplicates what it would have
    answered without that group: kernel ridge regression, by how similar the
    features of two pictures are. Those are listed for which another class is
    answered by far.

    Confident learning (C. Northcutt et al., 2021, "Confident learning:
    estimating uncertainty in dataset labels") goes on from such answers to how
    many labels of each class are wrong, and takes no more of them. That makes
    it miss more where classes are easy to tell apart, or differ in size.

    Args:
        table: The pictures.
        features: Features of the table's readable rows.
        groups: The group of duplicates of each row of the table.

    Returns:
        Findings, the most suspicious first.
    """
    rows = table.readable
    names = np.array(table.classes)[rows]
    few = list_small_classes(table, groups)
    judged = ~np.isin(names, few)
    if not judged.any():
        return []
    classes, labels = np.unique(names[judged], return_inverse=True)
    if len(classes) < 2:
        return []
    rows = rows[judged]
    x = describe_similarity(features[judged])
    answers = answer_for_left_out(x, labels, groups[rows])
    probabilities = calibrate(answers, labels)
    own = np.arange(len(rows)), labels
    others = answers.copy()
    others[own] = -np.inf
    looks = others.argmax(axis=1)
    margins = others.max(axis=1) - answers[own]
    chances = probabilities[own[0], looks]
    is_suspect = (margins > _LEAST_MARGIN) | (
        chances > _LEAST_ODDS * probabilities[own]
    )
    found = []
    for i in np.flatnonzero(is_suspect):
        detail = (
            f"looks like {classes[looks[i]]} ({chances[i]:.0%}), filed under "
            f"{classes[labels[i]]} ({probabilities[own][i]:.0%})"
        )
        score = float(np.clip(margins[i], 0, 1))
        found.append(table.describe("label_error", [rows[i]], detail, score))
    return sorted(found, key=lambda finding: -finding.score)


def list_small_classes(table: PictureTable, groups: np.ndarray) -> list[str]:
    """List the classes with too few different pictures to judge one by."""
    rows = table.readable
    members = {name: set() for name in table.classes}
    for row in rows:
        members[table.classes[row]].add(groups[row])
    return sorted(
        name for name, its in members.items() if len(its) < LEAST_EXAMPLES
    )


def describe_similarity(features: np.ndarray) -> np.ndarray:
    """Turn features into some whose products tell how similar two are.

    That is `exp(-0.6 * d ** 2)`, where `d` is the distance of standardised
    features, and two examples have a mean squared distance of 2. It is exact
    for up to 1,500 examples; with more of them, so many taken at random span
    the space (C. Williams & M. Seeger, 2001, "Using the Nyström method to
    speed up kernel machines").

    Args:
        features: `(examples, features)`.

    Returns:
        `(examples, features)` of another number.
    """
    # Not needed by all who import this, and slow to import.
    from sklearn.kernel_approximation import Nystroem

    x = np.asarray(features, "float64")
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 1e-6, spread, np.inf)
    x /= max(np.sqrt((x**2).sum(axis=1).mean()), 1e-9)
    landmarks = min(len(x), _MOST_LANDMARKS)
    mapping = Nystroem(gamma=_NEARNESS, n_components=landmarks, random_state=0)
    return mapping.fit_transform(x)


def answer_for_left_out(
    x: np.ndarray,
    labels: np.ndarray,
    groups: np.ndarray,
    penalties: Sequence[float] = _PENALTIES,
) -> np.ndarray:
    """Answer for each group of examples by a classifier fitted on the others.

    Ridge regression of the classes, of which leaving out has a closed form:
    with the hat matrix `H` and the errors `E` of the fit on everything, the
    errors for a left-out group are `(I - H_gg)^-1 E_g`. The penalty is the
    greatest whose answers fit the labels as well as those of the best, but for
    one standard error.

    Args:
        x: Features `(examples, features)`.
        labels: The number of each example's class.
        groups: The number of each example's group.
        penalties: Of the squared weights for each example, in rising order.

    Returns:
        The answers `(examples, classes)`, near 1 for the class of an example
        and near 0 for the others.
    """
    targets = np.eye(labels.max() + 1)[labels]
    rest = targets - targets.mean(axis=0)
    basis, lengths, _ = np.linalg.svd(x - x.mean(axis=0), full_matrices=False)
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    own = np.arange(len(labels)), labels
    found = []
    for penalty in penalties:
        shrunk = lengths**2 / (lengths**2 + penalty * len(x))
        half = basis * np.sqrt(shrunk)
        errors = rest - half @ (half.T @ rest)
        answers = targets.copy()
        for members in np.split(order, starts):
            left = np.eye(len(members)) - half[members] @ half[members].T
            left -= 1 / len(x)
            answers[members] -= np.linalg.solve(left, errors[members])
        chances = np.maximum(calibrate(answers, labels)[own], 1e-12)
        found.append((np.log(chances), answers))
    best = max(found, key=lambda fit: fit[0].mean())[0]
    for fits, answers in reversed(found):
        lost = best - fits
        if lost.mean() <= lost.std() / np.sqrt(len(lost)):
            return answers


def calibrate(answers: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Turn answers into probabilities that fit the labels best.

    Args:
        answers: Of a classifier that has not seen the labels,
            `(examples, classes)`.
        labels: The number of each example's class.

    Returns:
        The softmax of the answers times the number, of those from 1 to 100,
        that gives the labels the highest likelihood.
    """

    def log_softmax(scale):
        scaled = scale * answers
        top = scaled.max(axis=1, keepdims=True)
        return scaled - top - np.log(np.exp(scaled - top).sum(1, keepdims=True))

    own = np.arange(len(labels)), labels
    best = max(_SCALES, key=lambda scale: log_softmax(scale)[own].mean())
    return np.exp(log_softmax(best))
