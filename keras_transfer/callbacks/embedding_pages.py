"""Validation embeddings before and after training, for the projector."""

from collections.abc import Mapping, Sequence

import keras
import numpy as np

from keras_transfer.board.confidences import name_guesses
from keras_transfer.board.embeddings import make_embed
from keras_transfer.board.fetch_examples import (
    are_images,
    count_examples,
    fetch_inputs,
    keeps_order,
    look_at_batch,
    spread_rows,
)
from keras_transfer.board.projector import (
    count_points,
    discard_points,
    rotate_points,
    write_points,
    write_projector,
)
from keras_transfer.board.thumbnails import make_thumbnails
from keras_transfer.caching.answers import (
    gives_logits,
    name_classes,
    tally_answers,
)
from keras_transfer.caching.cached_data import find_cached

_BEFORE, _AFTER = "before training", "after training"
_SIDE = 48  # of a thumbnail, in pixels
_MOST_FEATURES = 2048  # a flattened feature map has ten times as many


class EmbeddingPages:
    """Embeds the same examples before and after the training of a model.

    Args:
        model: The model.
        data: As for `iterate_batches`.
        folder: Where to write, a folder of its own.
        limit: How many examples to embed, at most. They are spread evenly
            over the data.

    Raises:
        ValueError: If the model has no head, or the data no labels or another
            order each time.
    """

    def __init__(self, model: keras.Model, data, folder: str, limit: int):
        if not keeps_order(data):
            raise ValueError("The examples come in another order each time.")
        if look_at_batch(data)[1] is None:
            raise ValueError("The examples have no labels.")
        self.folder = folder
        self._model, self._data = model, data
        self.renew()
        self._rows = spread_rows(count_examples(data), limit)
        self._thumbnails = []

    def renew(self) -> None:
        """Embed anew, where layers may be others than in the last `fit`."""
        self._embed = make_embed(self._model)

    def begin(self, has_resumed: bool) -> None:
        """Embed the examples before training.

        Args:
            has_resumed: Whether an interrupted training goes on, which may
                have done so.

        Raises:
            ValueError: If there are no examples, or not as many as it had.
        """
        wanted = len(self._rows)
        found = count_points(self.folder, _BEFORE) if has_resumed else 0
        if not wanted or found not in (0, wanted):
            raise ValueError(
                "There must be examples, and in a training that goes on the "
                "same as before: pass the same `validation_data` and "
                f"`projector_limit`. Received: {wanted} examples to embed; "
                f"{found} have been"
            )
        if not found:
            self._write_points(_BEFORE)

    def predict(self, x):
        """Return what `make_predict` would give."""
        return self._embed(x)[1]

    def end(
        self,
        answers: Mapping[str, tuple],
        class_names: Sequence | Mapping | None,
    ) -> bool:
        """Embed the examples after training, and make the projector.

        Args:
            answers: From `collect_answers`, for the model as it is now.
            class_names: As for `name_classes`.

        Returns:
            Whether there is one: not of a model that is no classifier, or
            answers with what is no number.
        """
        model, rows, columns = self._model, self._rows, {}
        for name, (labels, outputs) in answers.items():
            matrix = tally_answers(model, labels, outputs, name)
            if matrix is None or not np.isfinite(outputs).all():
                continue
            true, guessed = name_guesses(
                outputs[rows],
                labels[rows],
                name_classes(model, self._data, len(matrix), class_names, name),
                from_logits=gives_logits(model, name),
                multi_label=matrix.ndim > 2,
            )
            end = f" of {name}" if name else ""
            columns[f"class{end}"] = true
            columns[f"predicted{end}"] = guessed
            columns[f"right{end}"] = [
                "yes" if a == b else "no"
                for a, b in zip(true, guessed, strict=True)
            ]
        if not columns:
            discard_points(self.folder, _BEFORE)
            return False
        self._write_points(_AFTER)
        # Of what is cached there have been no images yet.
        if not self._thumbnails and are_images(look_at_batch(self._data)[0]):
            for x in fetch_inputs(self._data, self._rows):
                self._add_thumbnails(x)
        write_projector(
            self.folder,
            (_BEFORE, _AFTER),
            columns,
            self._thumbnails or None,
            _SIDE,
        )
        return True

    def _write_points(self, name: str) -> None:
        data = find_cached(self._model, self._data)
        takes_pictures = data is self._data and not self._thumbnails
        points = []
        for x in fetch_inputs(data, self._rows):
            points.append(keras.ops.convert_to_numpy(self._embed(x)[0]))
            if takes_pictures:
                self._add_thumbnails(x)
        points = rotate_points(np.concatenate(points), _MOST_FEATURES)
        write_points(self.folder, name, points)

    def _add_thumbnails(self, x) -> None:
        if are_images(x):
            self._thumbnails += make_thumbnails(list(x), _SIDE)
