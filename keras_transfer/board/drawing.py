"""Shapes and text for pictures, in pixels from the upper left corner.

One palette and one style for all of them. Nothing is left to the user's
`rcParams`, and nothing global changes.
"""

import bisect
import contextlib
import warnings

import numpy as np

DPI = 100
INK, FAINT, LINES = "#222222", "#666666", "#e0e0e0"
# From Okabe and Ito's palette. Blue and orange are told apart in every kind
# of colour blindness.
RIGHT, WRONG, THIRD = "#0072B2", "#D55E00", "#56B4E9"
_NAME_LENGTH = 26
# For names that DejaVu Sans, which comes with matplotlib, has no glyphs for.
_FALLBACK_FONTS = (
    "Noto Sans CJK SC",
    "Noto Sans CJK JP",
    "WenQuanYi Zen Hei",
    "PingFang SC",
    "Hiragino Sans",
    "Microsoft YaHei",
    "Malgun Gothic",
    "Noto Sans Arabic",
    "Noto Sans Devanagari",
    "Noto Sans Thai",
    "Segoe UI Symbol",
    "Arial Unicode MS",
)


def new_canvas(width: float = 1, height: float = 1):
    """Make a white canvas, of any size if it only measures text so far.

    Args:
        width: Its width in pixels.
        height: Its height in pixels.

    Returns:
        A matplotlib canvas with an empty figure.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    size = (round(width) / DPI, round(height) / DPI)
    figure = Figure(size, dpi=DPI, facecolor="white", layout="none")
    return FigureCanvasAgg(figure)


def render(canvas) -> np.ndarray:
    """Turn a canvas into a picture.

    Args:
        canvas: From `new_canvas`.

    Returns:
        A `uint8` array `(height, width, 3)`.
    """
    canvas.draw()
    return np.asarray(canvas.buffer_rgba())[..., :3].copy()


def render_figure(figure) -> np.ndarray:
    """Turn a figure of matplotlib into a picture, and leave it as it is.

    Args:
        figure: A `matplotlib.figure.Figure`.

    Returns:
        As `render`.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    shown_on = figure.canvas
    try:
        return render(FigureCanvasAgg(figure))
    finally:
        figure.set_canvas(shown_on)


@contextlib.contextmanager
def quiet_glyphs():
    """Leave out the warnings that a name has signs no font can draw."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="Glyph .* missing from")
        yield


def draw_box(canvas, x, y, width, height, color) -> None:
    """Draw a rectangle over what is drawn so far.

    Args:
        canvas: From `new_canvas`.
        x: Its left side.
        y: Its upper side.
        width: Its width.
        height: Its height.
        color: What fills it.
    """
    from matplotlib.patches import Rectangle

    box = Rectangle(
        (x, y),
        width,
        height,
        facecolor=color,
        edgecolor="none",
        linewidth=0,
        zorder=1,
        transform=_from_upper_left(canvas),
    )
    canvas.figure.add_artist(box)


def draw_line(canvas, xs, ys, color=LINES, width=1, dashed=False) -> None:
    """Draw a line from point to point, over what is drawn so far.

    Args:
        canvas: From `new_canvas`.
        xs: Where the points are, from the left.
        ys: Where the points are, from above.
        color: Its colour.
        width: Its width in pixels.
        dashed: Whether it has gaps.
    """
    from matplotlib.lines import Line2D

    line = Line2D(
        xs,
        ys,
        color=color,
        linewidth=points(width),
        linestyle=(0, (4, 3)) if dashed else "-",
        marker="None",
        zorder=1,
        transform=_from_upper_left(canvas),
    )
    canvas.figure.add_artist(line)


def write(canvas, x, y, text, pixels, *, align="left", **style) -> None:
    """Write one line of text.

    Args:
        canvas: From `new_canvas`.
        x: Where it starts, ends or has its middle, as `align` says.
        y: The middle of its height.
        text: The text.
        pixels: Size of its letters.
        align: `"left"`, `"right"` or `"center"`.
        **style: What differs from `text_style`.
    """
    canvas.figure.text(
        x,
        y,
        text,
        ha=align,
        va=style.pop("va", "center_baseline"),
        fontsize=points(pixels),
        transform=_from_upper_left(canvas),
        **{**text_style(), **style},
    )


def text_style() -> dict:
    """Return what all text has in common, size and place apart."""
    return {
        "family": _font_families(),
        "color": INK,
        "usetex": False,
        "weight": "normal",
        "style": "normal",
        "variant": "normal",
        "stretch": "normal",
        "parse_math": False,
    }


def text_size(canvas, texts, pixels: float) -> tuple[float, float]:
    """Return the largest width and height of some texts, in pixels."""
    from matplotlib.font_manager import FontProperties

    style = text_style()
    keys = ("family", "style", "variant", "weight", "stretch")
    font = FontProperties(
        **{key: style[key] for key in keys}, size=points(pixels)
    )
    measure = canvas.get_renderer().get_text_width_height_descent
    sizes = [measure(text, font, ismath=False) for text in texts]
    return max(size[0] for size in sizes), max(size[1] for size in sizes)


def shorten(name, length: int = _NAME_LENGTH) -> str:
    """Cut a name to a number of letters, and write it on one line."""
    name = " ".join(str(name).split())
    if len(name) <= length:
        return name
    return name[: length - 1].rstrip() + "…"


def fit_text(canvas, name, pixels: float, width: float) -> str:
    """Cut a name so that it is no wider than there is room.

    Args:
        canvas: From `new_canvas`.
        name: The name.
        pixels: Size of its letters.
        width: How wide it may be.

    Returns:
        The name, or its beginning and an ellipsis.
    """
    # No letter that is drawn is narrower than an eighth of its size.
    name = shorten(name, max(1, int(8 * width / pixels)))
    if text_size(canvas, [name], pixels)[0] <= width:
        return name
    length = bisect.bisect(
        range(1, len(name)),
        width,
        key=lambda n: text_size(canvas, [shorten(name, n)], pixels)[0],
    )
    return shorten(name, max(length, 1))


def points(pixels: float) -> float:
    """Convert pixels to the unit of matplotlib's fonts and lines."""
    return 72 * pixels / DPI


def _from_upper_left(canvas):
    from matplotlib.transforms import Affine2D

    return Affine2D().scale(1, -1).translate(0, canvas.figure.bbox.height)


def _font_families() -> list[str]:
    from matplotlib.font_manager import fontManager

    installed = set(fontManager.get_font_names())
    return ["DejaVu Sans", *(f for f in _FALLBACK_FONTS if f in installed)]
