"""A `TensorBoard` callback that follows training over its phases."""

import contextlib
import os
from collections.abc import Mapping, Sequence

from keras_transfer.board.custom_layout import write_layout
from keras_transfer.board.drawing import render_figure
from keras_transfer.board.generalisation_gap import find_gaps
from keras_transfer.board.run_text import run_markdown
from keras_transfer.board.settings import write_settings
from keras_transfer.board.write_picture import write_picture
from keras_transfer.builders.multitask_model import MultitaskModel
from keras_transfer.callbacks.answer_board import AnswerBoard
from keras_transfer.callbacks.continuous_tensorboard import as_scalars
from keras_transfer.callbacks.epoch_speed import EpochSpeed
from keras_transfer.callbacks.group_scalars import GroupScalars
from keras_transfer.callbacks.phase_pages import PhasePages


class TransferBoard(AnswerBoard):
    """`keras.callbacks.TensorBoard`, and what transfer learning is about.

    Besides all that Keras's callback logs, it shows

    - what the run is (`run`), and each phase: a text at its start (`phase`:
      which layer groups train, how many weights, at which learning rate, and
      why from then on), and as curves `phase/number`,
      `phase/trainable_weights` and `phase/trainable_share`;
    - each layer group, as curves over epochs: `learning_rate/…`, 0 while it
      is frozen; `gradient/…`, the norm of its gradient in a step, before
      clipping; `update/…`, how far its weights went since the last epoch, and
      `drift/…`, since the first, as shares of their norm;
    - `gap/…`, by how much a metric is better in training than in validation,
      and `speed/…`: seconds an epoch, with all that it needs, examples a
      second in the steps of training, and examples that a cache gave;
    - of a model from `build_multitask`, `task_weight/…`, by what the loss of
      each task is multiplied;
    - how many examples of each class there are, with warnings of what is too
      few (`data`), as far as it can be told without reading training data; it
      is about a single output;
    - given validation data: a picture of the confusion matrix
      (`confusion_matrix`) and a table of precision, recall, F1 and support of
      each class (`class_report`). Where an example may have several classes,
      it is the table alone; an output counts as a yes above 0.5. Of several
      outputs that tell classes apart, each has its own;
    - given validation data, when a phase has ended: the confusion matrix in
      shares of each class, F1 of each class (`f1`), how far confidence can be
      trusted (`reliability`), and curves of precision and recall; of images
      the most confident mistakes, the most uncertain examples, and where in a
      few of them the model sees its class (`grad_cam`), if the data has the
      same order each time. Where an example may have several classes, it is
      F1 and the curves; of several outputs, all but `grad_cam`;
    - given such data, in the projector: what enters the head, before and
      after training, for the same validation examples. A `PyDataset` with an
      `on_epoch_end` counts as one that shuffles, unless its `shuffle` is
      false; a model that its first step builds has a projector of its second
      `fit` only.

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
            Defaults to the `class_names` of the model or of the data. For a
            model with several outputs, a dictionary of such lists by the
            names of the outputs.
        class_report_freq: Every how many epochs to make matrix and report; 0
            for never, nor pictures of phases. Each takes a pass over the
            validation data where it is not what `fit` validates on, and the
            pictures of a phase take two, of what is no image one. Defaults to
            1.
        group_freq: Every how many epochs to measure the layer groups; 0 for
            never, which saves two copies of the weights. A model that its
            first step builds is measured from its second epoch on. Defaults
            to 1.
        grad_cam_group: The layer group whose last feature map Grad-CAM looks
            at. Defaults to the deepest that has one.
        projector_limit: How many validation examples the projector shows, at
            most; 0 for no projector. In a `fit` they take a pass before and
            one after training, one more to count examples unless `(x, y)` are
            arrays, and one for their pictures where features are cached.
            Defaults to 500.
        settings: Settings of the run by name, for the table that compares
            runs; give all runs the same names. Defaults to `None`: none.
        **kwargs: As for `keras.callbacks.TensorBoard`.

    Raises:
        ValueError: If `validation_data` is of another kind, empty, or never
            ends, or `projector_limit` is negative.
    """

    def __init__(
        self,
        log_dir="logs",
        *,
        validation_data=None,
        class_names: Sequence[str] | Mapping | None = None,
        class_report_freq: int = 1,
        group_freq: int = 1,
        grad_cam_group: str | None = None,
        projector_limit: int = 500,
        settings: Mapping[str, bool | int | float | str] | None = None,
        **kwargs,
    ):
        super().__init__(
            log_dir,
            validation_data=validation_data,
            class_names=class_names,
            class_report_freq=class_report_freq,
            grad_cam_group=grad_cam_group,
            projector_limit=projector_limit,
            **kwargs,
        )
        self.group_freq = group_freq
        self.settings = settings
        self._phases = PhasePages()
        self._groups = self._speed = None
        self._is_introduced = self._starts_epoch = False

    def name_phase(self, name: str, number: int | None = None) -> None:
        """Name the phase that starts next.

        Args:
            name: What its text is headed with, in place of "phase N".
            number: Its number, for a training that goes on in a new process.
                Defaults to one more than that of the last phase.
        """
        self._phases.name_next(name, number)

    def write_text(self, tag: str, text: str) -> None:
        """Write a text to the page "Text", at the last epoch.

        Args:
            tag: What it is called there.
            text: In Markdown.
        """
        with self._recording(self._train_writer, tag):
            self.summary.text(tag, text, step=max(0, self._next_epoch - 1))

    def write_scalars(self, scalars: Mapping[str, float]) -> None:
        """Add a point to curves of one's own, at the epoch that ends.

        Args:
            scalars: Values by tag.
        """
        for tag, value in scalars.items():
            with self._recording(self._train_writer, tag):
                self.summary.scalar(tag, value, step=self._epoch)

    def write_figure(self, tag: str, figure) -> None:
        """Write a figure to the page "Images", at the last epoch.

        ```python
        curve = kt.find_learning_rate(model, train)
        board.write_figure("learning_rate_finder", curve.plot())
        ```

        Args:
            tag: What it is called there.
            figure: A `matplotlib.figure.Figure`.
        """
        picture = render_figure(figure)
        with self._recording(self._train_writer, tag):
            step = max(0, self._next_epoch - 1)
            write_picture(tag, picture, step)

    def set_model(self, model):
        super().set_model(model)
        if self.group_freq:
            # Now: callbacks may put back the state of an earlier training.
            self._look_at_groups(model)

    def _look_at_groups(self, model):
        before, self._groups = self._groups, None
        if before is not None and before.are_of(model):
            self._groups = before
        else:
            with contextlib.suppress(Exception):  # whatever the model is
                self._groups = GroupScalars(model, before)

    def on_train_begin(self, logs=None):
        self._speed = EpochSpeed()
        if self._groups is not None:
            self._attempt("the layer groups", self._groups.begin)
        super().on_train_begin(logs)
        self._phases.begin_fit()
        self._starts_steps = True

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        self._starts_epoch = True
        self._speed.begin_epoch()

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
        super().on_test_begin(logs)

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

    def on_train_end(self, logs=None):
        super().on_train_end(logs)
        if self._groups is not None:
            self._attempt("the layer groups", self._groups.end)

    def _show_phase(self) -> None:
        if self._starts_epoch:
            self._starts_epoch = False
            self._attempt("the phases", self._log_phase)
            if self._starts_steps and self._groups is not None:
                self._attempt("the layer groups", self._groups.begin_epochs)
            self._starts_steps = False

    def _log_phase(self) -> None:
        phases, step = self._phases, self._epoch
        with self._recording(self._train_writer, "phase/number"):
            if phases.look(self.model):
                self.draw_answers()
                rates = self._collect_learning_rate({})
                phases.write_texts(self.model, rates, step)
            phases.write_curves(self.model, step)

    def _introduce(self, logs) -> None:
        run = os.path.basename(os.path.abspath(self._log_write_dir))
        with self._recording(self._train_writer):
            write_layout()
            if "run" not in self._logged:
                text = run_markdown(self.model, run, self.settings)
                self.summary.text("run", text, step=self._epoch)
        if self.settings:
            with self._recording(self._writer(self._log_write_dir)):
                write_settings(self.settings, run, as_scalars(logs))

    def _log_curves(self, logs) -> None:
        gaps = find_gaps(as_scalars(logs))
        curves = {f"gap/{name}": gap for name, gap in gaps.items()}
        curves |= self._speed.measure(self.model)
        frequency = self.group_freq
        if self._groups and self._epoch % frequency == 0:
            curves |= self._groups.measure()
        if isinstance(self.model, MultitaskModel):
            weights = self.model.task_weights()
            curves |= {f"task_weight/{name}": w for name, w in weights.items()}
        with self._recording(self._train_writer):
            for tag, value in curves.items():
                self.summary.scalar(tag, value, step=self._epoch)
