"""What a classifier has to learn from, and to be judged by, in words."""

from collections.abc import Sequence
from typing import NamedTuple

import keras
import numpy as np

from keras_transfer.board.class_report import escape_markdown
from keras_transfer.board.wilson_interval import wilson_interval
from keras_transfer.data.outcomes import sum_to_one

_FEW = 10  # examples of a class
_UNEVEN = 4  # times as many of one class as of another
_MOST_NAMED = 8
_MOST_ROWS = 200


class LabelCounts(NamedTuple):
    """How many examples there are.

    Attributes:
        examples: In all.
        classes: Of each class, an integer array. An example may be of several
            classes, or of none.
    """

    examples: int
    classes: np.ndarray


def count_labels(labels, outputs: int) -> LabelCounts | None:
    """Count the examples of each class.

    Args:
        labels: The labels of all examples: numbers, one-hot, shares that sum
            to one, of which the largest counts, or several classes marked for
            each.
        outputs: How many outputs the classifier has. One output means two
            classes.

    Returns:
        The counts, or `None` if these are not the labels of such a
        classifier.
    """
    if labels is None or keras.tree.is_nested(labels):
        return None
    labels = keras.ops.convert_to_numpy(labels)
    if labels.ndim == 2 and labels.shape[1] == 1:
        labels = labels[:, 0]
    if not labels.size or labels.dtype.kind not in "biuf":
        return None
    if not np.isfinite(labels).all():
        return None
    classes = max(outputs, 2)
    if labels.ndim == 2 and labels.shape[1] == outputs:
        if labels.min() < 0 or labels.max() > 1:
            return None
        if not sum_to_one(labels):
            return LabelCounts(len(labels), (labels > 0.5).sum(axis=0))
        labels = labels.argmax(axis=1)
    numbers = labels.astype("int64")
    is_number = labels.ndim == 1 and np.array_equal(numbers, labels)
    if not is_number or numbers.min() < 0 or numbers.max() >= classes:
        return None
    return LabelCounts(len(labels), np.bincount(numbers, minlength=classes))


def data_markdown(
    training: LabelCounts | None,
    validation: LabelCounts | None,
    names: Sequence[str],
) -> str:
    """Describe data in markdown, and warn of what makes it hard to learn from.

    Args:
        training: Counts of the training data; `None` if they are not known.
        validation: Counts of the validation data; `None` if there is none.
        names: A name for each class.

    Returns:
        A list of warnings, a table, and a table of the classes, the rarest
        first.
    """
    names = [escape_markdown(name) for name in names]
    parts = {"training": training, "validation": validation}
    parts = {name: part for name, part in parts.items() if part is not None}
    warnings = list_warnings(training, validation, names)
    lines = ["### Data", ""]
    lines += [f"- **Warning:** {warning}" for warning in warnings]
    lines += ["", *_overview(parts, names), "", *_class_table(parts, names)]
    return "\n".join(lines)


def list_warnings(
    training: LabelCounts | None,
    validation: LabelCounts | None,
    names: Sequence[str],
) -> list[str]:
    """List in sentences what makes data hard to learn from, or to judge by.

    Args:
        training: As for `data_markdown`.
        validation: As for `data_markdown`.
        names: As for `data_markdown`.
    """
    found = []
    if training is not None:
        counts = training.classes
        found += _warn_of_few(counts, names, "to learn from")
        present = counts[counts > 0]
        if present.size and present.max() > _UNEVEN * present.min():
            found.append(
                f"imbalance: {names[counts.argmax()]} has "
                f"{present.max() / present.min():.3g} times as many examples "
                "as the rarest class. Look at the scores of each class rather "
                'than at the accuracy, and try `class_weight="balanced"`.'
            )
    if validation is not None:
        found += _warn_of_few(validation.classes, names, "to be judged by")
        low, high = wilson_interval(0.8, validation.examples)
        if high - low > 0.1:
            ends = f"{100 * low:.0f} or {100 * high:.0f} %"
            found.append(
                f"an accuracy that is measured on {validation.examples:,} "
                f"examples is uncertain: 80 % may as well be {ends}."
            )
    return found


def _warn_of_few(counts, names, purpose) -> list[str]:
    few = np.flatnonzero((counts > 0) & (counts < _FEW))
    texts = {
        "no examples": [names[i] for i in np.flatnonzero(counts == 0)],
        "few examples": [f"{names[i]} ({counts[i]})" for i in few],
    }
    found = []
    for what, classes in texts.items():
        if classes:
            listed = ", ".join(classes[:_MOST_NAMED])
            more = len(classes) - _MOST_NAMED
            rest = f" and {more} more classes" if more > 0 else ""
            found.append(f"{what} {purpose}: {listed}{rest}.")
    return found


def _overview(parts, names) -> list[str]:
    def name_largest(part):
        share = part.classes.max() / part.examples
        return f"{names[part.classes.argmax()]} ({share:.1%})"

    rows = {
        "examples": lambda part: f"{part.examples:,}",
        "classes": lambda part: str((part.classes > 0).sum()),
        "fewest of a class": lambda part: f"{part.classes.min():,}",
        "most of a class": lambda part: f"{part.classes.max():,}",
        "most frequent": name_largest,
    }
    return _table(
        "",
        parts,
        [[name, *map(cell, parts.values())] for name, cell in rows.items()],
    )


def _class_table(parts, names) -> list[str]:
    first = next(iter(parts.values()))
    order = np.argsort(first.classes, kind="stable")
    rows = [
        [names[i], *(f"{part.classes[i]:,}" for part in parts.values())]
        for i in order[:_MOST_ROWS]
    ]
    table = _table("class", parts, rows)
    if len(order) > _MOST_ROWS:
        table.append(f"\nThe {_MOST_ROWS} rarest of {len(order)} classes.")
    return table


def _table(title, columns, rows) -> list[str]:
    lines = [
        f"| {' | '.join([title, *columns])} |",
        f"|:--|{'--:|' * len(columns)}",
    ]
    return lines + [f"| {' | '.join(cells)} |" for cells in rows]
