"""What a classifier answers on validation data, for TensorBoard."""

from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.board.answer_pictures import draw_answers
from keras_transfer.board.class_report import class_report_markdown
from keras_transfer.board.confusion_matrix import (
    MOST_CLASSES_DRAWN,
    draw_confusion_matrix,
)
from keras_transfer.board.example_pictures import draw_examples, fetch_shown
from keras_transfer.board.explanations import draw_explanations
from keras_transfer.board.precision_recall import write_precision_recall
from keras_transfer.board.write_picture import write_picture
from keras_transfer.caching.answers import (
    check_names,
    collect_answers,
    gives_logits,
    make_predict,
    name_classes,
    tally_answers,
)
from keras_transfer.caching.present_answers import (
    present_answers,
    whole_answers,
)
from keras_transfer.callbacks.validation_answers import ValidationAnswers


class AnswerPages:
    """Writes the answers of a model in one `fit`.

    Args:
        model: The model that the `fit` that is running trains.
        data: As for `iterate_batches`.
        class_names: As for `name_classes`.

    Attributes:
        is_classifier: Whether it is one, as far as is known.
        answers: What `collect_answers` gave, or would have given, the last
            time that something was written.
        predict: As for `collect_answers`; made when it is needed.
    """

    def __init__(
        self, model: keras.Model, data, class_names: Sequence | Mapping | None
    ):
        self.is_classifier = True
        self.answers = {}
        self._model, self._data, self._names = model, data, class_names
        self.predict = None
        self._images = {}
        self._heard = ValidationAnswers(model)
        self._listens = self._heard.can_attach(data)
        if self._listens:
            self._heard.attach()

    def begin_epoch(self) -> None:
        """Forget the answers of the last epoch."""
        self._heard.begin()
        self._heard.end()

    def begin_validation(self) -> None:
        """Note that `fit` begins to validate."""
        self._heard.begin()

    def end_validation(self) -> None:
        """Note that it has ended."""
        self._heard.end()

    def end(self) -> None:
        """Leave the model as it was."""
        if self._listens:
            self._listens = False
            self._heard.detach()

    def write_report(self, step: int) -> None:
        """Write what the model answers in the epoch that ends.

        For each output that is, a table of the classes and a picture of the
        confusion matrix. Like the others, it writes to the summary writer
        that is the default one.

        Args:
            step: Number of the epoch.
        """
        self.answers = self._heard.take() or self._collect()
        judged = list(self._judge())
        for name, matrix, names in judged:
            end = f"/{name}" if name else ""
            text = class_report_markdown(matrix, names)
            tf.summary.text(f"class_report{end}", text, step=step)
            if matrix.ndim == 2 and len(matrix) <= MOST_CLASSES_DRAWN:
                picture = draw_confusion_matrix(matrix, names)
                tag = f"confusion_matrix{end}"
                write_picture(tag, picture, step)
        if not judged:
            self.is_classifier = False
            self.end()

    def update(self) -> None:
        """Let the model answer as it is now, for what is written next."""
        self.answers, self._images = self._collect(), {}

    def write_pictures(self, step: int) -> None:
        """Write pictures of the answers.

        Args:
            step: Number of the epoch.
        """
        model = self._model
        pictures = draw_answers(
            model,
            self._data,
            self._names,
            present_answers(model, self.answers),
        )
        for tag, picture in pictures.items():
            write_picture(tag, picture, step)

    def write_curves(self, step: int) -> None:
        """Write curves of precision and recall.

        Args:
            step: Number of the epoch.
        """
        model = self._model
        answers = present_answers(model, self.answers)
        for name, matrix, names in self._judge():
            labels, outputs = answers[name]
            if np.isfinite(outputs).all():
                write_precision_recall(
                    labels,
                    outputs,
                    [f"{name}/{each}" if name else each for each in names],
                    from_logits=gives_logits(model, name),
                    multi_label=matrix.ndim > 2,
                    step=step,
                )

    def write_examples(self, step: int) -> None:
        """Write the most confident mistakes and the most uncertain examples.

        Args:
            step: Number of the epoch.
        """
        model, data, answers = self._model, self._data, self.answers
        # Of examples by their number.
        answers = whole_answers(model, answers)
        self._images = fetch_shown(model, data, answers)
        pictures = draw_examples(
            model, data, answers, self._images, self._names
        )
        for tag, picture in pictures.items():
            write_picture(tag, picture, step)

    def write_explanations(self, group: str | None, step: int) -> None:
        """Write what the model looks at, after `write_examples`.

        Args:
            group: As for `grad_cam`.
            step: Number of the epoch.
        """
        picture = draw_explanations(
            self._model,
            self._data,
            self.answers,
            self._images,
            self._names,
            group,
        )
        self._images = {}
        if picture is not None:
            write_picture("grad_cam", picture, step)

    def _collect(self) -> dict[str, tuple]:
        self.predict = self.predict or make_predict(self._model)
        return collect_answers(self._model, self._data, self.predict)

    def _judge(self) -> Iterator[tuple]:
        model, data = self._model, self._data
        check_names(model, self.answers, self._names)
        for name, pair in present_answers(model, self.answers).items():
            matrix = tally_answers(model, *pair, name)
            if matrix is not None:
                yield (
                    name,
                    matrix,
                    name_classes(model, data, len(matrix), self._names, name),
                )
