"""Pictures inside a page of HTML."""

import base64
import io

import numpy as np


def encode_inline(picture: np.ndarray) -> str:
    """Turn a picture into an address that holds all of it.

    Example:

    ```python
    f'<img src="{encode_inline(picture)}" alt="…">'
    ```

    Args:
        picture: A `uint8` array `(height, width, 3)`.

    Returns:
        A `data:` address of a PNG, the same pixels.
    """
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(picture).save(file, "png", optimize=True)
    encoded = base64.b64encode(file.getvalue()).decode("ascii")
    return f"data:image/png;base64,{encoded}"
