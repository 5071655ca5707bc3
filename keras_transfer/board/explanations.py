"""What a classifier looks at in some of its examples."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_transfer.board.example_grid import caption_examples
from keras_transfer.board.feature_maps import feature_map_groups
from keras_transfer.board.fetch_examples import spread_rows
from keras_transfer.board.grad_cam import grad_cam
from keras_transfer.board.grad_cam_grid import draw_grad_cam
from keras_transfer.caching.answers import (
    gives_logits,
    name_classes,
    tally_answers,
)

_EXAMPLES = 6


def choose_explained(answers: Mapping[str, tuple]) -> np.ndarray:
    """Choose examples evenly from the first to the last, by their number."""
    labels, _ = answers[""]
    return spread_rows(len(labels), _EXAMPLES)


def draw_explanations(
    model: keras.Model,
    data,
    answers: Mapping[str, tuple],
    images: Mapping[int, np.ndarray] | None,
    class_names: Sequence | Mapping | None = None,
    group: str | None = None,
) -> np.ndarray | None:
    """Draw Grad-CAM for the same few examples each time.

    Args:
        model: A compiled Keras model.
        data: As for `iterate_batches`.
        answers: What `collect_answers` gave for model and data.
        images: By the numbers of their examples, those of `choose_explained`
            among them, as from `fetch_shown`.
        class_names: As for `name_classes`.
        group: As for `grad_cam`.

    Returns:
        A picture `(height, width, 3)` in uint8, of examples that are spread
        evenly over the data. `None` if the model is no classifier with one
        class for each image, or makes no feature map; or if `images` are
        none.

    Raises:
        ValueError: If a `group` is given that has no feature map.
    """
    labels, outputs = answers.get("", ((), ()))
    matrix = tally_answers(model, labels, outputs) if len(labels) else None
    if matrix is None or matrix.ndim > 2 or not images:
        return None
    rows = choose_explained(answers)
    images = [images[row] for row in rows.tolist()]
    if group is None:
        try:
            *_, group = feature_map_groups(model)
        except ValueError:
            return None
    captions = caption_examples(
        outputs,
        labels,
        name_classes(model, data, len(matrix), class_names),
        rows,
        from_logits=gives_logits(model),
    )
    if len({image.shape for image in images}) == 1:
        maps = grad_cam(model, np.stack(images), group)
    else:
        maps = [grad_cam(model, image[None], group)[0] for image in images]
    title = f"What speaks for the predicted class ({group})"
    return draw_grad_cam(images, maps, captions, title)
