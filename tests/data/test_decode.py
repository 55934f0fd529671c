import pickle
import struct
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms

from composer_pl.data.decode import (
    BrokenPictureError,
    PictureLimits,
    decode_picture,
    given_picture,
    read_picture,
)
from composer_pl.errors import TakenForGrantedWarning


def pixels(data: bytes) -> np.ndarray:
    return np.asarray(decode_picture(data, "a test").image).astype(float)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_every_exif_orientation_comes_out_upright(gradient, encoded, orientation, form):
    upright = gradient(64, 48)
    stored_as = {
        1: None,
        2: Image.Transpose.FLIP_LEFT_RIGHT,
        3: Image.Transpose.ROTATE_180,
        4: Image.Transpose.FLIP_TOP_BOTTOM,
        5: Image.Transpose.TRANSPOSE,
        6: Image.Transpose.ROTATE_90,
        7: Image.Transpose.TRANSVERSE,
        8: Image.Transpose.ROTATE_270,
    }[orientation]
    stored = upright if stored_as is None else upright.transpose(stored_as)
    exif = Image.Exif()
    exif[0x0112] = orientation
    picture = decode_picture(encoded(stored, form, exif=exif), "a test")
    assert (picture.width, picture.height) == (64, 48) == picture.image.size
    error = np.abs(np.asarray(picture.image).astype(float) - np.asarray(upright).astype(float))
    assert error.mean() < 3


def test_a_reduced_jpeg_keeps_the_full_size_as_its_coordinates(gradient, encoded):
    exif = Image.Exif()
    exif[0x0112] = 6
    data = encoded(gradient(800, 400), "JPEG", exif=exif)
    picture = decode_picture(data, "a test", short_side=100)
    assert (picture.width, picture.height) == (400, 800)
    assert picture.image.size == (100, 200)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
def test_sixteen_bit_grey_is_scaled_by_its_range_not_clipped(encoded, form):
    grey = np.broadcast_to(np.linspace(0, 65535, 64).astype(np.uint16), (64, 64))
    found = pixels(encoded(Image.fromarray(grey), form))
    np.testing.assert_allclose(found[..., 0], grey / 257, atol=0.51)
    assert found.shape == (64, 64, 3)


@pytest.mark.parametrize("form", ["PNG", "TIFF"])
@pytest.mark.parametrize(
    ("levels", "white"),
    [
        (np.linspace(0, 255, 64).astype(np.uint16), 255),
        (np.linspace(0, 4095, 64).astype(np.uint16), 4095),
        (np.arange(64).astype(np.uint8) % 2, 1),
    ],
)
def test_levels_that_would_be_near_black_are_stretched_with_a_word(tmp_path, form, levels, white):
    path = tmp_path / f"few.{form.lower()}"
    Image.fromarray(np.broadcast_to(levels, (64, 64)).copy()).save(path)
    with pytest.warns(TakenForGrantedWarning, match=rf"few.*none above {white}, taken as 0\.\."):
        from_file = given_picture(path)
    with Image.open(path) as opened, pytest.warns(TakenForGrantedWarning, match="few"):
        same = given_picture(opened)
    assert np.array_equal(np.asarray(from_file.image), np.asarray(same.image))
    found = np.asarray(from_file.image).astype(float)
    np.testing.assert_allclose(found[0, :, 1], levels * (255 / white), atol=0.51)
    read_picture(path)  # training is not told, file by file


def test_dark_pictures_stay_dark():
    for dark in (np.zeros((40, 40), np.uint8), np.full((40, 40), 2, np.uint8)):
        assert pixels_of(dark).max() == dark.max()
    assert pixels_of(np.full((40, 40), 4100, np.uint16)).max() == 16


def pixels_of(levels):
    picture = given_picture(Image.fromarray(levels))
    assert not picture.assumed
    return np.asarray(picture.image)


def test_a_sixteen_bit_colour_png_keeps_its_colours():
    row = b"\x00" + struct.pack(">3H", 65535, 32768, 0) * 40
    header = struct.pack(">2I5B", 40, 40, 16, 2, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n"
    for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(row * 40)), (b"IEND", b"")):
        data += struct.pack(">I", len(body)) + name + body
        data += struct.pack(">I", zlib.crc32(name + body))
    np.testing.assert_allclose(pixels(data)[0, 0], [255, 128, 0], atol=1)


def test_sixteen_bit_colour_tiff_and_grey_with_alpha_keep_their_values():
    def png(kind: int, pixel: tuple[int, ...]) -> bytes:
        row = b"\x00" + struct.pack(f">{len(pixel)}H", *pixel) * 40
        header = struct.pack(">2I5B", 40, 40, 16, kind, 0, 0, 0)
        data = b"\x89PNG\r\n\x1a\n"
        for name, body in ((b"IHDR", header), (b"IDAT", zlib.compress(row * 40)), (b"IEND", b"")):
            data += struct.pack(">I", len(body)) + name + body
            data += struct.pack(">I", zlib.crc32(name + body))
        return data

    def tiff(pixel: tuple[int, ...]) -> bytes:
        tags = [(256, 40), (257, 40), (258, 3), (259, 1), (262, 2), (277, 3), (278, 40)]
        entries = {tag: struct.pack("<2HIHH", tag, 3, 1, value, 0) for tag, value in tags}
        start = 8 + 2 + 12 * 9 + 4
        entries[258] = struct.pack("<2HII", 258, 3, 3, start)
        entries[273] = struct.pack("<2HII", 273, 4, 1, start + 6)
        entries[279] = struct.pack("<2HII", 279, 4, 1, 40 * 40 * 6)
        body = b"".join(entries[tag] for tag in sorted(entries))
        head = b"II*\x00" + struct.pack("<IH", 8, 9) + body + b"\0" * 4
        return head + struct.pack("<3H", 16, 16, 16) + struct.pack("<3H", *pixel) * 1600

    np.testing.assert_allclose(pixels(tiff((65535, 32768, 0)))[0, 0], [255, 128, 0], atol=1)
    # Half transparent black on white, and opaque middle grey.
    np.testing.assert_allclose(pixels(png(4, (0, 32768)))[0, 0], [127, 127, 127], atol=1)
    np.testing.assert_allclose(pixels(png(4, (32768, 65535)))[0, 0], [128, 128, 128], atol=1)
    rgba = pixels(png(6, (65535, 0, 0, 32768)))[0, 0]
    np.testing.assert_allclose(rgba, [255, 127, 127], atol=1)


@pytest.mark.parametrize(("low", "high"), [(0.0, 1.0), (0.0, 255.0), (-3.0, 5.0), (0.0, 4000.0)])
def test_floating_point_tiff_fills_the_range(encoded, low, high):
    values = np.broadcast_to(np.linspace(low, high, 64, dtype=np.float32), (64, 64))
    found = pixels(encoded(Image.fromarray(values), "TIFF"))
    np.testing.assert_allclose(found[0, :, 0], np.linspace(0, 255, 64), atol=0.51)


def test_transparent_pixels_show_white_and_not_their_hidden_colour(encoded):
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[..., 0] = 200
    rgba[:, 20:, 3] = 255
    rgba[:, 10:20, 3] = 128
    for form in ("PNG", "WEBP", "TIFF"):
        options = {"lossless": True, "exact": True} if form == "WEBP" else {}
        found = pixels(encoded(Image.fromarray(rgba), form, **options))
        np.testing.assert_allclose(found[0, 0], [255, 255, 255], atol=1)
        np.testing.assert_allclose(found[0, 15], [227, 127, 127], atol=1)
        np.testing.assert_allclose(found[0, 30], [200, 0, 0], atol=1)


def test_grey_with_alpha_is_composited_on_white(encoded):
    la = np.zeros((40, 40, 2), np.uint8)
    la[:, 20:, 1] = 255
    found = pixels(encoded(Image.fromarray(la, "LA"), "PNG"))
    np.testing.assert_array_equal(found[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(found[0, 30], [0, 0, 0])


@pytest.mark.parametrize("form", ["PNG", "GIF"])
def test_palette_transparency_is_composited_on_white(encoded, form):
    image = Image.new("P", (40, 40), 0)
    image.putpalette([10, 20, 30, 200, 100, 50] + [0] * 750)
    image.paste(1, (20, 0, 40, 40))
    found = pixels(encoded(image, form, transparency=0))
    np.testing.assert_array_equal(found[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(found[0, 30], [200, 100, 50])


def test_other_modes_come_out_in_their_own_colours(encoded):
    red = Image.new("RGB", (40, 40), (200, 40, 20))
    cases = {
        "CMYK": (red.convert("CMYK"), "JPEG", [200, 40, 20]),
        "CMYK tiff": (red.convert("CMYK"), "TIFF", [200, 40, 20]),
        "YCbCr": (red.convert("YCbCr"), "JPEG", [200, 40, 20]),
        "palette": (red.quantize(4), "BMP", [200, 40, 20]),
        "grey": (red.convert("L"), "JPEG", [86, 86, 86]),
        "bilevel": (Image.new("1", (40, 40), 1), "PNG", [255, 255, 255]),
    }
    for name, (image, form, colour) in cases.items():
        found = pixels(encoded(image, form)).mean((0, 1))
        np.testing.assert_allclose(found, colour, atol=2.5, err_msg=name)


def test_lab_tiff_comes_out_in_its_colours(encoded):
    red = Image.new("RGB", (40, 40), (200, 40, 20))
    srgb, lab = ImageCms.createProfile("sRGB"), ImageCms.createProfile("LAB")
    image = ImageCms.profileToProfile(red, srgb, lab, outputMode="LAB")
    found = pixels(encoded(image, "TIFF"))
    np.testing.assert_allclose(found[0, 0], [200, 40, 20], atol=4)


def test_the_first_frame_of_an_animation_is_taken(encoded):
    frames = [Image.new("RGB", (40, 40), colour) for colour in ("red", "blue")]
    data = encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])
    np.testing.assert_array_equal(pixels(data)[0, 0], [255, 0, 0])


@pytest.mark.parametrize(
    ("width", "height", "rule"),
    [
        (9000, 9000, "64 megapixels"),
        (20000, 100, "limit of 16384"),
        (31, 400, "least of 32"),
        (1000, 100, "8 times"),
    ],
)
def test_sizes_beyond_the_limits_are_refused_before_decoding(encoded, width, height, rule):
    data = encoded(Image.new("1", (width, height)), "PNG")
    # Cut off behind the header: were a pixel decoded, the reason would be damage.
    with pytest.raises(BrokenPictureError, match=rule):
        decode_picture(data[:80], "a bomb")


def test_a_size_that_is_refused_is_not_called_a_wrong_format(encoded):
    data = encoded(Image.new("RGB", (1, 700)), "GIF")
    with pytest.raises(BrokenPictureError) as refused:
        decode_picture(data, "thin.gif")
    told = "expected a picture within the limits of size, found 1 x 700 pixels, a side below"
    assert told in str(refused.value)
    again = pickle.loads(pickle.dumps(refused.value))  # as data workers send it
    assert str(again) == str(refused.value)


def test_a_giant_header_is_refused_by_our_limit_without_a_warning():
    header = struct.pack(">2I5B", 60000, 60000, 1, 0, 0, 0, 0)
    data = b"\x89PNG\r\n\x1a\n" + struct.pack(">I", 13) + b"IHDR" + header
    data += struct.pack(">I", zlib.crc32(b"IHDR" + header))
    with pytest.raises(BrokenPictureError, match="64 megapixels"):
        decode_picture(data + b"\x00\x00\x00\x00IDAT", "a bomb")


@pytest.mark.parametrize("form", ["JPEG", "PNG", "WEBP", "TIFF", "GIF"])
def test_a_truncated_file_of_any_format_is_refused(gradient, encoded, form):
    noise = np.random.default_rng(0).integers(0, 255, (64, 64, 3), dtype=np.uint8)
    data = encoded(Image.fromarray(noise), form)
    with pytest.raises(BrokenPictureError):
        decode_picture(data[: len(data) // 2], "half a file")


def test_what_is_no_picture_is_named_with_its_reason(tmp_path: Path, gradient, encoded):
    cases = {
        "empty.jpg": (b"", "an empty file"),
        "page.jpg": (b"<html><body>404</body></html>", "<html>"),
        "drawing.png": (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "%!PS"),
    }
    for name, (data, reason) in cases.items():
        (tmp_path / name).write_bytes(data)
        with pytest.raises(BrokenPictureError, match=reason) as caught:
            read_picture(tmp_path / name)
        assert name in str(caught.value)
        assert "Next:" in str(caught.value)
    with pytest.raises(BrokenPictureError, match="No such file"):
        read_picture(tmp_path / "absent.jpg")
    (tmp_path / "named-wrongly.jpg").write_bytes(encoded(gradient(), "PNG"))
    assert read_picture(tmp_path / "named-wrongly.jpg").image.size == (48, 40)


def test_limits_are_the_callers_to_choose(encoded):
    data = encoded(Image.new("L", (8, 8)))
    assert decode_picture(data, "tiny", limits=PictureLimits(min_side=1)).width == 8


def test_a_dark_jpeg_stays_dark(tmp_path):
    """It is a photo of the night, not a mask of 0 and 1 as the same levels of a PNG are."""
    night = Image.new("L", (64, 64), 1)
    for name, lightest in (("a.jpg", 1), ("a.png", 255)):
        night.save(tmp_path / name)
        assert read_picture(tmp_path / name).image.getextrema() == ((lightest, lightest),) * 3
