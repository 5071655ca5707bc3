"""A `TensorBoard` callback that shows the answers of a classifier."""

import contextlib
import os
from collections.abc import Mapping, Sequence

from keras_transfer.board.answers import check_labelled_data
from keras_transfer.callbacks.answer_pages import AnswerPages
from keras_transfer.callbacks.continuous_tensorboard import (
    ContinuousTensorBoard,
)
from keras_transfer.callbacks.data_text import describe_data
from keras_transfer.callbacks.embedding_pages import EmbeddingPages


class AnswerBoard(ContinuousTensorBoard):
    """What `TransferBoard` shows of validation data.

    Args:
        log_dir: Folder of the run.
        validation_data: As for `TransferBoard`.
        class_names: As for `TransferBoard`.
        class_report_freq: As for `TransferBoard`.
        grad_cam_group: As for `TransferBoard`.
        projector_limit: As for `TransferBoard`.
        **kwargs: As for `keras.callbacks.TensorBoard`.

    Raises:
        ValueError: As `TransferBoard`.
    """

    def __init__(
        self,
        log_dir="logs",
        *,
        validation_data=None,
        class_names: Sequence[str] | Mapping | None = None,
        class_report_freq: int = 1,
        grad_cam_group: str | None = None,
        projector_limit: int = 500,
        **kwargs,
    ):
        super().__init__(log_dir, **kwargs)
        check_labelled_data(validation_data)
        self.validation_data = validation_data
        if not isinstance(class_names, Mapping | None):
            class_names = list(class_names)
        self.class_names = class_names
        self.class_report_freq = class_report_freq
        self.grad_cam_group = grad_cam_group
        self.projector_limit = projector_limit
        self._answers = self._embeddings = None
        self._has_begun = self._has_described_data = False
        self._drawn_epochs = 0

    def set_model(self, model):
        if model is not self._model:
            self._embeddings, self._has_begun = None, False
        super().set_model(model)

    def on_train_begin(self, logs=None):
        if self._answers is not None:
            self._answers.end()  # of a `fit` that was broken off
            self._answers = None
        if self.class_report_freq and self.validation_data is not None:
            self._attempt("the class report", self._begin_answers)
        super().on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        super().on_epoch_begin(epoch, logs)
        if self._answers is not None:
            self._answers.begin_epoch()
        if not self._has_begun:
            # Now, when what is frozen may be cached.
            self._has_begun = True
            if self._answers is not None and self.projector_limit:
                self._attempt("the projector", self._begin_embedding)

    def on_test_begin(self, logs=None):
        if self._answers is not None:
            self._answers.begin_validation()
        super().on_test_begin(logs)

    def on_test_end(self, logs=None):
        if self._answers is not None:
            self._answers.end_validation()
        super().on_test_end(logs)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, logs)
        if self._answers and self._epoch % self.class_report_freq == 0:
            self._attempt("the class report", self._write_report)
        if not self._has_described_data:
            self._has_described_data = True
            self._attempt("the data summary", self._describe_data)

    def on_train_end(self, logs=None):
        if self._answers is not None:
            self._answers.end()
        self.draw_answers()
        if self._embeddings and self._answers:
            self._attempt("the projector", self._end_embedding)
        self._answers = None
        super().on_train_end(logs)

    def draw_answers(self) -> None:
        """Draw what the model answers now, if it has trained since."""
        if self._answers and self._drawn_epochs != self._next_epoch:
            self._drawn_epochs = self._next_epoch
            given_up = "the class report" in self._given_up
            if self._answers.is_classifier and not given_up:
                self._attempt("pictures of the answers", self._write_pictures)
                self._attempt("Grad-CAM", self._write_explanations)

    def _begin_answers(self) -> None:
        self._answers = AnswerPages(
            self.model, self.validation_data, self.class_names
        )
        if self._embeddings:
            self._answers.predict = self._embeddings.predict

    def _write_report(self) -> None:
        if self._answers.is_classifier:
            with self._recording(self._val_writer):
                self._answers.write_report(self._epoch)

    def _write_pictures(self) -> None:
        with self._recording(self._val_writer):
            self._answers.write_pictures(self._next_epoch - 1)

    def _write_explanations(self) -> None:
        step, group = self._next_epoch - 1, self.grad_cam_group
        with self._recording(self._val_writer):
            self._answers.write_explanations(group, step)

    def _describe_data(self) -> None:
        answers = self._answers.answers if self._answers else {}
        labels, _ = answers.get("", (None, None))
        text = describe_data(self.model, labels, self.class_names)
        if text is not None and "data" not in self._logged:
            with self._recording(self._train_writer):
                self.summary.text("data", text, step=self._epoch)

    def _begin_embedding(self) -> None:
        folder = os.path.join(self._log_write_dir, "projector")
        with contextlib.suppress(ValueError):  # there is nothing to embed
            self._embeddings = EmbeddingPages(
                self.model, self.validation_data, folder, self.projector_limit
            )
        if self._embeddings:
            self._embeddings.begin(has_resumed=bool(self._logged))
            self._answers.predict = self._embeddings.predict

    def _end_embedding(self) -> None:
        self._embeddings.end(self._answers.answers, self.class_names)
        # TensorBoard looks only where there are events.
        self._writer(self._embeddings.folder).flush()
