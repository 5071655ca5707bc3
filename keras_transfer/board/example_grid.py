"""Examples that a classifier gets wrong, or cannot decide."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from keras_transfer.board.confidences import read_guesses
from keras_transfer.board.drawing import (
    RIGHT,
    WRONG,
    draw_box,
    fit_text,
    new_canvas,
    quiet_glyphs,
    render,
    text_size,
    write,
)
from keras_transfer.board.thumbnails import make_thumbnails

_MARGIN, _GAP, _FRAME = 20, 12, 4
_WIDTH = 720
_LEAST_WIDTH = 480  # what is narrower, TensorBoard may enlarge
_COLUMNS = 3
_LARGEST = 330  # thumbnail, in pixels
_TOP = 62
_CAPTION = 64
_LINE = 26
# TensorBoard shows pictures half as wide, until they are clicked on.
_TITLE_TEXT, _TEXT = 26, 21


class Caption(NamedTuple):
    """What is written below an example."""

    true: str
    predicted: str
    confidence: float
    is_right: bool


def choose_examples(
    outputs: np.ndarray,
    labels: np.ndarray,
    count: int = 12,
    *,
    from_logits: bool = False,
) -> tuple[np.ndarray, np.ndarray]:
    """Choose the examples that tell most about a classifier.

    Of equals, the first come first.

    Args:
        outputs: As for `read_guesses`.
        labels: As for `read_guesses`.
        count: How many of each kind, at most.
        from_logits: As for `read_guesses`.

    Returns:
        Two arrays of indices: the mistakes, the most confident first, and the
        most uncertain examples, right or wrong, the closest call first.

    Raises:
        ValueError: As `read_guesses`.
    """
    guesses = read_guesses(outputs, labels, from_logits=from_logits)
    wrong = np.flatnonzero(~guesses.is_right)
    order = np.argsort(-guesses.confidences[wrong], kind="stable")
    uncertain = np.argsort(guesses.margins, kind="stable")
    return wrong[order][:count], uncertain[:count]


def caption_examples(
    outputs: np.ndarray,
    labels: np.ndarray,
    class_names: Sequence[str],
    indices: Sequence[int],
    *,
    from_logits: bool = False,
) -> list[Caption]:
    """Describe chosen examples for `draw_example_grid`.

    Args:
        outputs: As for `read_guesses`, of all examples.
        labels: As for `read_guesses`, of all examples.
        class_names: A name for each class.
        indices: Which examples to describe.
        from_logits: As for `read_guesses`.

    Returns:
        A caption for each index.

    Raises:
        ValueError: As `read_guesses`.
    """
    guesses = read_guesses(outputs, labels, from_logits=from_logits)
    return [
        Caption(
            str(class_names[guesses.labels[index]]),
            str(class_names[guesses.predictions[index]]),
            float(guesses.confidences[index]),
            bool(guesses.is_right[index]),
        )
        for index in indices
    ]


def draw_example_grid(
    images: Sequence[np.ndarray], captions: Sequence[Caption], title: str
) -> np.ndarray:
    """Draw examples in rows of three, with what they are and are taken for.

    Below each stands `true → predicted  97 %` on two lines, with a tick and a
    blue frame if that is right, a cross and an orange one if it is wrong.

    Args:
        images: As for `make_thumbnails`.
        captions: A `Caption` for each image, or such a tuple.
        title: What the picture is headed with.

    Returns:
        A picture: a `uint8` array `(height, width, 3)`. Without images it
        says so.

    Raises:
        ValueError: If there is not one caption for each image, or an image
            is of another shape.
    """
    columns = min(max(len(images), 1), _COLUMNS)
    thumbnails = make_thumbnails(images, thumbnail_side(columns))
    return draw_thumbnails(thumbnails, captions, title, columns)


def thumbnail_side(columns: int) -> int:
    """Return how many pixels wide and high a thumbnail of a grid may be."""
    room = _WIDTH - 2 * _MARGIN - (columns - 1) * _GAP
    return min(room // columns, _LARGEST) - 2 * _FRAME


@quiet_glyphs()
def draw_thumbnails(
    thumbnails: Sequence[np.ndarray],
    captions: Sequence[Caption],
    title: str,
    columns: int,
) -> np.ndarray:
    """Draw what `draw_example_grid` does, with pictures as they are.

    Args:
        thumbnails: `uint8` arrays `(height, width, 3)`, no larger than
            `thumbnail_side(columns)`.
        captions: As for `draw_example_grid`.
        title: As for `draw_example_grid`.
        columns: How many stand in a row.

    Returns:
        As `draw_example_grid`.

    Raises:
        ValueError: If there is not one caption for each thumbnail.
    """
    if len(thumbnails) != len(captions):
        raise ValueError(
            "There must be a caption for each image. Received: "
            f"{len(thumbnails)} images, {len(captions)} captions"
        )
    side = thumbnail_side(columns) + 2 * _FRAME
    tallest = max([len(picture) for picture in thumbnails], default=0)
    row_height = tallest + 2 * _FRAME + _CAPTION + _GAP
    rows = -(-len(thumbnails) // columns)

    canvas = new_canvas()
    title = fit_text(canvas, title, _TITLE_TEXT, _WIDTH - 2 * _MARGIN)
    title_width = text_size(canvas, [title], _TITLE_TEXT)[0]
    width = columns * (side + _GAP) - _GAP
    width = max(2 * _MARGIN + max(width, title_width), _LEAST_WIDTH)
    canvas = new_canvas(width, _TOP + max(rows * row_height, 40))
    write(canvas, _MARGIN, 30, title, _TITLE_TEXT)
    if not len(thumbnails):
        write(canvas, _MARGIN, _TOP + 12, "There are none.", _TEXT)
    for number, (thumbnail, caption) in enumerate(
        zip(thumbnails, captions, strict=True)
    ):
        row, column = divmod(number, columns)
        x = _MARGIN + column * (side + _GAP)
        y = _TOP + row * row_height
        _draw_example(canvas, x, y, side, tallest, thumbnail, Caption(*caption))
    return render(canvas)


def _draw_example(canvas, x, y, side, tallest, thumbnail, caption) -> None:
    color = RIGHT if caption.is_right else WRONG
    height, width = thumbnail.shape[:2]
    # Whole pixels, or the thumbnail would be blurred.
    inner_x, inner_y = x + _FRAME, y + _FRAME + tallest - height
    draw_box(
        canvas,
        inner_x - _FRAME,
        inner_y - _FRAME,
        width + 2 * _FRAME,
        height + 2 * _FRAME,
        color,
    )
    bottom = round(canvas.figure.bbox.height) - inner_y - height
    canvas.figure.figimage(
        thumbnail, inner_x, bottom, origin="upper", resize=False, zorder=3
    )
    below = y + tallest + 2 * _FRAME
    arrow = text_size(canvas, [" →"], _TEXT)[0]
    true = fit_text(canvas, caption.true, _TEXT, side - arrow)
    write(canvas, x, below + 18, f"{true} →", _TEXT)
    sign = "✓" if caption.is_right else "✗"
    share = _percent(caption.confidence)
    rest = text_size(canvas, [f"{sign}   {share}"], _TEXT)[0]
    predicted = fit_text(canvas, caption.predicted, _TEXT, side - rest)
    write(
        canvas,
        x,
        below + 18 + _LINE,
        f"{sign} {predicted}  {share}",
        _TEXT,
        color=color,
    )


def _percent(share: float) -> str:
    # Nothing that is not quite certain is called 100 %.
    if 0.995 <= share < 1:
        return ">99 %"
    return "–" if np.isnan(share) else f"{share:.0%}".replace("%", " %")
