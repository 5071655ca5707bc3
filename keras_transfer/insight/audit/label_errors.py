"""Which labels a classifier that has not seen them finds hard to believe."""

import warnings

import numpy as np

from keras_transfer.insight.audit.finding import Finding
from keras_transfer.insight.audit.picture_table import PictureTable

# A class with fewer different pictures has too few to judge one by.
LEAST_EXAMPLES = 5
# Of the mean squared length of features. On two sets of drawings with planted
# errors, less finds the classes better, and more the errors.
_PENALTY = 0.003
# By how much the answer for another class must be higher. On the same sets, two
# of five suspicions are then planted errors, and 70 % of those are suspected.
_LEAST_MARGIN = 0.25
_SCALES = np.geomspace(1, 100, 60)


def find_label_errors(
    table: PictureTable,
    features: np.ndarray,
    groups: np.ndarray,
) -> list[Finding]:
    """List pictures that rather look like another class.

    A linear classifier of features answers for each group of duplicates what
    it would have answered without that group. Confident learning (C. Northcutt
    et al., 2021, "Confident learning: estimating uncertainty in dataset
    labels", in cleanlab) then estimates which labels are wrong; those are left
    where the classifier is also far from the given class.

    Args:
        table: The pictures.
        features: Features of the table's readable rows.
        groups: The group of duplicates of each row of the table.

    Returns:
        Findings, the most suspicious first.

    Raises:
        ImportError: If cleanlab is not installed.
    """
    find_label_issues = import_find_label_issues()
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
    answers = answer_for_left_out(features[judged], labels, groups[rows])
    probabilities = calibrate(answers, labels)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        is_issue = find_label_issues(
            labels, probabilities, filter_by="prune_by_class", n_jobs=1
        )
    own = np.arange(len(rows)), labels
    others = answers.copy()
    others[own] = -np.inf
    margins = others.max(axis=1) - answers[own]
    found = []
    for i in np.flatnonzero(is_issue & (margins > _LEAST_MARGIN)):
        looks = classes[others[i].argmax()]
        detail = (
            f"looks like {looks} ({probabilities[i].max():.0%}), filed under "
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


def answer_for_left_out(
    x: np.ndarray, labels: np.ndarray, groups: np.ndarray
) -> np.ndarray:
    """Answer for each group of examples by a classifier fitted on the others.

    Ridge regression of the classes, of which leaving out has a closed form:
    with the hat matrix `H` and the errors `E` of the fit on everything, the
    errors for a left-out group are `(I - H_gg)^-1 E_g`. Features are
    standardised by all examples.

    Args:
        x: Features `(examples, features)`.
        labels: The number of each example's class.
        groups: The number of each example's group.

    Returns:
        The answers `(examples, classes)`, near 1 for the class of an example
        and near 0 for the others.
    """
    x = np.asarray(x, "float64")
    spread = x.std(axis=0)
    x = (x - x.mean(axis=0)) / np.where(spread > 1e-6, spread, np.inf)
    x /= max(np.sqrt((x**2).sum(axis=1).mean()), 1e-9)
    targets = np.eye(labels.max() + 1)[labels]
    shares = targets.mean(axis=0)
    penalty = _PENALTY * len(x)
    if len(x) < x.shape[1]:
        values, vectors = np.linalg.eigh(x @ x.T)
        values = np.maximum(values, 0)
        half = vectors * np.sqrt(values / (values + penalty))
    else:
        values, vectors = np.linalg.eigh(x.T @ x)
        half = x @ vectors / np.sqrt(np.maximum(values, 0) + penalty)
    errors = targets - shares - half @ (half.T @ (targets - shares))
    order = np.argsort(groups, kind="stable")
    starts = np.flatnonzero(np.diff(groups[order])) + 1
    left_out = np.empty_like(errors)
    for members in np.split(order, starts):
        own = np.eye(len(members)) - half[members] @ half[members].T
        own -= 1 / len(x)
        left_out[members] = np.linalg.solve(own, errors[members])
    return targets - left_out


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


def import_find_label_issues():
    """Import what finds wrong labels in cleanlab.

    Raises:
        ImportError: If it is not installed.
    """
    try:
        from cleanlab.filter import find_label_issues
    except ImportError as error:
        raise ImportError(
            "Wrong labels are found by cleanlab, which does not import "
            f'({error}). Run `pip install "keras-transfer[audit]"`.',
            name="cleanlab",
        ) from error
    return find_label_issues
