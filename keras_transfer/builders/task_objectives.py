"""What each task is trained and measured with."""

from collections.abc import Mapping, Sequence
from numbers import Real

import keras
import numpy as np

from keras_transfer.builders.masked_loss import MaskedLoss
from keras_transfer.builders.masked_metric import MaskedMetric
from keras_transfer.builders.task import Task

_LOSSES = {
    "classes": keras.losses.SparseCategoricalCrossentropy,
    "regression": keras.losses.MeanSquaredError,
}
_ACCURACIES = {"classes": keras.metrics.SparseCategoricalAccuracy}


def choose_losses(
    tasks: Sequence[Task], given: Mapping | None
) -> dict[str, MaskedLoss]:
    """Choose the loss of each task.

    Args:
        tasks: The tasks.
        given: Losses by the name of a task, as for `compile`, in place of
            the usual ones.

    Returns:
        A `MaskedLoss` by the name of each task.

    Raises:
        ValueError: If no task is called so.
    """
    given = _by_task("loss", given, tasks)
    losses = {}
    for task in tasks:
        loss = given.get(task.name)
        if loss is None:
            loss = _LOSSES.get(task.kind, keras.losses.BinaryCrossentropy)()
        if not isinstance(loss, MaskedLoss):
            loss = MaskedLoss(loss, task.kind)
        losses[task.name] = loss
    return losses


def choose_metrics(
    tasks: Sequence[Task], given: Mapping | None
) -> dict[str, list[MaskedMetric]]:
    """Choose the metrics of each task.

    Args:
        tasks: The tasks.
        given: A metric or list of them by the name of a task, as for
            `compile`, for all metrics that there are. `None` for the usual
            one of each task.

    Returns:
        Lists of `MaskedMetric` by the name of each task that has some.

    Raises:
        ValueError: If no task is called so.
    """
    if given is None:
        return {task.name: [_usual_metric(task)] for task in tasks}
    given = _by_task("metrics", given, tasks)
    return {
        task.name: [
            _mask_metric(metric, task)
            for metric in keras.tree.flatten(given[task.name])
        ]
        for task in tasks
        if task.name in given
    }


def read_weights(
    argument: str, weights: Mapping[str, float] | None, tasks: Sequence[Task]
) -> dict[str, float] | None:
    """Read fixed weights of tasks.

    Args:
        argument: What they are called, for messages.
        weights: A weight by the name of a task; 1 for those without.
        tasks: The tasks.

    Returns:
        A weight by the name of each task; `None` where all are 1.

    Raises:
        ValueError: If no task is called so, or a weight is no number of 0 or
            more.
    """
    weights = _by_task(argument, weights, tasks)
    for weight in weights.values():
        if not isinstance(weight, Real) or not 0 <= weight < np.inf:
            raise ValueError(
                "The weight of a task must be a number, finite and not "
                f"negative. Received: {argument}={weights}"
            )
    full = {task.name: float(weights.get(task.name, 1)) for task in tasks}
    return None if set(full.values()) == {1.0} else full


def _by_task(argument, given, tasks) -> dict:
    names = [task.name for task in tasks]
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not set(given) <= set(names):
        raise ValueError(
            f"`{argument}` must be a dictionary by the name of a task: "
            f"{', '.join(names)}. Received: {argument}={given!r}"
        )
    return dict(given)


def _usual_metric(task, name: str = "accuracy") -> MaskedMetric:
    if task.kind == "regression":
        return MaskedMetric(keras.metrics.MeanAbsoluteError(), task.kind)
    kind = _ACCURACIES.get(task.kind, keras.metrics.BinaryAccuracy)
    return MaskedMetric(kind(name=name), task.kind)


def _mask_metric(metric, task) -> MaskedMetric:
    if isinstance(metric, MaskedMetric):
        return metric
    if metric in ("accuracy", "acc") and task.kind != "regression":
        return _usual_metric(task, metric)
    found = keras.metrics.get(metric)
    if not isinstance(found, keras.metrics.Metric):
        found = keras.metrics.MeanMetricWrapper(found, name=found.__name__)
    name = metric if isinstance(metric, str) else None
    return MaskedMetric(found, task.kind, name)
