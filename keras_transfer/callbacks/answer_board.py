"""A `TensorBoard` callback that shows the answers of a classifier."""

import functools
import os
import warnings
from collections.abc import Mapping, Sequence

from keras_transfer.board.feature_maps import feature_map_groups
from keras_transfer.board.grad_cam import choose_group
from keras_transfer.caching.present_answers import whole_answers
from keras_transfer.callbacks.answer_pages import AnswerPages
from keras_transfer.callbacks.continuous_tensorboard import (
    ContinuousTensorBoard,
)
from keras_transfer.callbacks.data_text import describe_data
from keras_transfer.callbacks.embedding_pages import EmbeddingPages
from keras_transfer.data.labelled_batches import check_labelled_data


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
        if projector_limit < 0:
            raise ValueError(
                "`projector_limit` must be 0 or more. "
                f"Received: projector_limit={projector_limit}"
            )
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
            if self.grad_cam_group is not None and self.model.built:
                self._attempt("Grad-CAM", self._check_group)
        super().on_train_begin(logs)

    def on_epoch_begin(self, epoch, logs=None):
        starts_fit = self._starts_fit
        super().on_epoch_begin(epoch, logs)
        if self._answers is None:
            return
        self._answers.begin_epoch()
        if starts_fit and self.projector_limit and not self._has_begun:
            # Now, when what is frozen may be cached.
            self._has_begun = self.model.built
            if self._has_begun:
                self._attempt("the projector", self._begin_embedding)
            else:
                warnings.warn(
                    "TransferBoard has no projector of this `fit`: the model "
                    "has no weights before its first step. Call it once, or "
                    "give it a `keras.Input`.",
                    stacklevel=2,
                )

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
                self._attempt("pictures of the answers", self._write_pages)

    def _begin_answers(self) -> None:
        self._answers = AnswerPages(
            self.model, self.validation_data, self.class_names
        )
        if self._embeddings:
            self._embeddings.renew()
            self._answers.predict = self._embeddings.predict

    def _check_group(self) -> None:
        choose_group(feature_map_groups(self.model), self.grad_cam_group)

    def _write_report(self) -> None:
        if self._answers.is_classifier:
            with self._recording(self._val_writer):
                self._answers.write_report(self._epoch)

    def _write_pages(self) -> None:
        pages, step = self._answers, self._next_epoch - 1
        pages.update()
        group = self.grad_cam_group
        # What one of them cannot show, the others may.
        with self._recording(self._val_writer):
            for what, write in {
                "the scores of each class": pages.write_pictures,
                "precision and recall": pages.write_curves,
                "pictures of examples": pages.write_examples,
                "Grad-CAM": functools.partial(pages.write_explanations, group),
            }.items():
                self._attempt(what, functools.partial(write, step))

    def _describe_data(self) -> None:
        pages, data = self._answers, self.validation_data
        if "data" in self._logged or (pages and not pages.is_classifier):
            return
        answers = pages.answers if pages else {}
        labels, _ = answers.get("", (None, None))
        names = self.class_names
        text = describe_data(self.model, data, labels, names)
        if text is not None:
            with self._recording(self._train_writer):
                self.summary.text("data", text, step=self._epoch)

    def _begin_embedding(self) -> None:
        folder = os.path.join(self._log_write_dir, "projector")
        try:
            pages = EmbeddingPages(
                self.model, self.validation_data, folder, self.projector_limit
            )
        except ValueError:  # there is nothing to embed
            return
        pages.begin(has_resumed=bool(self._logged))
        self._embeddings, self._answers.predict = pages, pages.predict

    def _end_embedding(self) -> None:
        answers = whole_answers(self.model, self._answers.answers)
        if self._embeddings.end(answers, self.class_names):
            # TensorBoard looks only where there are events.
            self._writer(self._embeddings.folder).flush()
        else:
            self._embeddings = None
