"""A model with a head for each of several tasks."""

import dataclasses
from collections.abc import Mapping, Sequence

import keras

from keras_transfer.builders.task import Task
from keras_transfer.builders.task_losses import TaskLosses
from keras_transfer.builders.task_objectives import (
    choose_losses,
    choose_metrics,
    read_weights,
)
from keras_transfer.freezing.freezable_model import FreezableModel

BALANCE = "task_balance"


@keras.saving.register_keras_serializable("keras_transfer")
class MultitaskModel(FreezableModel):
    """A functional `keras.Model` that knows its tasks.

    Made by `build_multitask`, which says what its labels are. `import
    keras_transfer` before loading one from a `.keras` file.

    Args:
        *args: As for `keras.Model(inputs, outputs)`; the outputs are a
            dictionary by the names of the tasks.
        tasks: The `Task`s, or dictionaries of their attributes.
        weights: Fixed weights of the tasks by name, or `None`.
        **kwargs: As for `keras.Model`.
    """

    def __init__(
        self,
        *args,
        tasks: Sequence[Task | Mapping],
        weights: Mapping[str, float] | None = None,
        **kwargs,
    ):
        super().__init__(*args, **kwargs)
        # As one value: Keras would wrap lists and dictionaries.
        self._tasks = tuple(map(_make_task, tasks))
        self._weights = tuple((weights or {}).items())

    @property
    def tasks(self) -> tuple[Task, ...]:
        """The tasks, in the order in which they were given."""
        return self._tasks

    @property
    def class_names(self) -> dict[str, list[str]]:
        """Names of classes by the name of each task that has some."""
        return {
            task.name: list(task.class_names)
            for task in self.tasks
            if task.class_names
        }

    def compile(
        self,
        optimizer="rmsprop",
        loss: Mapping | None = None,
        loss_weights: Mapping[str, float] | None = None,
        metrics: Mapping | None = None,
        weighted_metrics: Mapping | None = None,
        **kwargs,
    ):
        """Configure the model for training.

        `model.compile("adam")` is enough: each task has its usual loss and
        metric. What is given instead is by the names of tasks, and does not
        see missing labels either.

        Args:
            optimizer: As for `keras.Model.compile`.
            loss: Losses in place of the usual ones, `{task: loss}`. The tasks
                that it does not name keep theirs.
            loss_weights: Fixed weights, `{task: weight}`, in place of those
                that the model was built with.
            metrics: `{task: metric or list of them}`, in place of all usual
                ones; `{}` for none.
            weighted_metrics: The same, of metrics that heed sample weights.
            **kwargs: As for `keras.Model.compile`.

        Raises:
            ValueError: If an argument is not as described, or `loss_weights`
                are given to a model that learns them.
        """
        balance = self._balance
        if balance is not None and loss_weights is not None:
            raise ValueError(
                "The model learns the weights of its tasks. Build it with "
                "`balance=None` to fix them. "
                f"Received: loss_weights={loss_weights}"
            )
        losses = choose_losses(self.tasks, loss)
        weights = read_weights("loss_weights", loss_weights, self.tasks)
        if loss_weights is None:
            weights = dict(self._weights) or None
        metrics = choose_metrics(self.tasks, metrics)
        if weighted_metrics is not None:
            weighted_metrics = choose_metrics(self.tasks, weighted_metrics)
        super().compile(
            optimizer,
            loss=losses,
            loss_weights=weights,
            metrics=metrics,
            weighted_metrics=weighted_metrics,
            **kwargs,
        )
        self._compile_loss = TaskLosses(
            losses,
            weights,
            tasks=self.tasks,
            balance=balance,
            output_names=self.output_names,
        )

    def compile_from_config(self, config):
        # Keras does not compile a model whose `compile` is its own.
        self.compile(**keras.saving.deserialize_keras_object(config))
        if self.optimizer is not None and self.built:
            self.optimizer.build(self.trainable_variables)
        self._restore_optimizer()

    def task_weights(self) -> dict[str, float]:
        """Return by what the loss of each task is multiplied now.

        With `balance="uncertainty"`, that is exp(-s) of the task's log
        variance s, and half of it for a regression.

        Returns:
            A weight by the name of each task.
        """
        names = [task.name for task in self.tasks]
        if self._balance is not None:
            return dict(zip(names, self._balance.read_weights(), strict=True))
        weights = dict(self._weights)
        if self.compiled:
            weights = self._compile_config.config["loss_weights"] or {}
        return {name: weights.get(name, 1.0) for name in names}

    @property
    def _balance(self):
        found = [layer for layer in self.layers if layer.name == BALANCE]
        return found[0] if found else None

    def get_config(self):
        return {
            **super().get_config(),
            "tasks": [dataclasses.asdict(task) for task in self.tasks],
            "weights": dict(self._weights) or None,
        }


def _make_task(task: Task | Mapping) -> Task:
    if isinstance(task, Task):
        return task
    names = task["class_names"]
    return Task(**{**task, "class_names": names and tuple(names)})
