"""Each kind of file must give the pixels a person would see."""

import os
import struct
import warnings
import zlib

import numpy as np
import pytest
from PIL import Image, ImageFile

from keras_transfer.data import image_decoding
from keras_transfer.data.image_decoding import (
    UnreadableImageError,
    parse_background,
    read_image,
    read_images,
)

RNG = np.random.default_rng(0)
RGB = RNG.integers(0, 256, (20, 30, 3), dtype="uint8")
GREY = RGB[..., 0]


def _chunk(kind, data):
    crc = zlib.crc32(kind + data)
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", crc)


def _write_png(path, width, height, bits, colour, rows, transparent=b""):
    """A PNG by hand: what Pillow cannot write, and huge ones row by row."""
    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    packer = zlib.compressobj(1)
    packed = b"".join(packer.compress(b"\0" + row) for row in rows)
    with open(path, "wb") as file:
        file.write(b"\x89PNG\r\n\x1a\n" + _chunk(b"IHDR", header))
        if transparent:
            file.write(_chunk(b"tRNS", transparent))
        file.write(_chunk(b"IDAT", packed + packer.flush()))
        file.write(_chunk(b"IEND", b""))


def _save(image, path, **options):
    if isinstance(image, np.ndarray):
        image = Image.fromarray(image)
    image.save(path, **options)
    return path


def _blend(rgba, background):
    alpha = rgba[..., 3:] / 255.0
    return rgba[..., :3] * alpha + np.array(background) * (1 - alpha)


@pytest.mark.parametrize("suffix", ["png", "bmp", "tif", "ppm", "gif"])
def test_lossless_formats_are_read_exactly(tmp_path, suffix):
    pixels = RGB if suffix != "gif" else RGB // 128 * 255  # 8 colours
    path = _save(pixels, tmp_path / f"a b é 图.{suffix}")
    np.testing.assert_array_equal(read_image(path, (20, 30)), pixels)


def test_webp_jpeg_and_a_wrong_suffix(tmp_path):
    webp = _save(RGB, tmp_path / "a.webp", lossless=True)
    np.testing.assert_array_equal(read_image(webp, (20, 30)), RGB)
    misnamed = tmp_path / "a.jpg"
    os.rename(webp, misnamed)
    np.testing.assert_array_equal(read_image(misnamed, (20, 30)), RGB)
    smooth = np.full((16, 16, 3), (200, 100, 50), "uint8")
    jpeg = _save(smooth, tmp_path / "b.jpg", quality=95)
    np.testing.assert_allclose(read_image(jpeg, (16, 16)), smooth, atol=3)


def test_greyscale_becomes_three_equal_channels(tmp_path):
    pixels = read_image(_save(GREY, tmp_path / "a.png"), (20, 30))
    assert pixels.dtype == np.uint8
    np.testing.assert_array_equal(pixels, np.stack([GREY] * 3, -1))


@pytest.mark.parametrize(
    "background", ["white", "#ff8000", (0, 10, 250)], ids=str
)
def test_rgba_is_blended_with_the_background(tmp_path, background):
    rgba = RNG.integers(0, 256, (20, 30, 4), dtype="uint8")
    rgba[0, :, 3], rgba[1, :, 3] = 0, 255
    path = _save(rgba, tmp_path / "a.png")
    pixels = read_image(path, (20, 30), background=background)
    colour = {"white": (255,) * 3, "#ff8000": (255, 128, 0)}.get(
        background, background
    )
    np.testing.assert_allclose(pixels, _blend(rgba, colour), atol=1)
    np.testing.assert_array_equal(pixels[1], rgba[1, :, :3])
    np.testing.assert_array_equal(pixels[0], np.tile(colour, (30, 1)))


def test_la_is_blended_with_white(tmp_path):
    alpha = RGB[..., 1]
    image = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])
    pixels = read_image(_save(image, tmp_path / "a.png"), (20, 30))
    rgba = np.stack([GREY, GREY, GREY, alpha], -1)
    np.testing.assert_allclose(pixels, _blend(rgba, (255,) * 3), atol=1)


@pytest.mark.parametrize("suffix", ["png", "gif"])
def test_palette_with_a_transparent_entry(tmp_path, suffix):
    image = Image.new("P", (8, 4))
    image.putpalette([0, 0, 0, 255, 0, 0, 0, 0, 255])
    image.paste(1, (0, 0, 4, 4))
    image.paste(2, (4, 0, 8, 2))
    path = _save(image, tmp_path / f"a.{suffix}", transparency=0)
    pixels = read_image(path, (4, 8))
    assert pixels[0, 0].tolist() == [255, 0, 0]
    assert pixels[0, 7].tolist() == [0, 0, 255]
    assert pixels[3, 7].tolist() == [255, 255, 255]


def test_palette_with_an_alpha_for_each_entry(tmp_path):
    image = Image.new("P", (2, 1))
    image.putpalette([0, 0, 0, 200, 100, 0])
    image.putpixel((1, 0), 1)
    path = _save(image, tmp_path / "a.png", transparency=bytes([255, 51]))
    pixels = read_image(path, (1, 2))
    np.testing.assert_allclose(pixels[0], [[0, 0, 0], [244, 224, 204]], atol=1)


@pytest.mark.parametrize("bits, step", [(1, 255), (2, 85), (4, 17), (8, 1)])
def test_greyscale_with_one_transparent_grey(tmp_path, bits, step):
    packed = {1: 0b01000000, 2: 0b00010000, 4: 0b00000001, 8: 0}[bits]
    row = bytes([packed, 1])[: 2 if bits == 8 else 1]
    path = tmp_path / "a.png"
    _write_png(path, 2, 1, bits, 0, [row], struct.pack(">H", 1))
    pixels = read_image(path, (1, 2), background=(9, 8, 7))
    assert pixels[0].tolist() == [[0, 0, 0], [9, 8, 7]]
    _write_png(path, 2, 1, bits, 0, [row])
    assert read_image(path, (1, 2))[0].tolist() == [[0] * 3, [step] * 3]


def test_hidden_colours_do_not_bleed_when_resizing(tmp_path):
    rgba = np.zeros((64, 64, 4), "uint8")
    rgba[:, :32] = (255, 0, 0, 255)
    rgba[:, 32:] = (0, 255, 0, 0)  # green, but nobody sees it
    pixels = read_image(_save(rgba, tmp_path / "a.png"), (9, 9))
    np.testing.assert_array_equal(pixels[..., 1], pixels[..., 2])


SIXTEEN = np.array([[0, 1, 256, 257, 1000, 32768, 65000, 65535]], "uint16")


@pytest.mark.parametrize("suffix", ["png", "tif", "pgm"])
def test_16_bit_greyscale_is_scaled_and_not_clipped(tmp_path, suffix):
    path = tmp_path / f"a.{suffix}"
    if suffix == "pgm":
        path.write_bytes(b"P5 8 1 65535\n" + SIXTEEN.astype(">u2").tobytes())
    else:
        _save(SIXTEEN, path)
    pixels = read_image(path, (1, 8))
    assert pixels[0, :, 0].tolist() == np.rint(SIXTEEN / 257)[0].tolist()


def _tiff(data, width, bits, photometric, order):
    entries = [
        (256, 3, width),
        (257, 3, 1),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, 1),
        (278, 3, 1),
        (279, 4, len(data)),
    ]
    table = struct.pack(order + "H", len(entries))
    for tag, kind, value in entries:
        packed = struct.pack(order + ("H" if kind == 3 else "I"), value)
        table += struct.pack(order + "HHI", tag, kind, 1) + packed.ljust(
            4, b"\0"
        )
    mark = b"II*\0" if order == "<" else b"MM\0*"
    offset = struct.pack(order + "I", 8 + len(data))
    return mark + offset + data + table + bytes(4)


def test_tiff_byte_order_inversion_and_12_bits(tmp_path):
    def row(*args):
        path = tmp_path / "a.tif"
        path.write_bytes(_tiff(*args))
        return read_image(path, (1, args[1]))[0, :, 0].tolist()

    expected = np.rint(SIXTEEN / 257)[0].astype(int)
    big, little = SIXTEEN.astype(">u2"), SIXTEEN.astype("<u2")
    assert row(big.tobytes(), 8, 16, 1, ">") == expected.tolist()
    assert row(little.tobytes(), 8, 16, 1, "<") == expected.tolist()
    assert row(little.tobytes(), 8, 16, 0, "<") == (255 - expected).tolist()
    assert row(bytes([0x00, 0x0F, 0xFF]), 2, 12, 1, "<") == [0, 255]


def test_16_bit_colour_and_transparent_grey(tmp_path):
    values = np.array([65535, 0, 32896, 1028, 2056, 4112], ">u2")
    path = tmp_path / "a.png"
    _write_png(path, 2, 1, 16, 2, [values.tobytes()])
    expected = np.rint(values.astype(float) / 257).reshape(2, 3)
    np.testing.assert_allclose(read_image(path, (1, 2))[0], expected, atol=1)
    key = struct.pack(">H", 32896)
    _write_png(path, 6, 1, 16, 0, [values.tobytes()], key)
    row = read_image(path, (1, 6), background="red")[0]
    assert row[2].tolist() == [255, 0, 0] and row[3].tolist() == [4, 4, 4]


def test_values_without_a_known_white_are_refused(tmp_path):
    for name, kind in (("f.tif", "float32"), ("i.tif", "int32")):
        path = _save(np.ones((4, 4), kind), tmp_path / name)
        with pytest.raises(UnreadableImageError, match="8 or 16 bits"):
            read_image(path, (4, 4))


def test_cmyk(tmp_path):
    inks = np.zeros((16, 16, 4), "uint8")
    inks[:, 8:] = (0, 255, 255, 0)  # magenta and yellow: red
    path = tmp_path / "a.jpg"
    Image.fromarray(inks, "CMYK").save(path, quality=95)
    pixels = read_image(path, (16, 16))
    np.testing.assert_allclose(pixels[:, 0], np.full((16, 3), 255), atol=4)
    np.testing.assert_allclose(pixels[:, 15], [[255, 0, 0]] * 16, atol=4)


# How a stored picture must be turned to stand upright, as EXIF defines it,
# written here as the way back: from the upright picture to the stored one.
STORED = {
    1: lambda a: a,
    2: lambda a: a[:, ::-1],
    3: lambda a: a[::-1, ::-1],
    4: lambda a: a[::-1],
    5: lambda a: a.swapaxes(0, 1),
    6: lambda a: np.rot90(a, 1),
    7: lambda a: a[::-1, ::-1].swapaxes(0, 1),
    8: lambda a: np.rot90(a, -1),
}


@pytest.mark.parametrize("suffix", ["png", "tif", "webp"])
@pytest.mark.parametrize("orientation", STORED)
def test_exif_rotation_is_undone(tmp_path, suffix, orientation):
    exif = Image.Exif()
    exif[274] = orientation
    stored = np.ascontiguousarray(STORED[orientation](RGB))
    options = {"lossless": True} if suffix == "webp" else {}
    path = _save(stored, tmp_path / f"a.{suffix}", exif=exif, **options)
    np.testing.assert_array_equal(read_image(path, (20, 30)), RGB)


def test_exif_rotation_of_a_large_jpeg(tmp_path):
    # Large enough that the JPEG is decoded at a fraction of its size.
    upright = np.zeros((1200, 1600, 3), "uint8")
    upright[:300, :400] = 255
    exif = Image.Exif()
    exif[274] = 6
    path = _save(np.rot90(upright, 1), tmp_path / "a.jpg", exif=exif)
    pixels = read_image(path, (12, 16))
    np.testing.assert_allclose(pixels[:2, :3], 255, atol=4)
    np.testing.assert_allclose(pixels[4:], 0, atol=4)


def test_broken_exif_does_not_spoil_the_pixels(tmp_path):
    path = _save(RGB, tmp_path / "a.png", exif=b"Exif\0\0II*\0\xff\xff\xff")
    np.testing.assert_array_equal(read_image(path, (20, 30)), RGB)


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_animation_gives_its_first_frame(tmp_path, suffix):
    frames = [
        Image.new("RGB", (8, 8), colour) for colour in ("red", "lime", "blue")
    ]
    path = tmp_path / f"a.{suffix}"
    options = {"lossless": True} if suffix == "webp" else {}
    frames[0].save(path, save_all=True, append_images=frames[1:], **options)
    assert (read_image(path, (8, 8)) == (255, 0, 0)).all()


def test_shrinking_is_antialiased(tmp_path):
    board = np.indices((256, 256)).sum(0) % 2 * 255
    path = _save(board.astype("uint8"), tmp_path / "a.png")
    np.testing.assert_allclose(read_image(path, (16, 16)), 127.5, atol=3)


def test_aspect_ratio(tmp_path):
    wide = np.zeros((10, 40, 3), "uint8")
    wide[:, :10], wide[:, 10:30], wide[:, 30:] = 50, 100, 150
    path = _save(wide, tmp_path / "a.png")
    squashed = read_image(path, (10, 10))
    assert (squashed[5, 0] == 50).all() and (squashed[5, 9] == 150).all()
    cropped = read_image(path, (20, 20), crop_to_aspect_ratio=True)
    assert (cropped == 100).all()
    padded = read_image(
        path, (20, 40), pad_to_aspect_ratio=True, background="red"
    )
    np.testing.assert_array_equal(padded[5:15], wide)
    assert (padded[:5] == (255, 0, 0)).all()
    assert (padded[15:] == (255, 0, 0)).all()


@pytest.mark.parametrize("suffix", ["jpg", "png", "gif", "bmp", "webp", "tif"])
def test_truncated_files_are_unreadable(tmp_path, suffix):
    noise = RNG.integers(0, 256, (64, 64, 3), dtype="uint8")
    path = _save(noise, tmp_path / f"a.{suffix}")
    read_image(path, (8, 8))
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    with pytest.raises(UnreadableImageError):
        read_image(path, (8, 8))


def test_reasons(tmp_path):
    def reason(path, **options):
        with pytest.raises(UnreadableImageError) as caught:
            read_image(path, (8, 8), **options)
        return str(caught.value)

    path = tmp_path / "a.jpg"
    assert "no such file" in reason(path)
    path.write_bytes(b"")
    assert reason(path) == "the file is empty"
    path.write_text("<html>not found</html>")
    assert (
        reason(path) == "not an image, or of a kind that Pillow does not know"
    )
    heic = tmp_path / "a.heic"
    heic.write_bytes(b"\0\0\0\x18ftypheic" + bytes(12))
    assert "pillow_heif" in reason(heic)
    (tmp_path / "folder.png").mkdir()
    assert reason(tmp_path / "folder.png") == "not a regular file"
    os.mkfifo(tmp_path / "pipe.png")
    assert reason(tmp_path / "pipe.png") == "not a regular file"
    os.symlink("loop.png", tmp_path / "loop.png")
    assert reason(tmp_path / "loop.png")
    _save(RGB, path)
    assert "30 x 20 pixels" in reason(path, max_pixels=599)
    read_image(path, (8, 8), max_pixels=600)
    eps = tmp_path / "b.png"
    Image.fromarray(RGB).save(eps, format="EPS")
    assert reason(eps) == "not an image, or of a kind that Pillow does not know"


@pytest.mark.parametrize("side, word", [(13_100, "13100"), (20_000, "pixels")])
def test_huge_images_are_refused_before_decoding(
    tmp_path, monkeypatch, side, word
):
    path = tmp_path / "a.png"
    row = bytes(side)
    _write_png(path, side, side, 8, 0, (row for _ in range(side)))

    def load(image):
        raise AssertionError("decoded")

    monkeypatch.setattr(ImageFile.ImageFile, "load", load)
    kept = np.empty((1, 8, 8, 3), "uint8")
    [reason] = read_images([path], lambda p: read_image(p, (8, 8)), kept)
    assert word in reason


def test_read_images_keeps_the_first_and_names_the_broken(tmp_path):
    paths = []
    for value in range(4):
        pixels = np.full((4, 4), value, "uint8")
        paths.append(_save(pixels, tmp_path / f"{value}.png"))
    paths[1].write_bytes(b"broken")
    before = list(warnings.filters)
    kept = np.full((3, 4, 4, 3), 99, "uint8")

    reasons = read_images(paths, lambda p: read_image(p, (4, 4)), kept)
    assert [bool(reason) for reason in reasons] == [False, True, False, False]
    assert kept[:, 0, 0, 0].tolist() == [0, 99, 2]
    assert warnings.filters == before


def test_several_large_images_take_turns(tmp_path, monkeypatch):
    monkeypatch.setattr(image_decoding, "LARGE_PIXELS", 10)
    paths = [_save(RGB, tmp_path / f"{i}.png") for i in range(8)]
    kept = np.empty((8, 20, 30, 3), "uint8")
    assert not any(read_images(paths, lambda p: read_image(p, (20, 30)), kept))
    assert (kept == RGB).all()


@pytest.mark.parametrize(
    "background", ["no such colour", (1, 2), (0, 0, 256), (0.5, 0, 0), 7]
)
def test_bad_backgrounds(background):
    with pytest.raises(ValueError) as caught:
        parse_background(background)
    assert str(caught.value).endswith(f"background={background!r}")
