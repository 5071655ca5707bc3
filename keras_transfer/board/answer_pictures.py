"""Pictures of what a classifier answers on labelled data."""

from collections.abc import Callable, Sequence

import keras
import numpy as np
import tensorflow as tf

from keras_transfer.board.answers import (
    collect_answers,
    gives_logits,
    iterate_batches,
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
from keras_transfer.board.reliability_diagram import draw_reliability_diagram
from keras_transfer.caching.repeatability import may_vary, shuffles

_MOST_CLASSES_DRAWN = 1000


def draw_answers(
    model: keras.Model,
    data,
    class_names: Sequence[str] | None = None,
    predict: Callable | None = None,
) -> dict[str, np.ndarray]:
    """Draw what a classifier gets right and wrong, and how sure it is.

    Args:
        model: A compiled Keras model; its loss tells what outputs mean.
        data: As for `iterate_batches`.
        class_names: As for `name_classes`.
        predict: From `make_predict(model)`.

    Returns:
        Pictures `(height, width, 3)` in uint8 by their tag. Where an example
        may have several classes, it is the F1 scores alone; none if this is
        no classifier. Examples are shown if they are single images, and the
        data has the same order each time that it is read.
    """
    answers = collect_answers(model, data, predict)
    matrix = None if answers is None else tally_answers(model, *answers)
    if matrix is None:
        return {}
    labels, outputs = answers
    names = name_classes(model, data, len(matrix), class_names)
    pictures = {"f1": draw_f1_bars(matrix, names)}
    if matrix.ndim > 2:
        return pictures
    if len(matrix) <= _MOST_CLASSES_DRAWN:
        pictures["confusion_matrix_shares"] = draw_confusion_matrix(
            matrix, names, normalized=True
        )
    if not np.isfinite(outputs).all():
        return pictures
    logits = {"from_logits": gives_logits(model)}
    guesses = read_guesses(outputs, labels, **logits)
    pictures["reliability"] = draw_reliability_diagram(
        guesses.confidences, guesses.is_right
    )
    mistakes, uncertain = choose_examples(outputs, labels, **logits)
    for tag, title, rows in (
        ("confident_mistakes", "Most confident mistakes", mistakes),
        ("uncertain_examples", "Most uncertain examples", uncertain),
    ):
        images = _fetch_images(data, rows)
        if images is None:
            break
        captions = caption_examples(outputs, labels, names, rows, **logits)
        pictures[tag] = draw_example_grid(images, captions, title)
    return pictures


def _fetch_images(data, rows) -> list[np.ndarray] | None:
    """Return some examples, or `None` if they are no images to be found."""
    if isinstance(data, tf.data.Dataset) and (shuffles(data) or may_vary(data)):
        return None
    found, start, last = {}, 0, max(rows, default=0)
    for x, _ in iterate_batches(data):
        if keras.tree.is_nested(x) or len(x.shape) != 4:
            return None
        if x.shape[-1] not in (1, 3, 4):
            return None
        wanted = [row for row in rows if start <= row < start + len(x)]
        for row in wanted:
            found[row] = keras.ops.convert_to_numpy(x[row - start])
        start += len(x)
        if start > last:
            break
    return [found[row] for row in rows]
