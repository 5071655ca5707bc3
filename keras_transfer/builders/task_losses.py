"""The sum of the losses of all tasks, as `fit` minimises it."""

from collections.abc import Mapping, Sequence

import numpy as np
from keras import ops
from keras.src.trainers.compile_utils import CompileLoss

from keras_transfer.builders.missing_labels import line_up_labels
from keras_transfer.builders.task import Task
from keras_transfer.builders.task_balance import TaskBalance


class TaskLosses(CompileLoss):
    """What Keras makes of the losses of several outputs, and their balance.

    Keras logs the loss of each task, without its weight.

    Args:
        losses: A `MaskedLoss` by the name of each task.
        weights: A fixed weight by the name of each task; `None` for 1.
        tasks: The tasks.
        balance: The layer that learns weights, instead of fixed ones.
        output_names: Names of the outputs, as Keras has them.
    """

    def __init__(
        self,
        losses: Mapping,
        weights: Mapping[str, float] | None,
        *,
        tasks: Sequence[Task],
        balance: TaskBalance | None = None,
        output_names: Sequence[str],
    ):
        self._arguments = {
            "tasks": tasks,
            "balance": balance,
            "output_names": output_names,
        }
        self._given = losses, weights
        if balance is not None:
            # With a unit vector each for weights, the sum is a vector of all.
            rows = np.eye(len(tasks), dtype="float32")
            names = [task.name for task in tasks]
            weights = dict(zip(names, rows, strict=True))
        super().__init__(losses, weights, output_names=output_names)
        self._tasks, self._balance = tasks, balance

    def renew(self) -> "TaskLosses":
        """Return the same once more, with no metrics in it yet."""
        return TaskLosses(*self._given, **self._arguments)

    def call(self, y_true, y_pred, sample_weight=None):
        names = {task.name for task in self._tasks}
        if not isinstance(y_true, dict) or set(y_true) != names:
            found = sorted(y_true) if isinstance(y_true, dict) else y_true
            raise ValueError(
                "Labels must be a dictionary with those of each task by its "
                f"name: {', '.join(task.name for task in self._tasks)}. Where "
                "one has none, NaN or a negative number says so. "
                f"Received: labels={found}"
            )
        total = super().call(y_true, y_pred, sample_weight)
        if self._balance is None:
            return total
        counted = [
            self._counts(task, y_true, y_pred, sample_weight)
            for task in self._tasks
        ]
        return self._balance.weigh(total, ops.stack(counted))

    def _counts(self, task, y_true, y_pred, sample_weight):
        """Tell whether any label of a task is there, and of any weight."""
        weight = sample_weight
        if isinstance(weight, dict):
            weight = weight[task.name]
        _, _, present, weight = line_up_labels(
            y_true[task.name], y_pred[task.name], task.kind, weight
        )
        if weight is not None:
            present = ops.logical_and(present, ops.not_equal(weight, 0))
        return ops.any(present)
