"""Train for a few steps, and leave no trace."""

import contextlib
import statistics
import time
from collections.abc import Iterator, Sequence

import keras
from keras.src.backend.common import global_state
from keras.src.trainers.compile_utils import CompileLoss

from keras_transfer.data.random_state import (
    capture_random_state,
    restore_random_state,
)
from keras_transfer.freezing.optimizer_variables import optimizer_chain
from keras_transfer.optimizers.copying import copy_optimizer
from keras_transfer.optimizers.schedules import warmup_cosine

# What a step of training reads or writes on the model itself.
_MODEL_STATE = (
    "optimizer",
    "stop_training",
    "_loss_tracker",
    "_compile_loss",
    "_compile_metrics",
)
# Of Keras, for automatic names; copies of optimizers count, too.
_NAME_COUNTERS = "object_name_uids"


class Trial:
    """A training that is to leave no trace, as `trial` begins it."""

    def __init__(self, model: keras.Model, *, starts_anew: bool = False):
        self._model = model
        self._optimizer = _swap_training_state(model, starts_anew)
        self._train_function = model._make_function(model.train_step)
        metrics = {id(variable) for variable in model.metrics_variables}
        variables = [*model.variables, *self._optimizer.variables]
        self._start = [
            (v, keras.ops.convert_to_numpy(v).copy())
            for v in variables
            if id(v) not in metrics
        ]

    def step(self, batch, learning_rate: float) -> float:
        """Make one step and return the loss before it.

        Args:
            batch: What a data set for `fit` gives.
            learning_rate: Rate of this step.
        """
        self._optimizer.learning_rate = float(learning_rate)
        self._model.reset_metrics()
        logs = self._train_function(iter([batch]))
        if not isinstance(logs, dict) or "loss" not in logs:
            raise ValueError(
                "The model's `train_step` must return a dictionary with the "
                f'key "loss". Received: {logs}'
            )
        return float(keras.ops.convert_to_numpy(logs["loss"]))

    def train(
        self, batches: Sequence, steps: int, learning_rate: float
    ) -> float:
        """Make a whole training in small: the rate rises and falls to 0.

        What has not come to rest cannot be compared.

        Args:
            batches: Batches as for `step`, one or more, taken in turns.
            steps: Number of steps, at least 1.
            learning_rate: The highest rate.

        Returns:
            The seconds that a step takes.
        """
        seconds = []
        for number in range(steps):
            begun = time.perf_counter()
            rate = learning_rate * warmup_cosine(number / steps)
            self.step(batches[number % len(batches)], rate)
            seconds.append(time.perf_counter() - begun)
        # The first one is traced.
        return statistics.median(seconds[1:] or seconds)

    def start_anew(self) -> None:
        """Go back to where the trial began, weights and optimizer."""
        for variable, value in self._start:
            variable.assign(value)


@contextlib.contextmanager
def trial(model: keras.Model, *, starts_anew: bool = False) -> Iterator[Trial]:
    """Train a model as it is compiled; afterwards, all is as it was.

    Weights, dropout seeds, the optimizer and its state, metrics, compiled
    functions and all random states are put back to the bit, also when the
    block is left by an error.

    Args:
        model: A compiled and built model.
        starts_anew: Whether the optimizer has made no steps yet, and knows
            what trains now. Defaults to `False`: it goes on.

    Yields:
        A `Trial`. Its steps are made with a copy of the optimizer, in the
        state that it has.
    """
    with _left_as_it_was(model):
        yield Trial(model, starts_anew=starts_anew)


@contextlib.contextmanager
def _left_as_it_was(model: keras.Model):
    """Put a model and the random state back when the block is left."""
    random_state = capture_random_state()
    names = global_state.get_global_attribute(_NAME_COUNTERS, {})
    counts = dict(names)
    attributes = {
        name: vars(model)[name] for name in _MODEL_STATE if name in vars(model)
    }
    layers = model._flatten_layers()
    losses = [(x, list(x._losses), set(x._loss_ids)) for x in layers]
    metrics = [v for metric in model.metrics for v in metric.variables]
    variables = {id(v): v for v in (*model.variables, *metrics)}.values()
    values = [keras.ops.convert_to_numpy(v).copy() for v in variables]
    try:
        yield
    finally:
        vars(model).update(attributes)
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)
        for layer, own, ids in losses:
            layer._losses.clear()
            layer._losses.extend(own)
            layer._loss_ids.clear()
            layer._loss_ids.update(ids)
        names.clear()
        names.update(counts)
        restore_random_state(random_state)


def _swap_training_state(
    model: keras.Model, starts_anew: bool
) -> keras.optimizers.Optimizer:
    """Give the model an optimizer, a loss and metrics to try."""
    attributes = vars(model)
    original, loss = model.optimizer, model._compile_loss
    with model.distribute_strategy.scope():
        tracker = keras.metrics.Mean(name="loss")
        optimizer = copy_optimizer(original)
    # Past Keras's tracking, which would keep hold of them.
    attributes.update(
        optimizer=optimizer, _loss_tracker=tracker, _compile_metrics=None
    )
    if type(loss) is CompileLoss:
        # Keras's builds itself, with metrics in it, at its first call.
        attributes["_compile_loss"] = CompileLoss(
            loss._user_loss,
            loss._user_loss_weights,
            loss.reduction,
            loss.output_names,
        )
    elif hasattr(loss, "renew"):
        attributes["_compile_loss"] = loss.renew()
    with model.distribute_strategy.scope():
        if starts_anew or not original.built:
            optimizer.build(model.trainable_variables)
        else:
            _go_on(optimizer, original)
    return optimizer


def _go_on(optimizer, original) -> None:
    """Build an optimizer in the state of the original."""
    optimizer.build(list(original._trainable_variables))
    for old, new in zip(
        _state_variables(original), _state_variables(optimizer), strict=True
    ):
        new.assign(old)


def _state_variables(optimizer) -> list:
    chain = optimizer_chain(optimizer)
    rates = {id(getattr(part, "_learning_rate", None)) for part in chain}
    return [v for v in optimizer.variables if id(v) not in rates]
