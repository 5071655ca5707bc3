"""A `TensorBoard` callback that follows training over its phases."""

import contextlib
import os
from collections.abc import Mapping, Sequence

from keras_transfer.backbones.layer_groups import count_weights
from keras_transfer.board.answers import check_labelled_data
from keras_transfer.board.custom_layout import write_layout
from keras_transfer.board.generalisation_gap import find_gaps
from keras_transfer.board.phase_text import phase_markdown
from keras_transfer.board.settings import write_settings
from keras_transfer.callbacks.answer_pages import AnswerPages
from keras_transfer.callbacks.companion import find_companions
from keras_transfer.callbacks.continuous_tensorboard import (
    ContinuousTensorBoard,
    as_scalars,
)
from keras_transfer.callbacks.epoch_speed import EpochSpeed
from keras_transfer.callbacks.group_scalars import GroupScalars
from keras_transfer.freezing.summary import trainable_summary


class TransferBoard(ContinuousTensorBoard):
    """`keras.callbacks.TensorBoard`, and what transfer learning is about.

    Besides all that Keras's callback logs, it shows

    - each phase: a text at its start (`phase`: which layer groups train, how
      many weights, at which learning rate), and as curves `phase/number`,
      `phase/trainable_weights` and `phase/trainable_share`;
    - each layer group, as curves over epochs: `learning_rate/…`, 0 while it
      is frozen; `gradient/…`, the norm of its gradient in a step, before
      clipping; `update/…`, how far its weights went since the last epoch, and
      `drift/…`, since the first, as shares of their norm;
    - `gap/…`, by how much a metric is better in training than in validation,
      and `speed/…`: seconds an epoch, with all that it needs, examples a
      second in the steps of training, and examples that a cache gave;
    - given validation data: a picture of the confusion matrix
      (`confusion_matrix`) and a table of precision, recall, F1 and support of
      each class (`class_report`). Models with several sigmoid outputs get the
      table alone; an output counts as a yes from 0.5 on;
    - given validation data, when a phase has ended: the confusion matrix in
      shares of each class, F1 of each class (`f1`), how far confidence can be
      trusted (`reliability`), and of images the most confident mistakes and
      the most uncertain examples, if the data has the same order each time.

    The page "Custom Scalars" has all curves in a few charts, "Text" also the
    layer groups of each phase, and "HParams" the settings of all runs beside
    what came of them.

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
        class_report_freq: Every how many epochs to make matrix and report; 0
            for never, nor pictures of phases. It takes one more pass over the
            validation data where it is not what `fit` validates on, and for
            the pictures of a phase. Defaults to 1.
        group_freq: Every how many epochs to measure the layer groups; 0 for
            never, which saves two copies of the weights. A model that its
            first step builds is measured from its second epoch on. Defaults
            to 1.
        settings: Settings of the run by name, for the table that compares
            runs; give all runs the same names. Defaults to `None`: none.
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
        group_freq: int = 1,
        settings: Mapping[str, bool | int | float | str] | None = None,
        **kwargs,
    ):
        super().__init__(log_dir, **kwargs)
        check_labelled_data(validation_data)
        self.validation_data = validation_data
        self.class_names = None if class_names is None else list(class_names)
        self.class_report_freq = class_report_freq
        self.group_freq = group_freq
        self.settings = settings
        self._groups = self._speed = self._answers = None
        self._is_introduced = self._starts_epoch = False
        self._drawn_epochs = 0
        self._phase_number = 0
        self._next_phase = (None, None)
        self._trained = None

    def name_phase(self, name: str, number: int | None = None) -> None:
        """Name the phase that starts next.

        Args:
            name: What its text is headed with, in place of "phase N".
            number: Its number, for a training that goes on in a new process.
                Defaults to one more than that of the last phase.
        """
        self._next_phase = (name, number)

    def write_text(self, tag: str, text: str) -> None:
        """Write a text to the page "Text", at the last epoch.

        Args:
            tag: What it is called there.
            text: In Markdown.
        """
        with self._recording(self._train_writer):
            self.summary.text(tag, text, step=max(0, self._next_epoch - 1))

    def set_model(self, model):
        super().set_model(model)
        if self.group_freq:
            # Now: callbacks may put back the state of an earlier training.
            self._look_at_groups(model)

    def _look_at_groups(self, model):
        if self._groups is None or self._groups.model is not model:
            self._groups = None
            with contextlib.suppress(Exception):  # whatever the model is
                self._groups = GroupScalars(model)

    def on_train_begin(self, logs=None):
        self._speed = EpochSpeed()
        if self._groups is not None:
            self._attempt("the layer groups", self._groups.begin)
        if self._answers is not None:
            self._answers.end()  # of a `fit` that was broken off
            self._answers = None
        if self.class_report_freq and self.validation_data is not None:
            self._attempt("the class report", self._begin_answers)
        super().on_train_begin(logs)
        self._trained = None
        self._starts_steps = True

    def _begin_answers(self) -> None:
        self._answers = AnswerPages(
            self.model, self.validation_data, self.class_names
        )

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._starts_epoch = True
        self._speed.begin_epoch()
        if self._answers is not None:
            self._answers.begin_epoch()

    def on_train_batch_begin(self, batch, logs=None):
        # Not when the epoch begins: callbacks later in the list may freeze,
        # unfreeze and set the learning rate then.
        self._show_phase()
        super().on_train_batch_begin(batch, logs)

    def on_test_begin(self, logs=None):
        if self._speed is not None:
            self._attempt(
                "the speed", lambda: self._speed.end_training(self.model)
            )
        if self._answers is not None:
            self._answers.begin_validation()
        super().on_test_begin(logs)

    def on_test_end(self, logs=None):
        if self._answers is not None:
            self._answers.end_validation()
        super().on_test_end(logs)

    def on_epoch_end(self, epoch, logs=None):
        self._show_phase()
        logs = logs or {}
        if not self._is_introduced:
            self._is_introduced = True
            self._attempt("its own pages", lambda: self._introduce(logs))
        self._attempt("the curves", lambda: self._log_curves(logs))
        if self.group_freq and self._groups is None:
            # A model that its first steps have built is followed from here.
            self._look_at_groups(self.model)
            if self._groups is not None:
                self._attempt("the layer groups", self._groups.begin)
        super().on_epoch_end(epoch, logs)
        if self._answers and self._epoch % self.class_report_freq == 0:
            self._attempt("the class report", self._log_class_report)

    def on_train_end(self, logs=None):
        if self._answers is not None:
            self._answers.end()
        self._draw_last_phase()
        self._answers = None
        if self._groups is not None:
            self._attempt("the layer groups", self._groups.end)
        super().on_train_end(logs)

    def _show_phase(self) -> None:
        if self._starts_epoch:
            self._starts_epoch = False
            self._attempt("the phases", self._log_phase)
            if self._starts_steps and self._groups is not None:
                self._attempt("the layer groups", self._groups.begin_epochs)
            self._starts_steps = False

    def _log_phase(self) -> None:
        weights = self.model.trainable_weights
        live, total = count_weights(weights), count_weights(self.model.weights)
        trained = {id(weight) for weight in weights}
        unfreezing = find_companions(self.model).get("GradualUnfreezing")
        if unfreezing is not None:
            number = unfreezing.phase_number
            self._next_phase = (unfreezing.phase.name, number)
            trained = (number, trained)
        with self._recording(self._train_writer, "phase/number"):
            if trained != self._trained:
                self._trained = trained
                self._draw_last_phase()
                self._start_phase()
            for tag, value in (
                ("number", self._phase_number),
                ("trainable_weights", live),
                ("trainable_share", live / max(total, 1)),
            ):
                self.summary.scalar(f"phase/{tag}", value, step=self._epoch)

    def _introduce(self, logs) -> None:
        with self._recording(self._train_writer):
            write_layout()
        if self.settings:
            with self._recording(self._writer(self._log_write_dir)):
                run = os.path.basename(os.path.abspath(self._log_write_dir))
                write_settings(self.settings, run, as_scalars(logs))

    def _log_curves(self, logs) -> None:
        gaps = find_gaps(as_scalars(logs))
        curves = {f"gap/{name}": gap for name, gap in gaps.items()}
        curves |= self._speed.measure(self.model)
        frequency = self.group_freq
        if self._groups and self._epoch % frequency == 0:
            curves |= self._groups.measure()
        with self._recording(self._train_writer):
            for tag, value in curves.items():
                self.summary.scalar(tag, value, step=self._epoch)

    def _draw_last_phase(self) -> None:
        if self._answers and self._drawn_epochs != self._next_epoch:
            self._drawn_epochs = self._next_epoch
            given_up = "the class report" in self._given_up
            if self._answers.is_classifier and not given_up:
                self._attempt("pictures of the answers", self._draw_answers)

    def _draw_answers(self) -> None:
        with self._recording(self._val_writer):
            for tag, picture in self._answers.draw().items():
                step = self._next_epoch - 1
                self.summary.image(tag, picture[None], step=step)

    def _start_phase(self) -> None:
        name, number = self._next_phase
        self._next_phase = (None, None)
        self._phase_number = number or self._phase_number + 1
        title = name or f"phase {self._phase_number}"
        rates = self._collect_learning_rate({})
        text = phase_markdown(self.model, title, rates)
        self.summary.text("phase", text, step=self._epoch)
        with contextlib.suppress(ValueError):  # a model without groups
            table = trainable_summary(self.model)
            text = f"```\n{table}\n```"
            self.summary.text("layer_groups", text, step=self._epoch)

    def _log_class_report(self) -> None:
        found = self._answers.is_classifier and self._answers.report()
        if not found:
            return
        text, picture = found
        with self._recording(self._val_writer):
            self.summary.text("class_report", text, step=self._epoch)
            if picture is not None:
                self.summary.image(
                    "confusion_matrix", picture[None], step=self._epoch
                )
