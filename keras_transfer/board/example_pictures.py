"""Pictures of the examples that tell most about a classifier."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_transfer.board.example_grid import (
    caption_examples,
    choose_examples,
    draw_example_grid,
)
from keras_transfer.board.explanations import choose_explained
from keras_transfer.board.fetch_examples import fetch_images
from keras_transfer.caching.answers import (
    gives_logits,
    name_classes,
    tally_answers,
)

_TITLES = {
    "confident_mistakes": "Most confident mistakes",
    "uncertain_examples": "Most uncertain examples",
}


def fetch_shown(
    model: keras.Model, data, answers: Mapping[str, tuple]
) -> dict[int, np.ndarray] | None:
    """Fetch what `draw_examples` and `draw_explanations` show, in one pass.

    Args:
        model: A compiled Keras model; its loss tells what outputs mean.
        data: As for `iterate_batches`.
        answers: What `collect_answers` gave for model and data.

    Returns:
        Images by the numbers of their examples; `None` if examples are no
        single images, or others each time.
    """
    chosen = _choose_rows(model, answers)
    rows = [rows for kinds in chosen.values() for rows in kinds]
    if "" in chosen:
        rows.append(choose_explained(answers))
    if not rows:
        return {}
    rows = np.unique(np.concatenate(rows)).tolist()
    images = fetch_images(data, rows)
    return None if images is None else dict(zip(rows, images, strict=True))


def draw_examples(
    model: keras.Model,
    data,
    answers: Mapping[str, tuple],
    images: Mapping[int, np.ndarray] | None,
    class_names: Sequence | Mapping | None = None,
) -> dict[str, np.ndarray]:
    """Draw the most confident mistakes and the most uncertain examples.

    Args:
        model: As for `fetch_shown`.
        data: As for `fetch_shown`.
        answers: As for `fetch_shown`.
        images: From `fetch_shown`.
        class_names: As for `name_classes`.

    Returns:
        Pictures `(height, width, 3)` in uint8 by their tag, for each output
        with one class for each example, as `draw_answers`; none if `images`
        is `None`.
    """
    found = {}
    chosen = {} if images is None else _choose_rows(model, answers)
    for name, kinds in chosen.items():
        labels, outputs = answers[name]
        matrix = tally_answers(model, labels, outputs, name)
        names = name_classes(model, data, len(matrix), class_names, name)
        logits = gives_logits(model, name)
        for (tag, title), rows in zip(_TITLES.items(), kinds, strict=True):
            captions = caption_examples(
                outputs, labels, names, rows, from_logits=logits
            )
            pictures = [images[row] for row in rows.tolist()]
            grid = draw_example_grid(pictures, captions, title)
            found[f"{tag}/{name}" if name else tag] = grid
    return found


def _choose_rows(model, answers) -> dict[str, tuple]:
    chosen = {}
    for name, (labels, outputs) in answers.items():
        matrix = tally_answers(model, labels, outputs, name)
        if matrix is None or matrix.ndim > 2 or not np.isfinite(outputs).all():
            continue
        logits = gives_logits(model, name)
        chosen[name] = choose_examples(outputs, labels, from_logits=logits)
    return chosen
