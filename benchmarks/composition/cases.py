"""Test scenes of the composition experiment."""

from dataclasses import dataclass, replace

import torch
from arms import HELD_OUT, RULES, SEEN, USUAL_SIZE
from jaxtyping import UInt8
from torch import Tensor

from composer_pl.data.scenes.captions import caption
from composer_pl.data.scenes.description import Scene, SceneObject
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.vocabulary import SIZES
from composer_pl.data.scenes.wording import MATERIAL_WORDS, NOUNS, SIZE_WORDS, noun_phrase
from composer_pl.evaluation.composition.cases import (
    PLAIN,
    SEEDS,
    Cases,
    cases_of,
    one_object,
    two_objects,
    walk,
)
from composer_pl.evaluation.scenes.rendered import UNSEEN, render_scenes
from composer_pl.evaluation.scenes.truth import Truth, whole_truth

UNUSUAL: tuple[str, ...] = tuple(
    f"{material} {size}" for material in PLAIN for size in SIZES if size != USUAL_SIZE[material]
)
USUAL: tuple[str, ...] = tuple(f"{material} {USUAL_SIZE[material]}" for material in PLAIN)
"""Materials with the sizes that arm B saw rarely, and with those that it saw."""

KINDS = {"unusual": UNUSUAL, "usual": USUAL}

_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Ordinary:
    """Scenes of arm A's rules with up to three objects, and their truth; an even number."""

    pixels: UInt8[Tensor, "n 3 128 128"]
    texts: list[str]
    truth: Truth

    def __len__(self) -> int:
        return len(self.texts)


@dataclass(kw_only=True)
class SceneSets:
    """All test scenes; pure functions of the counts, so that they can be made ahead."""

    held: Cases
    seen: Cases
    two_held: Cases
    two_seen: Cases
    unusual: Cases
    usual: Cases
    ordinary: Ordinary
    few: int


def make_scenes(pictures: int = 1440, *, device: torch.device | str) -> SceneSets:
    """Make the scenes of all sets: `pictures` of each main one, a third of most controls."""
    many, few = max(pictures // 24, 1), max(pictures // 96, 1)
    return SceneSets(
        held=one_object(HELD_OUT, many, device=device),
        seen=one_object(SEEN, max(pictures // 32, 1), device=device),
        two_held=two_objects(HELD_OUT, many, device=device),
        two_seen=two_objects(SEEN, few, device=device),
        unusual=materials(UNUSUAL, max(pictures // 6, 1), device=device),
        usual=materials(USUAL, max(pictures // 9, 1), device=device),
        ordinary=ordinary(max(pictures, 16) // 2 * 2, device=device),
        few=few,
    )


def materials(kinds: tuple[str, ...], each: int, *, device: torch.device | str) -> Cases:
    """`each` scenes of a single object for every material with a size, of seen pairs.

    Args:
        kinds: `UNUSUAL` or `USUAL`.
        each: Scenes a kind.
        device: Where to render.
    """
    rules = SceneRules(max_objects=1, materials=PLAIN, required=kinds, excluded=HELD_OUT)

    def asked(scene: Scene) -> tuple[str, str]:
        thing = scene.objects[0]
        return f"{thing.material} {thing.size}", ""

    found = walk(rules, SEEDS["material"], kinds, each, asked)
    return cases_of(found, order=kinds, device=device, texts=lambda scene: _sized(scene.objects[0]))


def ordinary(count: int, *, device: torch.device | str) -> Ordinary:
    """Scenes of arm A's rules with up to three objects."""
    sampler = SceneSampler(SEEDS["parts"], replace(RULES["A"], max_objects=3))
    scenes = [sampler.scene(index) for index in range(UNSEEN, UNSEEN + count)]
    parts = [render_scenes(scenes[i : i + _BLOCK], device=device) for i in range(0, count, _BLOCK)]
    return Ordinary(
        pixels=torch.cat([part.pixels for part in parts]),
        texts=[caption(scene, 0).text for scene in scenes],
        truth=Truth.joined([whole_truth(part) for part in parts]),
    )


def thinned(cases: Cases, each: int) -> Cases:
    """The first `each` scenes of every asked value; those of one value lie together."""
    asked = cases.asked.cpu()
    rows = [row for value in asked.unique() for row in (asked == value).nonzero()[:each, 0]]
    return cases.chosen(torch.stack(rows).sort().values)


def _sized(thing: SceneObject) -> str:
    words = {name: known[0] for name, known in {**SIZE_WORDS, **MATERIAL_WORDS}.items()}
    said = {name: getattr(thing, name) for name in ("size", "material", "color", "shape")}
    return noun_phrase(said, 1, words, NOUNS[thing.shape][0])
