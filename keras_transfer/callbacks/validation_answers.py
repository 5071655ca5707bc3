"""The answers of a model in the validation that `fit` makes anyway."""

import weakref

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.tensorflow.trainer import TensorFlowTrainer

from keras_transfer.callbacks.data_replay import find_validation_data


class ValidationAnswers:
    """Keeps labels and outputs while a model is validated.

    A second pass over the validation data would give the same.

    Args:
        model: The model that the `fit` that is running trains.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._batches, self._is_open = [], False

    def can_attach(self, data) -> bool:
        """Tell whether `fit` validates on all of some data, and can be heard.

        Args:
            data: The data.
        """
        model = self._model
        return (
            data is not None
            and find_validation_data() is data
            and model.distribute_strategy.num_replicas_in_sync == 1
            # A model that does these steps its own way is left alone.
            and type(model).compute_loss is keras.Model.compute_loss
            and type(model).test_step is TensorFlowTrainer.test_step
            and "compute_loss" not in vars(model)
            # XLA has no Python in its midst.
            and not model.jit_compile
        )

    def attach(self) -> None:
        """Listen to each validation from now on."""
        model, collect = self._model, weakref.WeakMethod(self._collect)

        def hear(labels, outputs):
            if listener := collect():
                listener(labels, outputs)

        def compute_loss(
            x=None, y=None, y_pred=None, sample_weight=None, training=True
        ):
            if not training and _is_of_classes(y, y_pred):
                outputs = tf.cast(y_pred, "float32")
                tf.numpy_function(hear, [y, outputs], [])
            return type(model).compute_loss(
                model, x, y, y_pred, sample_weight, training
            )

        vars(model)["compute_loss"] = compute_loss
        model.test_function = None

    def detach(self) -> None:
        """Leave the model as it was."""
        self.end()
        vars(self._model).pop("compute_loss", None)
        self._model.test_function = None

    def begin(self) -> None:
        """Note that `fit` begins to validate."""
        self._batches, self._is_open = [], True

    def end(self) -> None:
        """Note that it has ended; others may validate on other data then."""
        self._is_open = False

    def take(self) -> tuple[np.ndarray, np.ndarray] | None:
        """Return labels and outputs, as `collect_answers`, and forget them.

        Returns:
            What was heard since the last `begin`; `None` if it was nothing,
            or no answer of a classifier.
        """
        batches, self._batches = self._batches, []
        if not batches:
            return None
        labels, outputs = zip(*batches, strict=True)
        return np.concatenate(labels), np.concatenate(outputs)

    def _collect(self, labels, outputs) -> None:
        if self._is_open:
            self._batches.append((labels, outputs))


def _is_of_classes(y, y_pred) -> bool:
    is_single = not any(map(keras.tree.is_nested, (y, y_pred)))
    return is_single and y is not None and len(y_pred.shape) <= 2
