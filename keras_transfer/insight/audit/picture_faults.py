"""Pictures that stand out by how little is on them, or by their shape."""

import numpy as np

from keras_transfer.insight.audit.finding import Finding
from keras_transfer.insight.audit.picture_table import PictureTable

# Of 255. Noise of a camera, or of an encoder, is below.
_BLANK = 3.0
_BLANK_SHARE = 0.999
# Sides below are too small for any pretrained network; or for this data set,
# compared with the usual side.
_LEAST_SIDE, _LEAST_SHARE = 24, 0.25
# How much longer for their width than usual, or the other way round.
_ODD_RATIO = 3.0


def find_picture_faults(table: PictureTable) -> list[Finding]:
    """List pictures that are blank, tiny, or of a shape unlike the others.

    Blank is what has one colour but for noise, on all or on 99.9 % of it. Tiny
    is a shorter side below 24 pixels, or below a quarter of the median. A shape
    is odd if height to width is three times that of the median picture, or a
    third.

    Args:
        table: The pictures.

    Returns:
        Findings, the gravest of each kind first.
    """
    rows = table.readable
    if not len(rows):
        return []
    found = [
        table.describe("blank", [row], "one colour")
        for row in rows
        if _is_blank(table.pictures[row])
    ]
    sizes = table.sizes[rows]
    sides = sizes.min(axis=1)
    least = max(_LEAST_SIDE, _LEAST_SHARE * np.median(sides))
    for i in np.argsort(sides, kind="stable"):
        if sides[i] < least:
            detail = f"{_size(sizes[i])}, usual: {np.median(sides):.0f}"
            score = 1 - sides[i] / least
            found.append(table.describe("tiny", [rows[i]], detail, score))
    ratios = np.log(sizes[:, 1] / sizes[:, 0])
    beyond = np.abs(ratios - np.median(ratios)) / np.log(_ODD_RATIO)
    for i in np.argsort(-beyond, kind="stable"):
        if beyond[i] >= 1:
            score = 1 - 1 / (1 + beyond[i])
            found.append(
                table.describe("odd_shape", [rows[i]], _size(sizes[i]), score)
            )
    return found


def _is_blank(picture) -> bool:
    values = picture.reshape(-1, 3).astype("int16")
    away = np.abs(values - np.median(values, axis=0)).max(axis=1)
    return bool((away <= _BLANK).mean() >= _BLANK_SHARE)


def _size(size) -> str:
    return f"{size[0]} x {size[1]}"
