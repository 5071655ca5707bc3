"""What a classifier answers on validation data, for TensorBoard."""

from collections.abc import Sequence

import keras
import numpy as np

from keras_transfer.board.answer_pictures import draw_answers
from keras_transfer.board.answers import (
    collect_answers,
    make_predict,
    name_classes,
    tally_answers,
)
from keras_transfer.board.class_report import class_report_markdown
from keras_transfer.board.confusion_matrix import draw_confusion_matrix
from keras_transfer.callbacks.validation_answers import ValidationAnswers

_MOST_CLASSES_DRAWN = 1000


class AnswerPages:
    """Reports and draws the answers of a model in one `fit`.

    Args:
        model: The model that the `fit` that is running trains.
        data: As for `iterate_batches`.
        class_names: As for `name_classes`.

    Attributes:
        is_classifier: Whether it is one, as far as is known.
    """

    def __init__(
        self, model: keras.Model, data, class_names: Sequence[str] | None
    ):
        self.is_classifier = True
        self._model, self._data, self._names = model, data, class_names
        self._predict = None
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

    def report(self) -> tuple[str, np.ndarray | None] | None:
        """Report the answers of the epoch that ends.

        Returns:
            A table of the classes in Markdown, and a picture of the confusion
            matrix if there is one. `None` if the model is no classifier.
        """
        model, data = self._model, self._data
        answers = self._heard.take()
        if answers is None:
            self._predict = self._predict or make_predict(model)
            answers = collect_answers(model, data, self._predict)
        matrix = None if answers is None else tally_answers(model, *answers)
        if matrix is None:
            self.is_classifier = False
            self.end()
            return None
        names = name_classes(model, data, len(matrix), self._names)
        picture = None
        if matrix.ndim == 2 and len(matrix) <= _MOST_CLASSES_DRAWN:
            picture = draw_confusion_matrix(matrix, names)
        return class_report_markdown(matrix, names), picture

    def draw(self) -> dict[str, np.ndarray]:
        """Draw the answers of the model as it is now, as `draw_answers`."""
        return draw_answers(self._model, self._data, self._names, self._predict)
