"""Test scenes of the composition experiment: what is asked, and which pictures parts come from."""

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace

import torch
from arms import HELD_OUT, PAIRS, RULES, SEEN, USUAL_SIZE
from corpus import UNSEEN, Corpus, build_corpus
from jaxtyping import Int
from torch import Tensor

from composer_pl.data.scenes.description import Scene, SceneObject
from composer_pl.data.scenes.rules import SceneRules
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.vocabulary import MATERIALS, SHAPES, SIZES
from composer_pl.data.scenes.wording import MATERIAL_WORDS, NOUNS, SIZE_WORDS, noun_phrase

PLAIN = tuple(material for material in MATERIALS if material != "patterned")
UNUSUAL: tuple[str, ...] = tuple(
    f"{material} {size}" for material in PLAIN for size in SIZES if size != USUAL_SIZE[material]
)
USUAL: tuple[str, ...] = tuple(f"{material} {USUAL_SIZE[material]}" for material in PLAIN)
"""Materials with the sizes that arm B saw rarely, and with those that it saw."""

_SEEDS = {"one": 71_001, "two": 71_002, "parts": 71_003, "material": 71_004}


@dataclass(kw_only=True)
class Cases:
    """Scenes and what is asked of pictures of them.

    Attributes:
        corpus: The scenes.
        asked: The asked pair of each: index in `arms.PAIRS`, or in `UNUSUAL` or `USUAL`.
        other: The pair of the object beside it, -1 where there is none.
        texts: What the caption says.
    """

    corpus: Corpus
    asked: Int[Tensor, " n"]
    other: Int[Tensor, " n"]
    texts: list[str]

    def __len__(self) -> int:
        return len(self.texts)


def pair_of(thing: SceneObject) -> str:
    """Colour and shape of an object."""
    return f"{thing.color} {thing.shape}"


def one_object(
    pairs: tuple[str, ...], each: int, *, device: torch.device | str, workers: int = 0
) -> Cases:
    """`each` scenes of a single object for every pair.

    Args:
        pairs: Of colour and shape.
        each: Scenes a pair.
        device: See `build_corpus`.
        workers: See `build_corpus`.
    """
    rules = SceneRules(max_objects=1, materials=PLAIN, required=pairs)
    found = _walk(rules, _SEEDS["one"], pairs, each, lambda scene: (pair_of(scene.objects[0]), ""))
    return _cases(found, rules, _SEEDS["one"], device=device, workers=workers)


def two_objects(
    pairs: tuple[str, ...], each: int, *, device: torch.device | str, workers: int = 0
) -> Cases:
    """`each` scenes a pair with another object beside: of a seen pair, other colour and shape."""
    excluded = () if set(pairs) & set(HELD_OUT) else HELD_OUT
    rules = SceneRules(
        min_objects=2, max_objects=2, materials=PLAIN, required=pairs, excluded=excluded
    )

    def asked(scene: Scene) -> tuple[str, str] | None:
        first, second = scene.objects
        if first.color == second.color or first.shape == second.shape:
            return None
        names = pair_of(first), pair_of(second)
        ordered = (names, names[::-1])[scene.index % 2], (names, names[::-1])[1 - scene.index % 2]
        return next((n for n in ordered if n[0] in pairs and n[1] in SEEN), None)

    found = _walk(rules, _SEEDS["two"], pairs, each, asked)
    return _cases(found, rules, _SEEDS["two"], device=device, workers=workers)


def materials(
    kinds: tuple[str, ...], each: int, *, device: torch.device | str, workers: int = 0
) -> Cases:
    """`each` scenes of a single object for every material with a size, of seen pairs.

    Args:
        kinds: `UNUSUAL` or `USUAL`.
        each: Scenes a kind.
        device: See `build_corpus`.
        workers: See `build_corpus`.
    """
    rules = SceneRules(max_objects=1, materials=PLAIN, required=kinds, excluded=HELD_OUT)

    def asked(scene: Scene) -> tuple[str, str]:
        thing = scene.objects[0]
        return f"{thing.material} {thing.size}", ""

    found = _walk(rules, _SEEDS["material"], kinds, each, asked)
    cases = _cases(found, rules, _SEEDS["material"], order=kinds, device=device, workers=workers)
    things = [scene.objects[0] for scene in cases.corpus.scenes]
    return replace(cases, texts=[_sized(thing) for thing in things])


def ordinary(count: int, *, device: torch.device | str, workers: int = 0) -> Corpus:
    """Scenes of arm A's rules with up to three objects."""
    rules = replace(RULES["A"], max_objects=3)
    indices = range(UNSEEN, UNSEEN + count)
    return build_corpus(
        indices, rules=rules, seed=_SEEDS["parts"], device=device, texts=1, workers=workers
    )


def donors(
    asked: Int[Tensor, " n"], pool: Int[Tensor, " m"], *, seed: int
) -> tuple[Tensor, Tensor]:
    """For each asked pair a picture of its shape in another colour, and one of the reverse.

    Args:
        asked: Indices in `arms.PAIRS`.
        pool: The pair of each picture to choose from.
        seed: Of the choice.

    Returns:
        Rows of the pool that give the shape, and that give the colour.
    """
    asked, pool = asked.cpu()[:, None], pool.cpu()[None]
    width = len(SHAPES)
    color = asked // width == pool // width
    shape = asked % width == pool % width
    generator = torch.Generator().manual_seed(seed)

    def one_of(fitting: Tensor) -> Tensor:
        assert bool(fitting.any(1).all()), "the pool lacks a donor"
        return torch.multinomial(fitting.double(), 1, generator=generator)[:, 0]

    return one_of(shape & ~color), one_of(color & ~shape)


def _sized(thing: SceneObject) -> str:
    words = {name: known[0] for name, known in {**SIZE_WORDS, **MATERIAL_WORDS}.items()}
    said = {name: getattr(thing, name) for name in ("size", "material", "color", "shape")}
    return noun_phrase(said, 1, words, NOUNS[thing.shape][0])


def _walk(
    rules: SceneRules,
    seed: int,
    names: tuple[str, ...],
    each: int,
    asked: Callable[[Scene], tuple[str, str] | None],
) -> Mapping[int, tuple[str, str]]:
    """Take scenes from `UNSEEN` on until every name has `each`: index -> (asked, beside it)."""
    sampler = SceneSampler(seed, rules)
    missing = Counter(dict.fromkeys(names, each))
    found: list[tuple[str, int, str]] = []
    index = UNSEEN
    while missing.total():
        answer = asked(sampler.scene(index))
        if answer is not None and missing[answer[0]] > 0:
            missing[answer[0]] -= 1
            found.append((answer[0], index, answer[1]))
        index += 1
    found.sort(key=lambda entry: (names.index(entry[0]), entry[1]))
    return {index: (name, other) for name, index, other in found}


def _cases(
    found: Mapping[int, tuple[str, str]],
    rules: SceneRules,
    seed: int,
    *,
    device: torch.device | str,
    workers: int = 0,
    order: tuple[str, ...] = PAIRS,
) -> Cases:
    corpus = build_corpus(
        list(found), rules=rules, seed=seed, device=device, texts=1, workers=workers
    )
    asked = [order.index(name) for name, _ in found.values()]
    other = [PAIRS.index(name) if name else -1 for _, name in found.values()]
    return Cases(
        corpus=corpus,
        asked=torch.tensor(asked, device=device),
        other=torch.tensor(other, device=device),
        texts=[texts[0] for texts in corpus.texts],
    )
