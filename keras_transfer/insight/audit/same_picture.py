"""Whether two pictures are the same one, whole or in part."""

import numpy as np
from PIL import Image

# What may differ after another encoding or resizing, of 255: this much, and
# this share of the contrast that both have around the place.
_TOLERANCE = 30
_SHARE_OF_CONTRAST = 0.6
_MEAN_TOLERANCE = 12
_GRIDS = (8, 16, 32)

_COARSE, _FINE = 40, 96
_PART_GRID = 32
# How much of the whole's width a part may have.
_SHARES = np.geomspace(0.5, 1.0, 12)
_LEAST_CORRELATION = 0.9
_LEAST_COARSE_CORRELATION = 0.7
_LEAST_CONTRAST = 8.0

# Of left, top and width; growing on both sides keeps the middle.
_MOVES = np.array(
    [
        (1, 0, 0),
        (-1, 0, 0),
        (0, 1, 0),
        (0, -1, 0),
        (-0.5, -0.5, 1),
        (0.5, 0.5, -1),
        (0, 0, 1),
        (0, 0, -1),
    ]
)
_STEPS = (0.02, 0.01, 0.005, 0.0025)


def differ(
    first: np.ndarray,
    second: np.ndarray,
    shortest: int,
) -> float:
    """Measure by how much two pictures differ beyond what encoding does.

    They are compared in cells of a size that even the smaller one resolves.
    Edges come out differently after resizing, so that differences count in so
    far as they exceed the contrast that both pictures have around the cell.

    Args:
        first: A picture, `uint8` of shape `(side, side, 3)`, stretched to it,
            with a side that 32 divides.
        second: Another one.
        shortest: The shortest side of both files, in pixels.

    Returns:
        Below 1 for the same picture.
    """
    fitting = [grid for grid in _GRIDS if grid <= shortest / 3]
    grid = fitting[-1] if fitting else _GRIDS[0]
    a, b = (_average_cells(picture, grid) for picture in (first, second))
    return _excess(a, b)


def _excess(a, b) -> float:
    difference = np.abs(a - b)
    contrast = np.minimum(_local_contrast(a), _local_contrast(b))
    beyond = difference - _SHARE_OF_CONTRAST * contrast
    return float(
        max(beyond.max() / _TOLERANCE, difference.mean() / _MEAN_TOLERANCE)
    )


def _average_cells(picture, grid):
    cell = len(picture) // grid
    cells = picture.reshape(grid, cell, grid, cell, 3)
    return cells.mean(axis=(1, 3), dtype="float32")


def _local_contrast(cells):
    """Return the range of the values among each cell and its neighbours."""
    padded = np.pad(cells, ((1, 1), (1, 1), (0, 0)), mode="edge")
    rows, columns = cells.shape[:2]
    around = np.stack(
        [
            padded[i : i + rows, j : j + columns]
            for i in range(3)
            for j in range(3)
        ]
    )
    return around.max(axis=0) - around.min(axis=0)


def find_part(
    whole: np.ndarray,
    part: np.ndarray,
    whole_size: tuple[int, int],
    part_size: tuple[int, int],
) -> float:
    """Measure by how much a picture differs from a window of another one.

    The window is searched for by normalised cross-correlation (J. P. Lewis,
    1995, "Fast normalized cross-correlation"), at sizes from half of the width
    to all of it, and then placed more finely.

    Args:
        whole: A picture, `uint8` of shape `(side, side, 3)`, stretched to it.
        part: The picture that may have been cut out of it, the same.
        whole_size: Width and height of the file, for the proportions.
        part_size: The same of the part.

    Returns:
        As `differ`; infinity where there is no such window.
    """
    if min(whole.std(), part.std()) < _LEAST_CONTRAST:
        return np.inf
    wide, high = _fit(whole_size, _COARSE)
    ratio = part_size[1] / part_size[0]
    grey = Image.fromarray(whole).convert("L")
    image = _Windows(grey.resize((wide, high), Image.Resampling.BOX))
    grey = Image.fromarray(part).convert("L")
    best, start = 0.0, None
    for share in _SHARES:
        width = share * min(wide, high / ratio)
        size = round(width), round(width * ratio)
        if min(size) < 8:
            continue
        value, (left, top) = image.match(
            grey.resize(size, Image.Resampling.BOX)
        )
        if value > best:
            best, start = value, (left / wide, top / high, width / wide)
    if best < _LEAST_COARSE_CORRELATION:
        return np.inf
    return _place(whole, part, start, _fit(whole_size, _FINE), ratio)


def _fit(size, longest) -> tuple[int, int]:
    scale = longest / max(size)
    return tuple(max(8, round(side * scale)) for side in size)


class _Windows:
    """All windows of a grey picture, to compare smaller ones with."""

    def __init__(self, picture: Image.Image):
        values = np.asarray(picture, "float64")
        self.values = values - values.mean()
        self.shape = tuple(2 * side for side in values.shape)
        self.spectrum = np.fft.rfft2(self.values, self.shape)
        self.sums = self._accumulate(self.values)
        self.squares = self._accumulate(self.values**2)

    def _accumulate(self, values):
        return np.pad(values.cumsum(0).cumsum(1), ((1, 0), (1, 0)))

    def match(self, picture: Image.Image) -> tuple[float, tuple[int, int]]:
        """Return the highest correlation, and left and top of its window."""
        template = np.asarray(picture, "float64")
        template = template - template.mean()
        rows, columns = template.shape
        spectrum = np.conj(np.fft.rfft2(template, self.shape))
        product = np.fft.irfft2(self.spectrum * spectrum, self.shape)
        sums, squares = (
            table[rows:, columns:]
            - table[:-rows, columns:]
            - table[rows:, :-columns]
            + table[:-rows, :-columns]
            for table in (self.sums, self.squares)
        )
        spread = np.sqrt(np.maximum(squares - sums**2 / template.size, 0))
        # A window without contrast is like nothing.
        spread[spread < _LEAST_CONTRAST * template.size**0.5] = np.inf
        norm = max(np.sqrt((template**2).sum()), 1e-9)
        values = product[: len(sums), : sums.shape[1]] / (spread * norm)
        top, left = np.unravel_index(values.argmax(), values.shape)
        return float(values[top, left]), (left, top)


def _place(whole, part, start, size, ratio) -> float:
    wide, high = size
    image = Image.fromarray(whole).resize(size, Image.Resampling.BOX)
    grid = (_PART_GRID, _PART_GRID)
    target = np.asarray(
        Image.fromarray(part).resize(grid, Image.Resampling.BOX), "float32"
    )

    def cut(place):
        left, top, width = place * (wide, high, wide)
        box = (left, top, left + width, top + width * ratio)
        if min(left, top) < 0 or box[2] > wide or box[3] > high or width < 4:
            return None
        pixels = image.resize(grid, Image.Resampling.BILINEAR, box=box)
        return np.asarray(pixels, "float32")

    def score(place):
        window = cut(place)
        return -1.0 if window is None else _correlation(window, target)

    place = np.array(start)
    reached = score(place)
    for step in _STEPS:
        improved = True
        while improved:
            improved = False
            for move in _MOVES:
                value = score(place + step * move)
                if value > reached + 1e-6:
                    place, reached = place + step * move, value
                    improved = True
    if reached < _LEAST_CORRELATION:
        return np.inf
    return _excess(cut(place), target)


def _correlation(a, b) -> float:
    a, b = a - a.mean(axis=(0, 1)), b - b.mean(axis=(0, 1))
    norm = np.sqrt((a**2).sum() * (b**2).sum())
    return float((a * b).sum() / norm) if norm > 0 else 0.0
