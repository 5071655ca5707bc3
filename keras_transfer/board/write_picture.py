"""Pictures in event files, as small as they can be read."""

import numpy as np
import tensorflow as tf
from tensorboard.plugins.image import metadata

_LARGE = 150_000  # bytes
_QUALITY = 90


def write_picture(tag: str, picture: np.ndarray, step: int) -> None:
    """Write a picture to the summary writer that is the default one.

    `tf.summary.image` makes a PNG of anything, of which a page of photographs
    has a megabyte. What is large becomes a JPEG where that is smaller.

    Args:
        tag: What it is called.
        picture: A `uint8` array `(height, width, 3)`.
        step: Number of the epoch.
    """
    encoded = tf.io.encode_png(picture).numpy()
    if len(encoded) > _LARGE:
        # Letters stay sharp where colours are kept for each pixel.
        options = {"quality": _QUALITY, "chroma_downsampling": False}
        smaller = tf.io.encode_jpeg(picture, **options).numpy()
        encoded = min(encoded, smaller, key=len)
    height, width = picture.shape[:2]
    kind = metadata.create_summary_metadata(display_name=None, description=None)
    tf.summary.write(
        tag,
        tf.constant([str(width), str(height), encoded]),
        step=step,
        metadata=tf.compat.v1.SummaryMetadata.FromString(
            kind.SerializeToString()
        ),
    )
