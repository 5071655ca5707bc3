"""A `TensorBoard` callback whose curves go on from one `fit` to the next."""

import contextlib
import os
import warnings

import keras
import numpy as np

from keras_transfer.board.read_run import read_run
from keras_transfer.callbacks.data_replay import find_callbacks
from keras_transfer.callbacks.phase_backup import PhaseBackup


class ContinuousTensorBoard(keras.callbacks.TensorBoard):
    """`keras.callbacks.TensorBoard` for a training of several `fit`s.

    Curves go on where the last `fit` ended, over a new `compile` and a new
    optimizer, too. Epochs are numbered as Keras numbers them; where that
    would write over an earlier epoch, counting goes on from there. Metrics
    that give a value for each class become a curve for each. Where
    `PhaseBackup` goes on with an epoch that had been logged before the
    training was killed, it is not logged again.

    Args:
        log_dir: Folder of the run.
        **kwargs: As for `keras.callbacks.TensorBoard`.
    """

    def __init__(self, log_dir="logs", **kwargs):
        super().__init__(log_dir, **kwargs)
        self._log_write_dir = self.log_dir
        self._train_dir = os.path.join(self.log_dir, "train")
        self._writers_by_folder = {}
        self._graph_written = False
        self._given_up = set()
        self._optimizer = None
        self._iterations = self._earlier_iterations = 0
        self._epoch = self._next_epoch = self._epoch_offset = 0
        self._starts_fit = False
        self._logged = {}

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
    def _recording(self, writer, tag="epoch_loss"):
        """Write, unless the epoch has a value of that tag already."""
        # With `update_freq=N`, Keras leaves a context open that drops
        # whatever is written after a batch that is not an N-th one.
        is_new = self._epoch > self._logged.get(tag, -1)
        with self.summary.record_if(is_new), writer.as_default():
            yield

    def _write_keras_model_summary(self):
        if not self._graph_written:
            self._graph_written = True
            super()._write_keras_model_summary()

    def on_train_begin(self, logs=None):
        batches = self._global_train_batch
        super().on_train_begin(logs)
        self._global_train_batch = batches
        self._starts_fit = True

    def on_epoch_begin(self, epoch, logs=None):
        if self._starts_fit:
            self._starts_fit = False
            self._epoch_offset = max(0, self._next_epoch - epoch)
            if not self._global_train_batch:
                # A training that goes on in a new process.
                steps = (self.params or {}).get("steps") or 0
                self._global_train_batch = epoch * steps
            if _has_resumed():
                self._logged = _find_last_steps(self._log_write_dir)
        self._epoch = epoch + self._epoch_offset
        super().on_epoch_begin(self._epoch, logs)

    def on_train_batch_end(self, batch, logs=None):
        # An epoch that was broken off had logged some of its batches.
        last = self._logged.get("batch_loss", -1)
        is_new = self._global_train_batch > last
        super().on_train_batch_end(batch, as_scalars(logs) if is_new else None)

    def on_epoch_end(self, epoch, logs=None):
        with self._recording(self._train_writer):
            super().on_epoch_end(self._epoch, as_scalars(logs))
        self._count_iterations()
        self._next_epoch = self._epoch + 1

    def on_test_end(self, logs=None):
        # As in Keras, where the steps start anew with a new optimizer.
        step = self._count_iterations()
        if step is not None:
            with self._recording(self._val_writer):
                for name, value in as_scalars(logs or {}).items():
                    self.summary.scalar(
                        f"evaluation_{name}_vs_iterations", value, step=step
                    )
        self._pop_writer()

    def on_train_end(self, logs=None):
        if self._starts_fit and _has_resumed():
            # Nothing was left to train.
            self._starts_fit = False
            self._logged = _find_last_steps(self._log_write_dir)
            self._epoch = self._logged.get("epoch_loss", 0)
            self._next_epoch = self._epoch + 1
        super().on_train_end(logs)

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


def _has_resumed() -> bool:
    return any(
        isinstance(callback, PhaseBackup) and callback.has_resumed
        for callback in find_callbacks()
    )


def _find_last_steps(log_dir: str) -> dict[str, int]:
    """Find up to where a training has been logged, by tag."""
    try:
        run = read_run(log_dir)
    except ValueError:  # there are no logs
        return {}
    tags = run.tags.get("train", ())
    steps = {tag: int(run.curve(tag, "train")[0][-1]) for tag in tags}
    texts = dict.fromkeys(run.texts, steps.get("epoch_loss", -1))
    return texts | steps


def as_scalars(logs):
    """Name the values of metrics that give one for each class.

    Args:
        logs: What Keras gives to callbacks.
    """
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
