"""What each task gives to the model, and what it refuses."""

from dataclasses import replace

import pytest
import torch
from PIL import Image

from composer_pl.composing.drawing import make
from composer_pl.composing.parts import Parts
from composer_pl.composing.tasks.colorization import colorization
from composer_pl.composing.tasks.frame import INVERTING, TaskNeedsError, TaskSettings
from composer_pl.composing.tasks.mix import mix
from composer_pl.composing.tasks.pose import pose
from composer_pl.composing.tasks.style import style
from composer_pl.composing.tasks.text import text
from composer_pl.composing.tasks.translation import translation
from composer_pl.composing.tasks.tryon import tryon
from composer_pl.composing.tasks.variation import variation
from composer_pl.errors import ComposerPLError, UserInputError
from composer_pl.models.recipe import SamplingRecipe

QUICK = TaskSettings(n=2, recipe=SamplingRecipe(steps=2))
WALK = TaskSettings(n=2, recipe=replace(INVERTING, steps=2))


def same(parts, wanted):
    return list(parts) == list(wanted) and all(torch.equal(parts[n], wanted[n]) for n in parts)


# -- variation ----------------------------------------------------------------------------------


def test_a_variation_keeps_what_is_named_and_no_more(composer, photo):
    drawing = variation(composer, photo, keep=["sketch", "color"], settings=QUICK)
    assert same(drawing.parts, composer.decompose(photo, names=["sketch", "color"]))
    one, two = make(composer, drawing).pictures
    assert one.tobytes() != two.tobytes()


def test_a_variation_by_default_keeps_no_pixels(composer, photo):
    drawing = variation(composer, photo)
    assert list(drawing.parts) == ["semantics", "color", "sketch", "depth", "instances"]
    assert "sketch" not in variation(composer, photo, drop=["sketch"]).parts


def test_parts_serve_as_a_picture_does(composer, photo, tmp_path):
    parts = composer.decompose(photo, names=["sketch", "color"])
    parts.save(tmp_path / "parts.safetensors")
    for source in (parts, tmp_path / "parts.safetensors"):
        assert same(variation(composer, source, keep=["sketch"]).parts, parts.only("sketch"))


# -- style --------------------------------------------------------------------------------------


def test_the_strength_of_a_style_goes_from_the_contents_own_to_the_others(composer, photo, other):
    def semantics(strength):
        return style(composer, other, photo, strength=strength).parts["semantics"]

    own = composer.decompose(photo, names=["semantics"])["semantics"]
    its = composer.decompose(other, names=["semantics"])["semantics"]
    assert torch.equal(semantics(0), own)
    assert torch.equal(semantics(1), its)
    plugin = composer.model.plugins["semantics"]
    torch.testing.assert_close(semantics(0.25), plugin.interpolate(own[None], its[None], 0.25)[0])


def test_maps_that_make_a_style_may_have_any_size(composer, photo):
    small, large = (Parts({"depth": torch.full((1, s, s), v)}) for s, v in ((8, 0.0), (64, 1.0)))
    content = small | composer.decompose(photo, names=["sketch"])
    drawing = style(composer, large, content, strength=0.5, styles=["depth"], contents=["sketch"])
    depth = drawing.parts["depth"]
    torch.testing.assert_close(depth, torch.full_like(depth, 0.5))


def test_content_is_the_content_pictures(composer, photo, other):
    drawing = style(composer, other, photo)
    kept = drawing.parts.only("depth", "sketch")
    assert same(kept, composer.decompose(photo, names=["depth", "sketch"]))


def test_content_is_what_a_poorer_model_has(poor, photo, other):
    assert list(style(poor, other, photo).parts) == ["sketch", "semantics"]


# -- translation --------------------------------------------------------------------------------


def test_translation_changes_words_alone(composer, photo):
    drawing = translation(composer, photo, "a bad cafe", before="a face", settings=WALK)
    assert set(drawing.parts) == set(drawing.against) == {"sketch", "depth", "instances", "caption"}
    assert same(drawing.parts.drop("caption"), drawing.against.drop("caption"))
    assert same(drawing.parts.only("caption"), composer.read("caption", "a bad cafe"))
    assert same(drawing.against.only("caption"), composer.read("caption", "a face"))
    noise = composer.invert(photo, drawing.against, recipe=WALK.recipe)
    assert torch.equal(drawing.noise, noise)
    assert drawing.n == 1


def test_translation_from_noise_inverts_nothing(composer, photo):
    drawing = translation(composer, photo, "a bad cafe", route="noise", settings=QUICK)
    assert drawing.noise is None
    assert not drawing.against
    assert drawing.n == 2


# -- pose ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("route", ["noise", "inversion"])
def test_a_pose_takes_the_look_of_one_and_the_map_of_another(composer, photo, other, route):
    maps = composer.decompose(other, names=["instances"])
    settings = QUICK if route == "noise" else WALK
    drawing = pose(composer, photo, maps, route=route, settings=settings)
    look = composer.decompose(photo, names=["semantics"])
    assert same(drawing.parts, look | maps)
    if route == "inversion":
        own = composer.decompose(photo, names=["instances"])
        assert same(drawing.against, look | own)


# -- mix ----------------------------------------------------------------------------------------


def test_each_part_of_a_mix_is_its_sources(composer, photo, other):
    drawing = mix(
        composer,
        {"sketch": photo, "color": other, "caption": composer.read("caption", "abc")},
        settings=QUICK,
    )
    wanted = composer.decompose(photo, names=["sketch"]) | composer.decompose(
        other, names=["color"]
    )
    assert same(drawing.parts, wanted | composer.read("caption", "abc"))


def test_a_weight_of_0_is_as_if_the_part_were_absent(composer, photo, other):
    sources = {"sketch": photo, "color": other}
    weighted = mix(composer, sources, weights={"color": 0.0}, settings=QUICK)
    absent = mix(composer, {"sketch": photo}, settings=QUICK)
    plain = mix(composer, sources, settings=QUICK)
    pictures = [make(composer, d).pictures[0].tobytes() for d in (weighted, absent, plain)]
    assert pictures[0] == pictures[1]
    assert pictures[0] != pictures[2]


# -- text ---------------------------------------------------------------------------------------


def test_text_without_a_prior_is_the_caption_alone(composer):
    (drawing,) = text(composer, "a bad cafe", settings=QUICK)
    assert same(drawing.parts, composer.read("caption", "a bad cafe"))
    assert drawing.n == 2


# -- try-on -------------------------------------------------------------------------------------


def test_outside_the_garment_the_person_is_unchanged(composer, photo, other):
    mask = Image.new("L", photo.size, 0)
    mask.paste(255, (30, 12, 50, 36))
    drawing = tryon(composer, photo, other, mask, settings=QUICK)
    assert torch.equal(
        drawing.parts["semantics"], composer.decompose(other, names=["semantics"])["semantics"]
    )
    before = torch.frombuffer(bytearray(photo.tobytes()), dtype=torch.uint8).view(48, 80, 3)
    for picture in make(composer, drawing).pictures:
        assert picture.size == photo.size
        after = torch.frombuffer(bytearray(picture.tobytes()), dtype=torch.uint8).view(48, 80, 3)
        changed = (before != after).any(-1)
        assert changed[12:36, 30:50].any()
        changed[12:36, 30:50] = False
        assert not changed.any()


# -- refusals -----------------------------------------------------------------------------------


REFUSALS = {
    "all dropped": (
        lambda c, p, o: variation(c, p, keep=["sketch"], drop=["sketch"]),
        "a part to keep",
    ),
    "no such part": (lambda c, p, o: variation(c, p, keep=["sketches"]), "it needs 'sketches'"),
    "strength": (lambda c, p, o: style(c, o, p, strength=1.5), r"in 0\.\.1, found 1\.5"),
    "shared": (
        lambda c, p, o: style(c, o, p, styles=["depth"], contents=["depth"]),
        "depth on both sides",
    ),
    "no style": (lambda c, p, o: style(c, o, p, styles=[]), "no style"),
    "empty caption": (lambda c, p, o: translation(c, p, " "), "found an empty one"),
    "empty text": (lambda c, p, o: text(c, ""), "found an empty one"),
    "no pixels": (lambda c, p, o: translation(c, Parts({}), "a"), "whose pixels are walked back"),
    "no pixels of a pose": (
        lambda c, p, o: pose(
            c, Parts({}), Parts({"sketch": torch.zeros(1, 8, 8)}), route="inversion"
        ),
        "whose pixels are walked back",
    ),
    "no pixels to colour": (
        lambda c, p, o: colorization(c, Parts({}), o, route="inversion"),
        "whose pixels are walked back",
    ),
    "no #": (lambda c, p, o: colorization(c, p, "0b3d91,#fff"), "begin each colour with #"),
    "other sampler": (
        lambda c, p, o: translation(c, p, "a", settings=QUICK),
        "found sampler dpmpp_2m and eta 0",
    ),
    "no map": (lambda c, p, o: pose(c, p, Parts({})), "maps of a pose"),
    "strange map": (
        lambda c, p, o: pose(c, p, c.decompose(o, names=["color"])),
        "found color",
    ),
    "no source": (lambda c, p, o: mix(c, {}), "a source for at least one part"),
    "weight of none": (
        lambda c, p, o: mix(c, {"sketch": p}, weights={"skech": 2.0}),
        "did you mean 'sketch'",
    ),
    "no text beside": (lambda c, p, o: mix(c, {"caption": p}), "text"),
}


@pytest.mark.parametrize("case", REFUSALS)
def test_what_cannot_be_is_one_line(composer, photo, other, case):
    attempt, message = REFUSALS[case]
    with pytest.raises(ComposerPLError, match=message) as caught:
        attempt(composer, photo, other)
    assert "\n" not in str(caught.value)
    assert "Next: " in str(caught.value)


def test_a_picture_is_needed_where_its_pixels_are(composer, photo):
    parts = composer.decompose(photo, names=["sketch", "depth", "instances"])
    with pytest.raises(UserInputError, match="expected a picture, whose pixels"):
        translation(composer, parts, "a", settings=WALK)


NEEDS = {
    "translation": (lambda c, p, o: translation(c, p, "a"), "caption"),
    "text": (lambda c, p, o: text(c, "a"), "caption"),
    "tryon": (lambda c, p, o: tryon(c, p, o, "0,0,1,1"), "masking"),
    "pose": (lambda c, p, o: pose(c, p, Parts({"depth": torch.zeros(1, 4, 4)})), "depth"),
    "style": (lambda c, p, o: style(c, p, o, styles=["color"]), "color"),
    "variation": (lambda c, p, o: variation(c, p, keep=["color"]), "color"),
    "mix": (lambda c, p, o: mix(c, {"color": p}), "color"),
}


@pytest.mark.parametrize("task", NEEDS)
def test_a_model_that_lacks_a_condition_says_so(poor, photo, other, task):
    attempt, lacking = NEEDS[task]
    with pytest.raises(TaskNeedsError) as caught:
        attempt(poor, photo, other)
    assert str(caught.value).startswith(f"Editing by {task}: it needs '{lacking}'")
    assert "trained with sketch, semantics. Next: " in str(caught.value)
