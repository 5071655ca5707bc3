"""The answers of a model in the validation that `fit` makes anyway."""

import functools
import weakref

import keras
import numpy as np
import tensorflow as tf
from keras.src.backend.tensorflow.trainer import TensorFlowTrainer

from keras_transfer.caching.answers import pair_outputs
from keras_transfer.callbacks.data_replay import find_validation_data


class ValidationAnswers:
    """Keeps labels and outputs while a model is validated.

    A second pass over the validation data would give the same.

    Args:
        model: The model that the `fit` that is running trains.
    """

    def __init__(self, model: keras.Model):
        self._model = model
        self._names, self._batches, self._is_open = [], [], False

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

        def hear(names, *parts):
            if listener := collect():
                listener(names, parts)

        def compute_loss(
            x=None, y=None, y_pred=None, sample_weight=None, training=True
        ):
            pairs = {} if training else pair_outputs(model, y, y_pred)
            if pairs:
                parts = [
                    part
                    for labels, outputs in pairs.values()
                    for part in (labels, tf.cast(outputs, "float32"))
                ]
                tf.numpy_function(
                    functools.partial(hear, list(pairs)), parts, []
                )
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

    def take(self) -> dict[str, tuple[np.ndarray, np.ndarray]]:
        """Return what `collect_answers` would, and forget it.

        Returns:
            What was heard since the last `begin`; nothing, if there were no
            answers of a classifier.
        """
        batches, self._batches = self._batches, []
        parts = [np.concatenate(part) for part in zip(*batches, strict=True)]
        pairs = zip(parts[::2], parts[1::2], strict=True)
        return dict(zip(self._names, pairs, strict=False))

    def _collect(self, names, parts) -> None:
        if self._is_open:
            self._names = names
            self._batches.append(parts)
