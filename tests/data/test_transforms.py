import pytest
import torch
from PIL import Image

from composer_pl.data.decode import Picture, decode_picture
from composer_pl.data.transforms import Crop, choose_crop, cut


def test_a_centre_crop_is_the_largest_square_in_the_middle():
    assert choose_crop(640, 480, key=1) == Crop(left=80, top=0, side=480)
    assert choose_crop(480, 641, key=1) == Crop(left=0, top=80, side=480)


def test_random_crops_stay_inside_and_depend_on_the_key_alone():
    crops = [
        choose_crop(100, 60, key=key, mode="random", flip_probability=0.5) for key in range(99)
    ]
    again = [
        choose_crop(100, 60, key=key, mode="random", flip_probability=0.5) for key in range(99)
    ]
    assert crops == again
    assert all(
        48 <= c.side <= 60 and c.left + c.side <= 100 and c.top + c.side <= 60 for c in crops
    )
    assert len({(c.left, c.top, c.side) for c in crops}) > 90
    assert 30 < sum(c.flip for c in crops) < 70


def test_canvas_and_target_show_the_same_square(gradient):
    image = gradient(200, 100)
    picture = Picture(image=image, width=200, height=100)
    crop = Crop(left=30, top=10, side=80)
    canvas, target = cut(picture, crop, size=128), cut(picture, crop, size=32)
    assert canvas.dtype == target.dtype == torch.float32
    pooled = torch.nn.functional.avg_pool2d(canvas, 4)
    assert (pooled - target)[:, 2:-2, 2:-2].abs().max() < 0.02
    # Red runs from 30/199 to 109/199 of the range over the square.
    assert target[0, 0, 0] == pytest.approx(2 * 30 / 199 - 1, abs=0.03)
    assert target[0, 0, -1] == pytest.approx(2 * 109 / 199 - 1, abs=0.03)


def test_a_flip_mirrors_canvas_and_target_exactly(gradient):
    picture = Picture(image=gradient(), width=48, height=40)
    for size in (32, 128):
        plain = cut(picture, Crop(left=3, top=0, side=40), size=size)
        flipped = cut(picture, Crop(left=3, top=0, side=40, flip=True), size=size)
        assert torch.equal(plain.flip(-1), flipped)


def test_pixels_span_minus_one_to_one(gradient):
    image = gradient(64, 64)
    image.paste((255, 255, 255), (0, 0, 64, 32))
    image.paste((0, 0, 0), (0, 32, 64, 64))
    square = cut(Picture(image=image, width=64, height=64), Crop(left=0, top=0, side=64), size=64)
    assert square.min() == -1
    assert square.max() == 1


def test_shrinking_does_not_alias():
    stripes = Image.new("L", (256, 256))
    stripes.putdata([255 * (x % 2) for _ in range(256) for x in range(256)])
    picture = Picture(image=stripes.convert("RGB"), width=256, height=256)
    square = cut(picture, Crop(left=0, top=0, side=256), size=60)
    assert square[:, :, 2:-2].abs().max() < 0.02


def test_a_reduced_jpeg_gives_nearly_the_same_cut(gradient, encoded):
    data = encoded(gradient(1200, 900), "JPEG", quality=95)
    whole, reduced = decode_picture(data, "a"), decode_picture(data, "a", short_side=128)
    assert reduced.image.size == (300, 225)
    crop = choose_crop(1200, 900, key=3, mode="random")
    assert (cut(whole, crop, size=64) - cut(reduced, crop, size=64)).abs().max() < 0.03
