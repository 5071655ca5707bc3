"""Pictures of what a classifier answers on labelled data."""

from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from keras_transfer.board.confidences import read_guesses
from keras_transfer.board.confusion_matrix import (
    MOST_CLASSES_DRAWN,
    draw_confusion_matrix,
)
from keras_transfer.board.f1_bars import draw_f1_bars
from keras_transfer.board.reliability_diagram import draw_reliability_diagram
from keras_transfer.caching.answers import (
    collect_answers,
    gives_logits,
    name_classes,
    tally_answers,
)


def draw_answers(
    model: keras.Model,
    data,
    class_names: Sequence | Mapping | None = None,
    answers: Mapping[str, tuple] | None = None,
) -> dict[str, np.ndarray]:
    """Draw what a classifier gets right and wrong, and how sure it is.

    Args:
        model: A compiled Keras model; its loss tells what outputs mean.
        data: As for `iterate_batches`.
        class_names: As for `name_classes`.
        answers: What `collect_answers` gave for model and data, if it is
            known.

    Returns:
        Pictures `(height, width, 3)` in uint8 by their tag. Where an example
        may have several classes, it is the F1 scores alone; none if this is
        no classifier. Of several outputs each has its own pictures, the name
        of the output after the tag.
    """
    if answers is None:
        answers = collect_answers(model, data)
    return {
        f"{tag}/{name}" if name else tag: picture
        for name, pair in answers.items()
        for tag, picture in _draw_output(model, data, class_names, name, *pair)
    }


def _draw_output(
    model, data, class_names, name, labels, outputs
) -> Iterator[tuple]:
    matrix = tally_answers(model, labels, outputs, name)
    if matrix is None:
        return
    names = name_classes(model, data, len(matrix), class_names, name)
    yield "f1", draw_f1_bars(matrix, names)
    if matrix.ndim > 2:
        return
    if len(matrix) <= MOST_CLASSES_DRAWN:
        yield (
            "confusion_matrix_shares",
            draw_confusion_matrix(matrix, names, normalized=True),
        )
    if not np.isfinite(outputs).all():
        return
    guesses = read_guesses(
        outputs, labels, from_logits=gives_logits(model, name)
    )
    yield (
        "reliability",
        draw_reliability_diagram(guesses.confidences, guesses.is_right),
    )
