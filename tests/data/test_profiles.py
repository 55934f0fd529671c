"""Embedded ICC profiles, against profiles and conversions written out by hand."""

import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from composer_pl.data.dataset import CutConfig, PictureDataset
from composer_pl.data.decode import decode_picture
from composer_pl.data.profiles import to_srgb
from composer_pl.data.records import Record

# Columns: red, green, blue of Adobe RGB (1998) and of sRGB, adapted to D50.
ADOBE = np.array(
    [[0.60974, 0.20528, 0.14919], [0.31111, 0.62567, 0.06322], [0.01947, 0.06087, 0.74457]]
)
SRGB = np.array(
    [[0.43607, 0.38515, 0.14307], [0.22249, 0.71687, 0.06061], [0.01392, 0.09708, 0.71410]]
)


def fixed(*numbers):
    return b"".join(struct.pack(">i", round(number * 65536)) for number in numbers)


def profile(space, connection, tags):
    """A version 2 profile of the given tags."""
    table, data = struct.pack(">I", len(tags)), b""
    start = 128 + 4 + 12 * len(tags)
    for name, body in tags.items():
        body += b"\0" * (-len(body) % 4)
        table += struct.pack(">4s2I", name, start + len(data), len(body))
        data += body
    header = struct.pack(">I4sI4s4s4s", start + len(data), b"none", 0x02100000,
                         b"prtr" if space == b"CMYK" else b"mntr", space, connection)  # fmt: skip
    header += b"\0" * 12 + b"acsp" + b"\0" * 28 + fixed(0.9642, 1.0, 0.8249)
    return header.ljust(128, b"\0") + table + data


def gamma(value):
    return b"curv\0\0\0\0" + struct.pack(">IH", 1, round(value * 256))


def adobe_rgb():
    white = {b"wtpt": b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249)}
    tags = {
        name: b"XYZ \0\0\0\0" + fixed(*column)
        for name, column in zip((b"rXYZ", b"gXYZ", b"bXYZ"), ADOBE.T, strict=True)
    }
    curves = dict.fromkeys((b"rTRC", b"gTRC", b"bTRC"), gamma(563 / 256))
    return profile(b"RGB ", b"XYZ ", white | tags | curves)


def grey(exponent):
    white = b"XYZ \0\0\0\0" + fixed(0.9642, 1.0, 0.8249)
    return profile(b"GRAY", b"XYZ ", {b"wtpt": white, b"kTRC": gamma(exponent)})


def only_black_ink():
    """A CMYK profile whose cyan, magenta and yellow leave no trace."""
    lab = bytes([255, 128, 128, 0, 128, 128]) * 8
    ramp = bytes(range(256))
    body = b"mft1\0\0\0\0" + bytes([4, 3, 2, 0]) + fixed(1, 0, 0, 0, 1, 0, 0, 0, 1)
    body += ramp * 4 + lab + ramp * 3
    return profile(b"CMYK", b"Lab ", {b"A2B0": body})


def encode_srgb(linear):
    linear = linear.clip(0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def found(data):
    return np.asarray(decode_picture(data, "a test").image).astype(float)


@pytest.mark.parametrize("form", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_adobe_rgb_comes_out_in_srgb_by_the_closed_form(encoded, form):
    stored = np.array([180, 150, 60], np.uint8)
    linear = (stored / 255) ** (563 / 256)
    expected = 255 * encode_srgb(np.linalg.inv(SRGB) @ ADOBE @ linear)
    image = Image.new("RGB", (40, 40), tuple(stored.tolist()))
    options = {"quality": 100} if form in ("JPEG", "WEBP") else {}
    data = encoded(image, form, icc_profile=adobe_rgb(), **options)
    assert np.abs(expected - stored).max() > 10
    np.testing.assert_allclose(found(data)[0, 0], expected, atol=2.5)


def test_a_grey_profile_is_applied_to_grey_pictures_of_any_depth(encoded):
    expected = 255 * encode_srgb((100 / 255) ** np.array(1.8))
    eight = Image.new("L", (40, 40), 100)
    sixteen = Image.fromarray(np.full((40, 40), 100 * 257, np.uint16))
    for image in (eight, sixteen):
        colour = found(encoded(image, "PNG", icc_profile=grey(1.8)))[0, 0]
        np.testing.assert_allclose(colour, expected, atol=1.5)
    assert abs(expected - 100) > 10


def test_transparency_is_composited_after_the_colours_are_converted(encoded):
    rgba = np.zeros((40, 40, 4), np.uint8)
    rgba[..., :3] = 180, 150, 60
    rgba[:, 20:, 3] = 255
    solid = found(encoded(Image.new("RGB", (40, 40), (180, 150, 60)), icc_profile=adobe_rgb()))
    both = found(encoded(Image.fromarray(rgba), icc_profile=adobe_rgb()))
    np.testing.assert_array_equal(both[0, 0], [255, 255, 255])
    np.testing.assert_array_equal(both[0, 30], solid[0, 0])
    la = Image.new("LA", (40, 40), (100, 255))
    opaque = found(encoded(Image.new("L", (40, 40), 100), icc_profile=grey(1.8)))
    np.testing.assert_array_equal(found(encoded(la, icc_profile=grey(1.8))), opaque)


def test_inks_take_their_colours_from_their_profile(encoded):
    inks = Image.new("CMYK", (40, 40), (255, 80, 0, 0))
    for form in ("TIFF", "JPEG"):
        assert np.ptp(found(encoded(inks, form))[0, 0]) > 100
        colour = found(encoded(inks, form, icc_profile=only_black_ink()))[0, 0]
        np.testing.assert_allclose(colour, [255, 255, 255], atol=3)


def test_what_means_srgb_is_broken_or_for_another_mode_changes_nothing(encoded):
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert to_srgb(None) is to_srgb(srgb) is to_srgb(b"no profile") is to_srgb(b"") is None
    colour = Image.new("RGB", (40, 40), (180, 150, 60))
    for icc in (srgb, b"no profile", grey(1.8), only_black_ink()):
        np.testing.assert_array_equal(found(encoded(colour, icc_profile=icc))[0, 0], [180, 150, 60])
    pale = encoded(Image.new("L", (40, 40), 100), icc_profile=adobe_rgb())
    np.testing.assert_array_equal(found(pale)[0, 0], [100, 100, 100])


def test_a_cached_value_of_unconverted_colours_is_not_found_again(encoded, tmp_path, monkeypatch):
    image = Image.new("RGB", (40, 40), (180, 150, 60))
    path = tmp_path / "x.png"
    path.write_bytes(encoded(image, icc_profile=adobe_rgb()))
    record = Record(path=str(path), name="x.png")
    dataset = PictureDataset([record], [0], cut=CutConfig(canvas=32, resolution=16), seed=0)
    identity = dataset[0]["identity"]
    monkeypatch.setattr("composer_pl.data.decode.to_srgb", lambda icc: None)
    assert dataset[0]["identity"] != identity
