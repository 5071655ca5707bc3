"""Reads one image file into RGB pixels of a fixed size."""

import functools
import operator
import os
import stat
import threading
import warnings
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from PIL import Image, ImageColor

# Decoding a file with more pixels than this is refused. Just below the size
# where Pillow itself starts to warn of a decompression bomb.
MAX_PIXELS = 89_000_000

# What is tried as an image. Pillow opens more than is safe here: its EPS
# plugin, for one, runs Ghostscript.
SUFFIXES = frozenset(
    ".jpg .jpeg .jpe .jfif .mpo .png .apng .gif .bmp .dib .webp .tif .tiff "
    ".ppm .pgm .pbm .pnm .jp2 .avif .heic .heif".split()
)
FORMATS = "JPEG MPO PNG GIF BMP DIB WEBP TIFF PPM JPEG2000 AVIF HEIF".split()

EXIF_ORIENTATION = 274
TIFF_BITS_PER_SAMPLE = 258
TIFF_PHOTOMETRIC = 262

# Raw modes of PNGs with 2 and 4 bits a pixel: the step between two greys.
GREY_STEPS = {"L;2": 85, "L;4": 17}

TRANSPOSES = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}

# Many threads decode at once; images above this many pixels take turns, so
# that memory is bounded by one large image and not by one a thread.
LARGE_PIXELS = 8_000_000
_large_image_turn = threading.Lock()


WORKERS = min(16, os.cpu_count() or 1)


class UnreadableImageError(ValueError):
    """A file that cannot be read as an image; the message says why."""


def parse_background(background: str | tuple[int, int, int]) -> tuple:
    """Turns a colour name, a hex code or an RGB tuple into an RGB tuple."""
    try:
        if isinstance(background, str):
            return ImageColor.getrgb(background)[:3]
        red, green, blue = (operator.index(value) for value in background)
        if 0 <= min(red, green, blue) and max(red, green, blue) <= 255:
            return red, green, blue
    except (TypeError, ValueError):
        pass
    raise ValueError(
        "`background` must be a colour name, a hex code, or a tuple of "
        "three integers between 0 and 255. "
        f"Received: background={background!r}"
    )


def read_image(
    path: str | os.PathLike,
    image_size: tuple[int, int],
    *,
    background: str | tuple[int, int, int] = "white",
    crop_to_aspect_ratio: bool = False,
    pad_to_aspect_ratio: bool = False,
    max_pixels: int = MAX_PIXELS,
) -> np.ndarray:
    """Reads an image file as RGB, upright, opaque, and resized.

    The first frame of an animation and the first page of a TIFF is read.
    Resizing is bilinear with antialiasing.

    Args:
        path: The image file.
        image_size: Tuple `(height, width)` of the result.
        background: The colour put behind transparent pixels and, with
            `pad_to_aspect_ratio`, beside the image. Defaults to `"white"`.
        crop_to_aspect_ratio: Whether to keep the aspect ratio by cutting off
            what is too long, evenly on both sides. Defaults to `False`.
        pad_to_aspect_ratio: Whether to keep the aspect ratio by adding
            `background`, evenly on both sides. Defaults to `False`.
        max_pixels: A file whose header claims more pixels is not decoded.
            Defaults to 89 million.

    Returns:
        A `uint8` array of shape `(height, width, 3)`.

    Raises:
        UnreadableImageError: If the file is missing, broken, truncated, too
            large, or no image. The message is the reason, without the path.
    """
    background = parse_background(background)
    crop, pad = crop_to_aspect_ratio, pad_to_aspect_ratio
    try:
        # Opening a named pipe would wait for ever.
        status = os.stat(path)
        if not stat.S_ISREG(status.st_mode):
            raise UnreadableImageError("not a regular file")
        if status.st_size == 0:
            raise UnreadableImageError("the file is empty")
        with Image.open(path, formats=_known_formats()) as image:
            _check_size(image, max_pixels)
            height, width = image_size
            # JPEGs are decoded at half, a quarter or an eighth of their size
            # where that still leaves twice the pixels asked for. The image
            # may yet be turned on its side, hence the longer side for both.
            longer = 2 * max(image_size)
            image.draft(None, (longer, longer))
            if image.width * image.height > LARGE_PIXELS:
                with _large_image_turn:
                    return _render(image, height, width, background, crop, pad)
            return _render(image, height, width, background, crop, pad)
    except UnreadableImageError:
        raise
    except Exception as error:
        # Pillow's plugins let all sorts of errors out of broken files.
        raise UnreadableImageError(_reason(path, error)) from error


def read_images(
    paths: Sequence[str],
    read: Callable[[str], np.ndarray],
    kept: np.ndarray,
) -> list[str]:
    """Reads files in parallel, keeps the first ones, and finds the broken.

    Args:
        paths: The image files.
        read: `read_image` with its arguments bound.
        kept: `uint8` array of shape `(n, height, width, 3)` that is filled
            with the first `n` images; the others are decoded and dropped.

    Returns:
        A list with the reason why each file is unreadable, `""` if it is not.
    """

    def read_one(index: int) -> str:
        try:
            pixels = read(paths[index])
        except UnreadableImageError as error:
            return str(error)
        if index < len(kept):
            kept[index] = pixels
        return ""

    # Pillow's warnings (decompression bombs, odd metadata) are replaced by
    # our reasons. The filter is set here, around all threads, because it is
    # global: set in each thread it could be restored in the wrong order.
    with warnings.catch_warnings(), ThreadPoolExecutor(WORKERS) as pool:
        warnings.filterwarnings("ignore", module=r"PIL\b")
        return list(pool.map(read_one, range(len(paths))))


@functools.cache
def _known_formats() -> tuple[str, ...]:
    Image.init()
    return tuple(name for name in FORMATS if name in Image.OPEN)


def _check_size(image: Image.Image, max_pixels: int) -> None:
    if image.width * image.height > max_pixels:
        raise UnreadableImageError(
            f"{image.width} x {image.height} pixels, more than "
            f"max_pixels={max_pixels}"
        )


def _reason(path: str | os.PathLike, error: Exception) -> str:
    if isinstance(error, FileNotFoundError):
        return "no such file, or a broken link"
    if isinstance(error, Image.UnidentifiedImageError):
        if os.fspath(path).lower().endswith((".heic", ".heif")):
            return "HEIC needs `pillow_heif.register_heif_opener()` first"
        return "not an image, or of a kind that Pillow does not know"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return str(error) or type(error).__name__


def _render(
    image: Image.Image,
    height: int,
    width: int,
    background: tuple,
    crop: bool,
    pad: bool,
) -> np.ndarray:
    if image.format == "PNG" and "transparency" in image.info:
        # Pillow spreads greys of few bits over 0 to 255, but not the
        # transparent one that the header names.
        step = GREY_STEPS.get(image.tile[0][3])
        if step:
            image.info["transparency"] *= step
    image.load()
    orientation = _orientation(image)
    image = _to_8_bits(image)
    # Premultiplied alpha: what hides under transparent pixels must not
    # bleed into their neighbours when resizing.
    if image.mode == "La":
        image = image.convert("LA")
    if image.mode != "RGBa":
        if image.has_transparency_data:
            image = image.convert("RGBA").convert("RGBa")
        else:
            image = image.convert("RGB")
    if orientation in TRANSPOSES:
        image = image.transpose(TRANSPOSES[orientation])

    box = None
    fitted = width, height
    if crop:
        box = _centred_box(image.width, image.height, width / height)
    elif pad:
        scale = min(width / image.width, height / image.height)
        fitted = (
            max(1, round(image.width * scale)),
            max(1, round(image.height * scale)),
        )
    image = image.resize(
        fitted, Image.Resampling.BILINEAR, box=box, reducing_gap=3.0
    )
    pixels = np.array(image)
    if image.mode == "RGBa":
        colour, alpha = pixels[..., :3], pixels[..., 3:].astype("float32")
        behind = np.asarray(background) * (1 - alpha / 255)
        pixels = np.clip(np.rint(colour + behind), 0, 255).astype("uint8")
    if fitted == (width, height):
        return pixels
    result = np.empty((height, width, 3), "uint8")
    result[:] = background
    top, left = (height - fitted[1]) // 2, (width - fitted[0]) // 2
    result[top : top + fitted[1], left : left + fitted[0]] = pixels
    return result


def _orientation(image: Image.Image) -> int | None:
    try:
        return image.getexif().get(EXIF_ORIENTATION)
    except Exception:
        return None  # A camera's odd metadata does not spoil its pixels.


def _centred_box(width: int, height: int, ratio: float) -> tuple:
    inner_width = min(width, height * ratio)
    inner_height = min(height, width / ratio)
    left, top = (width - inner_width) / 2, (height - inner_height) / 2
    return left, top, left + inner_width, top + inner_height


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scales 16-bit greyscale down; `Image.convert` would clip it at 255."""
    if image.mode == "F" or (
        image.mode == "I" and image.format not in ("PNG", "PPM")
    ):
        raise UnreadableImageError(
            f"pixels of mode {image.mode!r} have no known white: "
            "convert to 8 or 16 bits a channel"
        )
    if not image.mode.startswith("I"):
        return image
    top, inverted = 65535, False
    if image.format == "TIFF":
        top = 2 ** image.tag_v2.get(TIFF_BITS_PER_SAMPLE, (16,))[0] - 1
        inverted = image.tag_v2.get(TIFF_PHOTOMETRIC) == 0
    table = np.rint(np.arange(65536) * (255 / top)).clip(0, 255)
    table = (255 - table if inverted else table).astype("uint8")
    values = np.asarray(image)
    grey = Image.fromarray(table[values])
    if "transparency" not in image.info:
        return grey
    alpha = np.where(values == image.info["transparency"], 0, 255)
    return Image.merge("LA", (grey, Image.fromarray(alpha.astype("uint8"))))
