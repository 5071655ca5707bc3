"""Answers of a model for several tasks, as those of classifiers."""

from collections.abc import Mapping

import keras
import numpy as np

from keras_transfer.builders.missing_labels import is_present
from keras_transfer.builders.multitask_model import MultitaskModel


def present_answers(
    model: keras.Model, answers: Mapping[str, tuple]
) -> dict[str, tuple]:
    """Leave out answers to which there is no label, and to regressions.

    Args:
        model: A Keras model; all answers of one that is not from
            `build_multitask` stay.
        answers: From `collect_answers`.

    Returns:
        The same, with fewer examples for tasks with missing labels. One that
        has several labels counts where it has all of them.
    """
    found = dict(answers)
    for name, kind in _find_kinds(model, answers).items():
        labels, outputs = found.pop(name)
        rows = mark_labelled(labels, kind)
        if kind != "regression" and rows.any():
            found[name] = labels[rows], outputs[rows]
    return found


def whole_answers(
    model: keras.Model, answers: Mapping[str, tuple]
) -> dict[str, tuple]:
    """Leave out tasks to which a label is missing, and regressions.

    Args:
        model: As for `present_answers`.
        answers: From `collect_answers`.

    Returns:
        Answers to tasks that all examples have labels for.
    """
    kinds = _find_kinds(model, answers)
    return {
        name: pair
        for name, pair in answers.items()
        if kinds.get(name) != "regression"
        and (name not in kinds or mark_labelled(pair[0], kinds[name]).all())
    }


def mark_labelled(labels: np.ndarray, kind: str) -> np.ndarray:
    """Tell which examples have all labels of a task.

    Args:
        labels: Labels of all examples.
        kind: As of a `Task`.

    Returns:
        Booleans `(examples,)`.
    """
    present = is_present(np.asarray(labels, "float64"), kind)
    return present.reshape(len(labels), -1).all(axis=1)


def _find_kinds(model, answers) -> dict[str, str]:
    if not isinstance(model, MultitaskModel):
        return {}
    return {t.name: t.kind for t in model.tasks if t.name in answers}
