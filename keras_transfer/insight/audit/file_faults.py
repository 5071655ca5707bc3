"""What is wrong with a file, before one looks at the picture in it."""

import dataclasses
import functools
import hashlib
import io
import os
import warnings

from PIL import Image

from keras_transfer.data import image_decoding
from keras_transfer.data.image_decoding import UnreadableImageError
from keras_transfer.insight.audit.finding import Finding

# Two names of one thing.
_OTHER_NAMES = {"MPO": "JPEG", "DIB": "BMP"}
_SUFFIXES = {
    "JPEG": ".jpg .jpeg .jpe .jfif .mpo",
    "PNG": ".png .apng",
    "GIF": ".gif",
    "BMP": ".bmp .dib",
    "WEBP": ".webp",
    "TIFF": ".tif .tiff",
    "PPM": ".ppm .pgm .pbm .pnm",
    "JPEG2000": ".jp2",
    "AVIF": ".avif",
    "HEIF": ".heic .heif",
}
_FORMAT_OF_SUFFIX = {
    suffix: name for name, all_ in _SUFFIXES.items() for suffix in all_.split()
}
_END_OF_JPEG, _SCAN_OF_JPEG = b"\xff\xd9", b"\xff\xda"


@dataclasses.dataclass(frozen=True)
class FileFacts:
    """What a file says about itself.

    Attributes:
        format: Pillow's name of the format, `""` where it knows none.
        size: Width and height of the picture, upright; `(0, 0)` without one.
        digest: SHA-256 of the bytes.
        fault: Why it counts as damaged though it may be decoded; or `""`.
    """

    format: str
    size: tuple[int, int]
    digest: bytes
    fault: str = ""


def read_facts(path: str | os.PathLike) -> FileFacts:
    """Read what a file says about itself, without decoding the picture.

    Args:
        path: A file.

    Raises:
        UnreadableImageError: If there is no file to read.
    """
    try:
        if not os.path.isfile(path):
            raise UnreadableImageError("no such file, or a broken link")
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise UnreadableImageError(error.strerror or str(error)) from error
    digest = hashlib.sha256(content).digest()
    try:
        with Image.open(io.BytesIO(content), formats=_formats()) as image:
            size = image.size
            if image.getexif().get(image_decoding.EXIF_ORIENTATION, 1) >= 5:
                size = size[::-1]
            name = image.format or ""
        return FileFacts(name, size, digest, _find_damage(name, content))
    except Exception:
        # Pillow's plugins let all sorts of errors out; the decoder, which
        # comes next, has a reason for each.
        return FileFacts("", (0, 0), digest)


@functools.cache
def _formats() -> tuple[str, ...]:
    Image.init()
    return tuple(n for n in image_decoding.FORMATS if n in Image.OPEN)


def _find_damage(name, content) -> str:
    """Find damage that decoders pass over."""
    if name == "JPEG":
        if content.rfind(_END_OF_JPEG) < content.rfind(_SCAN_OF_JPEG):
            return "truncated: the end of the JPEG is missing"
    if name == "PNG":
        try:
            with Image.open(io.BytesIO(content), formats=["PNG"]) as image:
                image.verify()
        except Exception as error:
            return f"damaged PNG: {error}"
    return ""


def find_wrong_name(path: str, image_format: str) -> str:
    """Say how the content of a file contradicts its suffix, or `""`."""
    suffix = os.path.splitext(path)[1].lower()
    named = _FORMAT_OF_SUFFIX.get(suffix)
    if named is None or not image_format:
        return ""
    if _OTHER_NAMES.get(image_format, image_format) == named:
        return ""
    return f"a {image_format} file, but named {suffix}"


def find_stray_picture(path: str) -> str:
    """Say that a file is a picture though its suffix is none, or `""`."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            with Image.open(path, formats=_formats()) as image:
                return f"a {image.format} file, not loaded because of its name"
    except Exception:
        return ""


def find_file_faults(table) -> list[Finding]:
    """List the files of a `PictureTable` that are unreadable or misnamed."""
    found = []
    for i, path in enumerate(table.paths):
        if table.reasons[i]:
            found.append(table.describe("unreadable", [i], table.reasons[i]))
        elif detail := find_wrong_name(path, table.formats[i]):
            found.append(table.describe("wrongly_named", [i], detail))
    for path, name, split, detail in table.strays:
        found.append(
            Finding("wrongly_named", (path,), (name,), (split,), detail)
        )
    return found
