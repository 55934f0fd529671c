"""Scenes of which something is asked, and which pictures parts come from."""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Int, UInt8
from torch import Tensor

from composer_pl.data.scenes.captions import caption
from composer_pl.data.scenes.description import Scene, SceneObject
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.vocabulary import MATERIALS, SHAPES
from composer_pl.evaluation.composition.pairs import HELD_OUT, PAIRS, SEEN
from composer_pl.evaluation.scenes.rendered import UNSEEN

SIZE = 128
"""Side of the rendered pictures: what extractors see."""

PLAIN = tuple(material for material in MATERIALS if material != "patterned")
"""Materials of objects that are judged: each then has one colour."""

SEEDS = {"one": 71_001, "two": 71_002, "parts": 71_003, "material": 71_004}
"""Seeds of scenes of the sets."""

Found = tuple[Scene, tuple[str, str]]
"""A scene, what is asked of it, and what stands beside that; empty where nothing does."""

_BLOCK = 512


@dataclass(frozen=True, kw_only=True)
class Cases:
    """Scenes and what is asked of pictures of them.

    Attributes:
        scenes: The descriptions.
        pixels: sRGB, on the device that they were rendered on.
        asked: What is asked of each: an index in `PAIRS`, or in the names that it was made for.
        other: The pair of the object beside it, -1 where there is none.
        texts: What the caption says.
    """

    scenes: list[Scene]
    pixels: UInt8[Tensor, "n 3 128 128"]
    asked: Int[Tensor, " n"]
    other: Int[Tensor, " n"]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.texts)

    def chosen(self, rows: Int[Tensor, " m"]) -> "Cases":
        """Some of the cases."""
        picked = rows.tolist()
        here = rows.to(self.pixels.device)
        return Cases(
            scenes=[self.scenes[row] for row in picked],
            pixels=self.pixels[here],
            asked=self.asked[rows],
            other=self.other[rows],
            texts=[self.texts[row] for row in picked],
        )


def pair_of(thing: SceneObject) -> str:
    """Colour and shape of an object."""
    return f"{thing.color} {thing.shape}"


def one_object(pairs: Sequence[str], each: int, *, device: torch.device | str = "cpu") -> Cases:
    """`each` scenes of a single object for every pair of colour and shape."""
    rules = SceneRules(max_objects=1, materials=PLAIN, required=tuple(pairs))
    found = walk(rules, SEEDS["one"], pairs, each, lambda scene: (pair_of(scene.objects[0]), ""))
    return cases_of(found, order=PAIRS, device=device)


def two_objects(pairs: Sequence[str], each: int, *, device: torch.device | str = "cpu") -> Cases:
    """`each` scenes a pair with another object beside: of a seen pair, other colour and shape."""
    excluded = () if set(pairs) & set(HELD_OUT) else HELD_OUT
    rules = SceneRules(
        min_objects=2, max_objects=2, materials=PLAIN, required=tuple(pairs), excluded=excluded
    )

    def asked(scene: Scene) -> tuple[str, str] | None:
        first, second = scene.objects
        if first.color == second.color or first.shape == second.shape:
            return None
        pair, reverse = (pair_of(first), pair_of(second)), (pair_of(second), pair_of(first))
        ordered = (reverse, pair) if scene.index % 2 else (pair, reverse)
        return next((n for n in ordered if n[0] in pairs and n[1] in SEEN), None)

    return cases_of(walk(rules, SEEDS["two"], pairs, each, asked), order=PAIRS, device=device)


def donors(
    asked: Int[Tensor, " n"], pool: Int[Tensor, " m"], *, seed: int
) -> tuple[Int[Tensor, " n"], Int[Tensor, " n"]]:
    """For each asked pair a picture of its shape in another colour, and one of the reverse.

    Args:
        asked: Indices in `PAIRS`.
        pool: The pair of each picture to choose from.
        seed: Of the choice.

    Returns:
        Rows of the pool that give the shape, and that give the colour.
    """
    wanted, known = asked.cpu()[:, None], pool.cpu()[None]
    width = len(SHAPES)
    color = wanted // width == known // width
    shape = wanted % width == known % width
    generator = torch.Generator().manual_seed(seed)

    def one_of(fitting: Tensor) -> Tensor:
        assert bool(fitting.any(1).all()), "the pool lacks a donor"
        return torch.multinomial(fitting.double(), 1, generator=generator)[:, 0]

    return one_of(shape & ~color), one_of(color & ~shape)


def walk(
    rules: SceneRules,
    seed: int,
    names: Sequence[str],
    each: int,
    asked: Callable[[Scene], tuple[str, str] | None],
) -> list[Found]:
    """Take scenes from `UNSEEN` on until every name has `each`.

    Args:
        rules: What scenes may hold.
        seed: Of the scenes.
        names: What is asked for.
        each: Scenes a name.
        asked: Scene -> (what it can be asked for, what stands beside it); None passes it over.

    Returns:
        Scenes by name, in the order of the names.
    """
    sampler = SceneSampler(seed, rules)
    missing = Counter(dict.fromkeys(names, each))
    found: list[tuple[int, int, Scene, tuple[str, str]]] = []
    index = UNSEEN
    while missing.total():
        scene = sampler.scene(index)
        answer = asked(scene)
        if answer is not None and missing[answer[0]] > 0:
            missing[answer[0]] -= 1
            found.append((list(names).index(answer[0]), index, scene, answer))
        index += 1
    found.sort(key=lambda entry: entry[:2])
    return [(scene, answer) for _, _, scene, answer in found]


def cases_of(
    found: Sequence[Found],
    *,
    order: Sequence[str],
    device: torch.device | str = "cpu",
    texts: Callable[[Scene], str] = lambda scene: caption(scene, 0).text,
) -> Cases:
    """Render what `walk` found.

    Args:
        found: Scenes, at least one.
        order: What `asked` is an index of.
        device: Where to render.
        texts: The caption of a scene.
    """
    scenes = [scene for scene, _ in found]
    pixels = [
        render(scenes[i : i + _BLOCK], SIZE, device=device).pixels
        for i in range(0, len(scenes), _BLOCK)
    ]
    beside = [PAIRS.index(name) if name else -1 for _, (_, name) in found]
    return Cases(
        scenes=scenes,
        pixels=torch.cat(pixels),
        asked=torch.tensor([list(order).index(name) for _, (name, _) in found]),
        other=torch.tensor(beside),
        texts=[texts(scene) for scene in scenes],
    )
