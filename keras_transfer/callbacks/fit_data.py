"""Other data for a `fit` that is running."""

import functools
from collections.abc import Callable

import keras
import tensorflow as tf
from keras.src.backend.tensorflow.trainer import TFEpochIterator
from keras.src.trainers.data_adapters.tf_dataset_adapter import (
    make_class_weight_map_fn,
)

from keras_transfer.caching.feature_table import FeatureTable
from keras_transfer.callbacks.compiled_epoch import compile_epoch, whole_epochs
from keras_transfer.callbacks.data_replay import find_epoch_iterator


class FitData:
    """What the `fit` that is running trains and validates on.

    Keras 3.15 has no way to give it other data in its middle; this exchanges
    what it draws its batches from.

    Args:
        model: The model that `fit` trains.

    Attributes:
        is_found: Whether `fit` draws from what Keras 3.15 has there.
        knows_length: Whether the number of steps is known. Where not, Keras
            makes a step in vain at the end of each epoch, which draws random
            numbers.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._iterator = iterator = find_epoch_iterator()
        self.is_found = iterator is not None
        if self.is_found:
            self._examples = iterator._distributed_dataset
            self.knows_length = iterator.num_batches is not None

    def restore(self) -> None:
        """Go on with what `fit` was given, with a new trace."""
        model, iterator = self._model, self._iterator
        self._unwrap()
        iterator.steps_per_execution = model.steps_per_execution
        iterator._distributed_dataset = self._examples
        model._eval_epoch_iterator = None
        model.make_train_function(force=True)
        model.make_test_function(force=True)

    def release(self) -> None:
        """Let the model forget all data, and what was compiled for it."""
        if self.is_found:
            self._unwrap()
            self._model.train_function = self._model.test_function = None
            self._model._eval_epoch_iterator = None

    def train_on(self, dataset: tf.data.Dataset, class_weight=None) -> None:
        """Train on another data set with as many steps."""
        epochs = self._make_epochs(dataset, class_weight)
        self._iterator._distributed_dataset = epochs._distributed_dataset

    def validate_on(self, dataset: tf.data.Dataset) -> None:
        """Validate on another data set."""
        self._model._eval_epoch_iterator = self._make_epochs(dataset)

    def train_by_epochs(
        self, rows: tf.data.Dataset, table: FeatureTable, class_weight=None
    ) -> None:
        """Train on a table, with one call an epoch.

        Args:
            rows: From `table.find_rows`.
            table: The table.
            class_weight: As in `fit`.
        """
        model = self._model
        step = model.train_step
        if class_weight:
            weigh = make_class_weight_map_fn(class_weight)

            def step(batch):
                return model.train_step(weigh(*batch))

        self._iterator.steps_per_execution = int(rows.cardinality())
        self._iterator._distributed_dataset = whole_epochs(rows)
        self._wrap(
            "train", functools.partial(compile_epoch, model, step, table)
        )

    def validate_by_epochs(
        self, rows: tf.data.Dataset, table: FeatureTable
    ) -> None:
        """Validate on a table, with one call each time."""
        model = self._model
        model._eval_epoch_iterator = self._make_epochs(whole_epochs(rows))
        step = model.test_step
        self._wrap("test", functools.partial(compile_epoch, model, step, table))

    def _wrap(self, kind: str, wrap: Callable) -> None:
        """Wrap what Keras makes to train or to test, whoever lets it make it.

        A callback that changes what trains has to.
        """
        model, name = self._model, f"{kind}_function"
        make = getattr(model, f"make_{name}")

        def make_and_wrap(force=False):
            if force or getattr(model, name) is None:
                make(force=True)
                setattr(model, name, wrap(getattr(model, name)))
            return getattr(model, name)

        vars(model)[f"make_{name}"] = make_and_wrap
        make_and_wrap(force=True)

    def _unwrap(self) -> None:
        for kind in ("train", "test"):
            vars(self._model).pop(f"make_{kind}_function", None)

    def _make_epochs(self, dataset, class_weight=None) -> TFEpochIterator:
        return TFEpochIterator(
            x=dataset,
            class_weight=class_weight,
            shuffle=False,
            distribute_strategy=self._model.distribute_strategy,
            steps_per_execution=self._model.steps_per_execution,
        )
