"""Pictures inside of pages: the very pixels come out again."""

import base64
import io

import numpy as np
from PIL import Image

from keras_transfer.board.inline_picture import encode_inline


def test_the_pixels_come_out_again():
    picture = np.random.default_rng(0).integers(0, 256, (5, 7, 3), "uint8")
    start, data = encode_inline(picture).split(",")
    assert start == "data:image/png;base64"
    read = np.asarray(Image.open(io.BytesIO(base64.b64decode(data))))
    np.testing.assert_array_equal(read, picture)
