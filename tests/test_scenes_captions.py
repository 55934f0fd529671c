"""Captions say nothing that is not so: texts are read back by another grammar, and checked."""

import re
from itertools import pairwise

import pytest

from composer_pl.data.scenes.captions import caption, captions
from composer_pl.data.scenes.claims import Claim, is_true
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.vocabulary import COLORS, PATTERNS

SHAPE_OF = {
    "sphere": "sphere", "spheres": "sphere", "ball": "sphere", "balls": "sphere",
    "cube": "cube", "cubes": "cube", "block": "cube", "blocks": "cube",
    "cylinder": "cylinder", "cylinders": "cylinder", "cone": "cone", "cones": "cone",
    "torus": "torus", "tori": "torus", "ring": "torus", "rings": "torus",
    "capsule": "capsule", "capsules": "capsule", "pill": "capsule", "pills": "capsule",
    "octahedron": "octahedron", "octahedra": "octahedron", "gem": "octahedron",
    "gems": "octahedron",
}  # fmt: skip
OTHER = {
    "small": ("size", "small"), "little": ("size", "small"), "medium-sized": ("size", "medium"),
    "large": ("size", "large"), "big": ("size", "large"), "matte": ("material", "matte"),
    "shiny": ("material", "shiny"), "glossy": ("material", "shiny"), "metal": ("material", "metal"),
    "metallic": ("material", "metal"), "striped": ("pattern", "stripes"),
    "checked": ("pattern", "checks"), "dotted": ("pattern", "dots"),
}  # fmt: skip
NUMBERS = {"a": 1, "an": 1, "two": 2, "three": 3, "four": 4, "five": 5}
PHRASE = re.compile(
    rf"\b({'|'.join(NUMBERS)}) ((?:(?:{'|'.join((*OTHER, *COLORS))}) )*)({'|'.join(SHAPE_OF)})\b"
    rf"(?: with ({'|'.join(COLORS)}) ({'|'.join(PATTERNS)}))?"
)
LINKS = {
    "left of": re.compile(r"^ (?:to the )?left of $"),
    "right of": re.compile(r"^ (?:to the )?right of $"),
    "in front of": re.compile(r"^ in front of $"),
    "behind": re.compile(r"^ behind $"),
}


def read(text):
    """Noun phrases of a caption: (count, attributes, start, end)."""
    found = []
    for match in PHRASE.finditer(text):
        number, adjectives, noun, second, pattern = match.groups()
        said = {"shape": SHAPE_OF[noun]}
        for word in adjectives.split():
            name, value = ("color", word) if word in COLORS else OTHER[word]
            said[name] = value
        if second:
            said |= {"second_color": second, "pattern": pattern}
        found.append((NUMBERS[number], said, match.start(), match.end()))
    return found


def matching(scene, said):
    return [o for o in scene.objects if all(getattr(o, k) == v for k, v in said.items())]


@pytest.fixture(scope="module")
def scenes():
    sampler = SceneSampler(11)
    return [sampler.scene(i) for i in range(1000)]


def test_every_claim_is_true_of_a_thousand_scenes(scenes):
    for scene in scenes:
        for said in captions(scene, 2):
            assert said.claims
            assert all(is_true(claim, scene) for claim in said.claims), said.text


def test_texts_read_back_are_true_of_a_thousand_scenes(scenes):
    links = 0
    for number, scene in enumerate(scenes):
        text = caption(scene, number % 4).text
        phrases = read(text)
        assert phrases, text
        for count, said, _, _ in phrases:
            assert len(matching(scene, said)) == count, text
        for (_, a, _, end), (_, b, start, _) in pairwise(phrases):
            for relation, link in LINKS.items():
                if not link.match(text[end:start]):
                    continue
                links += 1
                (one,), (other,) = matching(scene, a), matching(scene, b)
                left, right = (scene.camera.projected(o.position)[0] for o in (one, other))
                near, far = (
                    sum(
                        (p - q) ** 2 for p, q in zip(o.position, scene.camera.position, strict=True)
                    )
                    for o in (one, other)
                )
                assert {
                    "left of": left < right,
                    "right of": left > right,
                    "in front of": near < far,
                    "behind": near > far,
                }[relation], text
        total = re.search(r"(one|two|three|four|five) objects", text)
        if total:
            assert NUMBERS[total.group(1)] == len(scene.objects)
        if re.search(r"\bnight\b", text):
            assert scene.surroundings.sky == "night"
        if "wooden" in text:
            assert scene.surroundings.floor == "planks"
    assert links > 150


def test_left_and_right_are_those_of_the_masks():
    sampler = SceneSampler(2)
    scenes = [sampler.scene(i) for i in range(60)]
    found = render(scenes, 48, samples=1)
    checked = 0
    for i, scene in enumerate(scenes):
        whole = found.whole_masks(i)
        for said in captions(scene, 3):
            for claim in said.claims:
                if claim.kind == "relation" and claim.relation in ("left of", "right of"):
                    first, second = (
                        whole[n - 1].nonzero()[:, 1].float().mean()
                        for n in (claim.first, claim.second)
                    )
                    assert (first < second) == (claim.relation == "left of")
                    checked += 1
    assert checked > 15


def test_captions_vary_and_are_repeatable(scenes):
    texts = [said.text for scene in scenes[:200] for said in captions(scene)]
    assert texts == [said.text for scene in scenes[:200] for said in captions(scene)]
    assert len(set(texts)) > 850
    for part in (" left of ", " behind ", "objects:", "a picture of", "there is", " floor", " sky"):
        assert any(part in text for text in texts)
    assert all(len(text) < 260 for text in texts)


def test_false_claims_are_found(scenes):
    scene = next(s for s in scenes if len(s.objects) > 1)
    true = next(
        c for s in scenes for said in captions(s) for c in said.claims if c.kind == "relation"
    )
    assert true.first != true.second
    assert not is_true(Claim(kind="total", count=len(scene.objects) + 1), scene)
    assert not is_true(Claim(kind="floor", value="lava"), scene)
    assert not is_true(Claim(kind="objects", count=5, attributes={"shape": "cone"}), scene)
