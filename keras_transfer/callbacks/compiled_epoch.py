"""All steps of an epoch in one call, for models that are quick to run."""

from collections.abc import Callable

import keras
import tensorflow as tf
from keras.src.backend.tensorflow.trainer import TensorFlowTrainer

from keras_transfer.builders.task_balance import TaskBalance
from keras_transfer.caching.feature_table import FeatureTable, MemoryRows
from keras_transfer.callbacks.phase_backup import PhaseBackup
from keras_transfer.callbacks.transfer_board import TransferBoard
from keras_transfer.freezing.quiet_function import quiet_function

_HOOKS = (
    "on_batch_begin",
    "on_batch_end",
    "on_train_batch_begin",
    "on_train_batch_end",
    "on_test_batch_begin",
    "on_test_batch_end",
)
# What keeps to whole epochs in spite of its hooks, with these attributes.
_WHOLE_EPOCHS = {
    keras.callbacks.BackupAndRestore: {"save_freq": "epoch"},
    keras.callbacks.History: {},
    keras.callbacks.ModelCheckpoint: {"save_freq": "epoch"},
    keras.callbacks.ProgbarLogger: {},
    keras.callbacks.TensorBoard: {
        "update_freq": "epoch",
        "_should_trace": False,
    },
    keras.callbacks.TerminateOnNaN: {},
    PhaseBackup: {},
    TransferBoard: {"update_freq": "epoch", "_should_trace": False},
}


def is_quick(model: keras.Model, table: FeatureTable, tail: list) -> bool:
    """Tell whether the steps of a model cost more around them than in them.

    Args:
        model: A compiled model.
        table: The features that it is trained on.
        tail: The steps of the model, from these to its outputs.

    Returns:
        Whether all weights are those of dense layers, or balance tasks, the
        features are in memory, and the model is trained as Keras does it.
    """
    operations = [step.operation for step in tail]
    return (
        all(map(_is_small, operations))
        and isinstance(table.rows, MemoryRows)
        and table.views == 1
        and int(table.order.batches.cardinality()) > 0
        and type(model).train_step is TensorFlowTrainer.train_step
        and type(model).test_step is TensorFlowTrainer.test_step
        and not model.run_eagerly
        and model.jit_compile is not True
        and model.steps_per_execution == 1
    )


def hear_batches(callbacks) -> bool:
    """Tell whether any callback wants to hear of each batch.

    Args:
        callbacks: An iterable of Keras callbacks.
    """
    return any(map(_hears_batches, callbacks))


def _hears_batches(callback) -> bool:
    kind = type(callback)
    known = _WHOLE_EPOCHS.get(kind)
    if known is not None:
        return any(getattr(callback, k) != v for k, v in known.items())
    base = keras.callbacks.Callback
    return any(
        getattr(kind, hook) is not getattr(base, hook)
        or hook in vars(callback)  # as a `LambdaCallback` has them
        for hook in _HOOKS
    )


def _is_small(operation) -> bool:
    is_small = isinstance(operation, keras.layers.Dense | TaskBalance)
    return is_small or not getattr(operation, "weights", ())


def whole_epochs(batches: tf.data.Dataset) -> tf.data.Dataset:
    """Return a data set of one element an epoch: the rows of all batches.

    Args:
        batches: From `FeatureTable.find_rows`.
    """
    return batches.ragged_batch(int(batches.cardinality()))


def compile_epoch(
    model: keras.Model, step: Callable, table: FeatureTable, otherwise: Callable
) -> Callable:
    """Make what `fit` or `evaluate` calls for each step do a whole epoch.

    Args:
        model: The model.
        step: `model.train_step` or `model.test_step`, or what calls it with a
            batch.
        table: The features.
        otherwise: The function of Keras, for other data.

    Returns:
        A function from an iterator, over `whole_epochs` or other data, to the
        metrics.
    """

    @quiet_function
    def run(rows):
        values, ends = rows.values, rows.row_splits

        def do(number):
            step(table.take(values[ends[number] : ends[number + 1]]))
            return number + 1

        count = rows.nrows()
        tf.while_loop(
            lambda number: number < count,
            do,
            [tf.constant(0, "int64")],
            parallel_iterations=1,
        )
        return model.get_metrics_result()

    def run_or_not(iterator):
        spec = getattr(iterator, "element_spec", None)
        if isinstance(spec, tf.RaggedTensorSpec):
            return run(next(iterator))
        return otherwise(iterator)

    return run_or_not
