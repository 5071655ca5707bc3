import numpy as np
import pytest
import tensorflow as tf
from sklearn.datasets import load_sample_image
from tensorboard.backend.event_processing.event_accumulator import (
    EventAccumulator,
)
from tensorboard.util import img_mime_type_detector

from keras_transfer.board.write_picture import write_picture


def write(folder, picture):
    writer = tf.summary.create_file_writer(str(folder))
    with writer.as_default():
        write_picture("picture", picture, step=7)
    writer.close()
    events = EventAccumulator(str(folder), {"tensors": 0}).Reload()
    assert (
        events.summary_metadata["picture"].plugin_data.plugin_name == "images"
    )
    [event] = events.Tensors("picture")
    assert event.step == 7
    width, height, encoded = tf.make_ndarray(event.tensor_proto)
    assert (int(height), int(width)) == picture.shape[:2]
    return encoded, tf.io.decode_image(encoded).numpy()


def test_a_drawing_is_kept_to_the_pixel(tmp_path):
    picture = np.full((600, 400, 3), 255, "uint8")
    picture[100:200, 50:60] = 0, 114, 178
    encoded, shown = write(tmp_path, picture)
    assert img_mime_type_detector.from_bytes(encoded) == "image/png"
    np.testing.assert_array_equal(shown, picture)


def test_a_large_drawing_is_a_jpeg_only_where_that_is_smaller(tmp_path):
    # Four colours by chance: a few bits a pixel, and no shades for a JPEG.
    random = np.random.default_rng(0).integers(0, 4, (1000, 1000, 1))
    picture = np.repeat(random * 85, 3, axis=2).astype("uint8")
    encoded, shown = write(tmp_path, picture)
    assert len(encoded) > 150_000
    assert img_mime_type_detector.from_bytes(encoded) == "image/png"
    np.testing.assert_array_equal(shown, picture)


def test_a_page_of_photographs_is_small(tmp_path):
    picture = load_sample_image("china.jpg")
    encoded, shown = write(tmp_path, picture)
    assert img_mime_type_detector.from_bytes(encoded) == "image/jpeg"
    assert len(encoded) < len(tf.io.encode_png(picture).numpy()) / 2
    error = np.abs(shown.astype(float) - picture).mean()
    assert error == pytest.approx(0, abs=3)
