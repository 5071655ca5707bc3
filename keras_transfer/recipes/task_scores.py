"""How good a model is at each of its tasks."""

from collections.abc import Mapping

import numpy as np

from keras_transfer.builders.missing_labels import is_present
from keras_transfer.builders.multitask_model import MultitaskModel
from keras_transfer.builders.task import Task


def score_tasks(
    model: MultitaskModel, answers: Mapping[str, tuple]
) -> list[dict]:
    """Score the answers of a model, task by task.

    Args:
        model: The model.
        answers: From `collect_answers`.

    Returns:
        For each task a dict with the keys `"task"`; `"measure"`,
        `"accuracy"` or `"mean absolute error"`; `"value"`; `"constant"`, what
        the best answer that is always the same would have, on the same
        labels; and `"labels"`, how many there are. Values are NaN where there
        are none.
    """
    return [_score_task(task, *answers[task.name]) for task in model.tasks]


def _score_task(task: Task, labels, outputs) -> dict:
    labels = np.asarray(labels, "float64")
    outputs = np.asarray(outputs, "float64")
    if task.kind == "classes":
        outputs = outputs.argmax(axis=1)
    elif task.kind != "regression":
        outputs = outputs > 0.5
    labels = labels.reshape(outputs.shape)
    present = is_present(labels, task.kind)
    score = _error if task.kind == "regression" else _accuracy
    value, constant = score(labels, outputs, present)
    return {
        "task": task.name,
        "measure": "mean absolute error"
        if task.kind == "regression"
        else "accuracy",
        "value": value,
        "constant": constant,
        "labels": int(present.sum()),
    }


def _error(labels, outputs, present) -> tuple[float, float]:
    if not present.any():
        return np.nan, np.nan
    labels, outputs = labels[present], outputs[present]
    best = np.abs(labels - np.median(labels)).mean()
    return float(np.abs(labels - outputs).mean()), float(best)


def _accuracy(labels, outputs, present) -> tuple[float, float]:
    count = present.sum()
    if not count:
        return np.nan, np.nan
    # Of several labels, each has a constant answer of its own.
    columns = zip(
        np.atleast_2d(labels.T), np.atleast_2d(present.T), strict=True
    )
    most = [
        np.unique(column[known], return_counts=True)[1].max(initial=0)
        for column, known in columns
    ]
    right = (labels == outputs) & present
    return float(right.sum() / count), float(sum(most) / count)
