"""Pictures of what a classifier answers on labelled data."""

from collections.abc import Iterator, Mapping, Sequence

import keras
import numpy as np

from keras_transfer.board.answers import (
    collect_answers,
    gives_logits,
    name_classes,
    tally_answers,
)
from keras_transfer.board.confidences import read_guesses
from keras_transfer.board.confusion_matrix import draw_confusion_matrix
from keras_transfer.board.example_grid import (
    caption_examples,
    choose_examples,
    draw_example_grid,
)
from keras_transfer.board.f1_bars import draw_f1_bars
from keras_transfer.board.fetch_examples import fetch_images
from keras_transfer.board.reliability_diagram import draw_reliability_diagram

_MOST_CLASSES_DRAWN = 1000


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
        no classifier. Examples are shown if they are single images, and the
        data has the same order each time that it is read. Of several outputs
        each has its own pictures, the name of the output after the tag.
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
    if len(matrix) <= _MOST_CLASSES_DRAWN:
        yield (
            "confusion_matrix_shares",
            draw_confusion_matrix(matrix, names, normalized=True),
        )
    if not np.isfinite(outputs).all():
        return
    logits = {"from_logits": gives_logits(model, name)}
    guesses = read_guesses(outputs, labels, **logits)
    yield (
        "reliability",
        draw_reliability_diagram(guesses.confidences, guesses.is_right),
    )
    mistakes, uncertain = choose_examples(outputs, labels, **logits)
    images = fetch_images(data, [*mistakes, *uncertain])
    if images is None:
        return
    for tag, title, rows in (
        ("confident_mistakes", "Most confident mistakes", mistakes),
        ("uncertain_examples", "Most uncertain examples", uncertain),
    ):
        captions = caption_examples(outputs, labels, names, rows, **logits)
        its_images = [images.pop(0) for _ in rows]
        yield tag, draw_example_grid(its_images, captions, title)
