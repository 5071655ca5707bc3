"""A `TensorBoard` callback that follows training over its phases."""

import contextlib
import warnings
from collections.abc import Sequence

import keras
import numpy as np

from keras_transfer.backbones.layer_groups import count_weights
from keras_transfer.board.answers import (
    check_labelled_data,
    count_answers,
    make_predict,
    name_classes,
)
from keras_transfer.board.class_report import class_report_markdown
from keras_transfer.board.confusion_matrix import draw_confusion_matrix
from keras_transfer.board.phase_text import phase_markdown
from keras_transfer.callbacks.companion import find_companions

_MOST_CLASSES_DRAWN = 1000


class TransferBoard(keras.callbacks.TensorBoard):
    """`keras.callbacks.TensorBoard`, and what transfer learning is about.

    Besides all that Keras's callback logs, it shows

    - each phase: a text at its start (`phase`: which layer groups train, how
      many weights, at which learning rate), and as curves `phase/number`,
      `phase/trainable_weights` and `phase/trainable_share`;
    - given validation data: a picture of the confusion matrix
      (`confusion_matrix`) and a table of precision, recall, F1 and support of
      each class (`class_report`). Models with several sigmoid outputs get the
      table alone; an output counts as a yes from 0.5 on.

    A phase starts with each `fit`, and inside one where an epoch begins with
    other weights trainable than the last.

    Pass the same callback to each `fit` of a training in phases: its curves
    go on where the last ones ended, over a new `compile` and a new optimizer,
    too. Epochs are numbered as Keras numbers them (`initial_epoch`); where
    that would write over an earlier epoch, counting goes on from there.

    Logs are on disk after each epoch. If something cannot be shown, a warning
    says so once and training goes on.

    Example:

    ```python
    board = kt.TransferBoard("logs/flowers", validation_data=validation)
    model.fit(train, validation_data=validation, epochs=5, callbacks=[board])

    kt.set_trainable(model, "top:3")
    model.compile(keras.optimizers.Adam(1e-5), model.loss)
    board.name_phase("fine-tuning")
    model.fit(train, validation_data=validation, initial_epoch=5, epochs=10,
              callbacks=[board])
    ```

    Args:
        log_dir: Folder of the run. Training goes to `train` in it, validation
            to `validation`. Defaults to `"logs"`.
        validation_data: For the confusion matrix and the class report: a
            `tf.data.Dataset` or `keras.utils.PyDataset` of batches `(x, y)`,
            or a tuple of arrays. Sample weights are ignored. Optional.
        class_names: Names of the classes, in the order of the outputs.
            Defaults to the `class_names` of the model or of the data.
        class_report_freq: Every how many epochs to predict the validation
            data (one more pass over it) for matrix and report; 0 for never.
            Defaults to 1.
        **kwargs: As for `keras.callbacks.TensorBoard`.

    Raises:
        ValueError: If `validation_data` is of another kind, or never ends.
    """

    def __init__(
        self,
        log_dir="logs",
        *,
        validation_data=None,
        class_names: Sequence[str] | None = None,
        class_report_freq: int = 1,
        **kwargs,
    ):
        super().__init__(log_dir, **kwargs)
        check_labelled_data(validation_data)
        self.validation_data = validation_data
        self.class_names = None if class_names is None else list(class_names)
        self.class_report_freq = class_report_freq
        self._writers_by_folder = {}
        self._graph_written = False
        self._given_up = set()
        self._predict = None
        self._phase_number = 0
        self._next_phase = (None, None)
        self._trained = None
        self._optimizer = None
        self._iterations = self._earlier_iterations = 0
        self._next_epoch = self._epoch_offset = 0
        self._starts_fit = self._starts_epoch = False

    def name_phase(self, name: str, number: int | None = None) -> None:
        """Name the phase that starts next.

        Args:
            name: What its text is headed with, in place of "phase N".
            number: Its number, for a training that goes on in a new process.
                Defaults to one more than that of the last phase.
        """
        self._next_phase = (name, number)

    # One file a folder for all fits: TensorBoard reads files in the order of
    # their names, which need not be that in which they were begun.

    @property
    def _train_writer(self):
        return self._writer(self._train_dir)

    @property
    def _val_writer(self):
        return self._writer(self._val_dir)

    def _writer(self, folder: str):
        if folder not in self._writers_by_folder:
            writer = self.summary.create_file_writer(folder)
            self._writers_by_folder[folder] = writer
        return self._writers_by_folder[folder]

    def _close_writers(self):
        """Leave them open for the next fit.

        Nothing is lost: they are flushed whenever something was written.
        """

    @contextlib.contextmanager
    def _recording(self, writer):
        # With `update_freq=N`, Keras leaves a context open that drops
        # whatever is written after a batch that is not an N-th one.
        with self.summary.record_if(True), writer.as_default():
            yield

    def _write_keras_model_summary(self):
        if not self._graph_written:
            self._graph_written = True
            super()._write_keras_model_summary()

    def on_train_begin(self, logs=None):
        batches = self._global_train_batch
        super().on_train_begin(logs)
        self._global_train_batch = batches
        self._trained = self._predict = None
        self._starts_fit = True

    def on_epoch_begin(self, epoch, logs=None):
        if self._starts_fit:
            self._starts_fit = False
            self._epoch_offset = max(0, self._next_epoch - epoch)
            if not self._global_train_batch:
                # A training that goes on in a new process.
                steps = (self.params or {}).get("steps") or 0
                self._global_train_batch = epoch * steps
        self._epoch = epoch + self._epoch_offset
        self._starts_epoch = True
        super().on_epoch_begin(self._epoch, logs)

    def on_train_batch_begin(self, batch, logs=None):
        # Not when the epoch begins: callbacks later in the list may freeze,
        # unfreeze and set the learning rate then.
        self._show_phase()
        super().on_train_batch_begin(batch, logs)

    def on_train_batch_end(self, batch, logs=None):
        super().on_train_batch_end(batch, _as_scalars(logs))

    def on_epoch_end(self, epoch, logs=None):
        self._show_phase()
        with self.summary.record_if(True):
            super().on_epoch_end(self._epoch, _as_scalars(logs))
        frequency = self.class_report_freq
        if (
            self.validation_data is not None
            and frequency
            and self._epoch % frequency == 0
        ):
            self._attempt("the class report", self._log_class_report)
        self._count_iterations()
        self._next_epoch = self._epoch + 1

    def on_test_end(self, logs=None):
        # As in Keras, where the steps start anew with a new optimizer.
        step = self._count_iterations()
        if step is not None:
            with self._recording(self._val_writer):
                for name, value in _as_scalars(logs or {}).items():
                    self.summary.scalar(
                        f"evaluation_{name}_vs_iterations", value, step=step
                    )
        self._pop_writer()

    def _count_iterations(self) -> int | None:
        """Return the iterations of this optimizer and those before it."""
        optimizer = self.model.optimizer
        if not hasattr(optimizer, "iterations"):
            return None
        steps = int(keras.ops.convert_to_numpy(optimizer.iterations))
        if optimizer is not self._optimizer or steps < self._iterations:
            self._optimizer = optimizer
            self._earlier_iterations += self._iterations
        self._iterations = steps
        return self._earlier_iterations + self._iterations

    def _attempt(self, what: str, write) -> None:
        if what in self._given_up:
            return
        try:
            write()
        except Exception as error:
            self._given_up.add(what)
            warnings.warn(
                f"TransferBoard goes on without {what}: {error!r}",
                stacklevel=2,
            )

    def _show_phase(self) -> None:
        if self._starts_epoch:
            self._starts_epoch = False
            self._attempt("the phases", self._log_phase)

    def _log_phase(self) -> None:
        weights = self.model.trainable_weights
        live, total = count_weights(weights), count_weights(self.model.weights)
        trained = {id(weight) for weight in weights}
        unfreezing = find_companions(self.model).get("GradualUnfreezing")
        if unfreezing is not None:
            number = unfreezing.phase_number
            self._next_phase = (unfreezing.phase.name, number)
            trained = (number, trained)
        with self._recording(self._train_writer):
            if trained != self._trained:
                self._trained = trained
                self._start_phase()
            for tag, value in (
                ("number", self._phase_number),
                ("trainable_weights", live),
                ("trainable_share", live / max(total, 1)),
            ):
                self.summary.scalar(f"phase/{tag}", value, step=self._epoch)

    def _start_phase(self) -> None:
        name, number = self._next_phase
        self._next_phase = (None, None)
        self._phase_number = number or self._phase_number + 1
        title = name or f"phase {self._phase_number}"
        rates = self._collect_learning_rate({})
        text = phase_markdown(self.model, title, rates)
        self.summary.text("phase", text, step=self._epoch)

    def _log_class_report(self) -> None:
        if self._predict is None:
            self._predict = make_predict(self.model)
        data = self.validation_data
        matrix = count_answers(self.model, data, self._predict)
        if matrix is None:
            self._given_up.add("the class report")  # not a classifier
            return
        names = name_classes(self.model, data, len(matrix), self.class_names)
        with self._recording(self._val_writer):
            report = class_report_markdown(matrix, names)
            self.summary.text("class_report", report, step=self._epoch)
            if matrix.ndim == 2 and len(matrix) <= _MOST_CLASSES_DRAWN:
                picture = draw_confusion_matrix(matrix, names)
                self.summary.image(
                    "confusion_matrix", picture[None], step=self._epoch
                )


def _as_scalars(logs):
    """Name the values of metrics that give one for each class."""
    if not isinstance(logs, dict):
        return logs
    scalars = {}
    for name, value in logs.items():
        if np.ndim(value) == 0:
            scalars[name] = value
        else:
            parts = enumerate(np.ravel(value))
            scalars |= {f"{name}_{n}": part for n, part in parts}
    return scalars
