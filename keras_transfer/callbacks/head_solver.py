"""Solve for a head at once, instead of training it step by step."""

import warnings
from collections.abc import Callable, Iterator

import keras
import numpy as np
import tensorflow as tf
from keras.src.trainers.data_adapters.data_adapter_utils import (
    class_weight_to_sample_weights,
)
from keras.src.utils import io_utils

from keras_transfer.backbones.layer_inputs import hear_inputs
from keras_transfer.caching.cached_data import find_cached_data
from keras_transfer.callbacks.companion import Companion, find_companions
from keras_transfer.callbacks.linear_head import find_linear_head, mark_classes
from keras_transfer.data.example_order import fetch_batches, find_example_order
from keras_transfer.freezing.optimizer_variables import optimizer_chain
from keras_transfer.freezing.quiet_function import quiet_function
from keras_transfer.optimizers.logistic_regression import fit_logistic

_BATCH_SIZE = 32
# One divides by the learning rate, one has weights of its own.
_RESTLESS = ("Ftrl", "ScheduleFreeAdamW")


class HeadSolver(Companion, keras.callbacks.Callback):
    """Makes the head a logistic regression as a phase with a solver begins.

    It is that of scikit-learn, on the features that enter the head of the
    model in inference mode, with the weights that examples have in `fit`. In
    the list of callbacks it comes after `GradualUnfreezing`, `PrefixCache` and
    whatever looks at the weights that a phase before it has left.

    Args:
        model: The model that `fit` trains, compiled.
        train: The data that `fit` is given, a data set.
        validation_data: The same, or `None`. It decides how much the weights
            of the head are penalised.
        class_weight: What `fit` is given.

    Raises:
        ValueError: If the head is not a single layer of logits, softmax or
            sigmoids, or not the only one that has to be trained; or if the
            optimizer does not rest at a learning rate of 0.
    """

    def __init__(
        self,
        model: keras.Model,
        train,
        validation_data=None,
        *,
        class_weight: dict[int, float] | None = None,
    ):
        super().__init__()
        optimizer = optimizer_chain(model.optimizer)[-1]
        if type(optimizer).__name__ in _RESTLESS:
            raise ValueError(
                "Steps at a learning rate of 0 must change nothing, and those "
                "of this optimizer do: use another one beside a solver. "
                f"Received: optimizer={optimizer.name!r}"
            )
        self._dense, self._exclusive = find_linear_head(model)
        self._train = train
        self._validation_data = validation_data
        self._class_weight = class_weight
        self._phase_number = None

    def on_epoch_begin(self, epoch, logs=None):
        unfreezing = find_companions(self.model)["GradualUnfreezing"]
        if self._phase_number != unfreezing.phase_number:
            self._phase_number = unfreezing.phase_number
            if unfreezing.phase.solver:
                self._solve()

    def _solve(self) -> None:
        compute = _make_features(self.model, self._dense)
        x, y, weight = self._collect(self._train, compute)
        if not (weight > 0).any():
            raise ValueError(
                "A solver needs examples with a weight above 0. "
                f"Received: class_weight={self._class_weight}, and sample "
                f"weights that make {weight}"
            )
        validation = None
        if self._validation_data is not None:
            *validation, _ = self._collect(self._validation_data, compute)
        exclusive = self._exclusive
        solution = fit_logistic(x, y, weight, validation, exclusive=exclusive)
        self._dense.kernel.assign(solution.kernel)
        self._dense.bias.assign(solution.bias)
        if not solution.converged:
            warnings.warn(
                "The solver has not come to an end, and the head is not quite "
                "a logistic regression; a phase of steps may improve it.",
                stacklevel=2,
            )
        if self.params.get("verbose"):
            accuracy, _ = solution.score(x, y, exclusive=exclusive)
            chosen = "the best for" if validation else "without"
            io_utils.print_msg(
                f"Solved: logistic regression on {x.shape[1]:,} features of "
                f"{len(x):,} examples, C={solution.inverse_penalty:g} "
                f"({chosen} validation data), training accuracy {accuracy:.3f}"
            )

    def _collect(self, data, compute: Callable) -> tuple:
        """Return features, labels of 0 and 1, and weights of all examples."""
        columns = [], [], []
        for batch in _iterate(self.model, data):
            x, y, weight = keras.utils.unpack_x_y_sample_weight(batch)
            weight = np.ones(len(y)) if weight is None else weight
            for column, part in zip(
                columns, (compute(x), y, weight), strict=True
            ):
                column.append(keras.ops.convert_to_numpy(part))
        x, y, weight = map(np.concatenate, columns)
        weight = weight.astype("float64").reshape(len(y))
        if self._class_weight is not None:
            weight *= class_weight_to_sample_weights(y, self._class_weight)
        return x, mark_classes(y, self._dense.units, self._exclusive), weight

    def get_state(self):
        return {"phase_number": self._phase_number}, []

    def set_state(self, state, arrays):
        # The weights that are restored are those of the solution.
        self._phase_number = state["phase_number"]


def _make_features(model, dense) -> Callable:
    """Make a function from inputs to what enters a layer of a model."""

    def compute(x):
        with hear_inputs(dense) as heard:
            model(x, training=False)
        return heard[0]

    return compute if model.run_eagerly else quiet_function(compute)


def _iterate(model, data) -> Iterator[tuple]:
    """Go once over all batches, without a change to the order of epochs."""
    cut = getattr(model, "_cut", None)
    cached = cut and find_cached_data(cut, data)
    order = find_example_order(data)
    if cached and cached.table.views == 1:
        table = cached.table
        rows = np.arange(len(table.order.numbers))
        fetch = table.take
    elif order:
        rows, fetch = order.numbers, order.fetch
    elif isinstance(data, keras.utils.PyDataset):
        return map(data.__getitem__, range(data.num_batches))
    else:
        return iter(data)
    rows = tf.data.Dataset.from_tensor_slices(rows).batch(_BATCH_SIZE)
    return iter(fetch_batches(rows, fetch))
