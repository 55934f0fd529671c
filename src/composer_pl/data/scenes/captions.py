"""Captions by grammar: what they say is chosen first, as claims that are true, and worded then.

Every choice is keyed by the scene's seed and number and the caption's own number.
"""

from collections import Counter
from dataclasses import dataclass

from composer_pl.data.scenes.claims import Claim, Relation, relations, sky_is_seen
from composer_pl.data.scenes.description import Scene, SceneObject
from composer_pl.data.scenes.draws import Draws
from composer_pl.data.scenes.wording import (
    COUNTS,
    FLOOR_WORDS,
    MATERIAL_WORDS,
    NOUNS,
    RELATION_WORDS,
    SIZE_WORDS,
    SKY_WORDS,
    joined,
    noun_phrase,
)

_Group = tuple[dict[str, str], int]  # what is said of some objects, and how many it is true of


@dataclass(frozen=True, kw_only=True)
class Caption:
    """A text and all that it says.

    Attributes:
        text: One line of English, without a full stop.
        claims: What it claims of the scene; all of it is true.
    """

    text: str
    claims: tuple[Claim, ...]


def captions(scene: Scene, count: int = 5) -> list[Caption]:
    """Return the first captions of a scene, in various wordings."""
    return [caption(scene, number) for number in range(count)]


def caption(scene: Scene, number: int = 0) -> Caption:
    """Return one caption of a scene.

    It lists all objects, or relates two that the words tell apart, sometimes counts them, and
    sometimes mentions floor and sky.

    Args:
        scene: What to describe.
        number: Which of its captions; number 0 names the colour of every object it mentions.
    """
    draws = Draws(scene.seed, scene.index, number, "scene caption")
    words = _Words(draws)
    said = {
        "color": draws.chance(0.85) or number == 0,
        "material": draws.chance(0.5),
        "size": draws.chance(0.4),
    }
    second = draws.chance(0.6)
    described = [_description(thing, said, second) for thing in scene.objects]
    text, claims = "", []
    if len(described) > 1 and draws.chance(0.45):
        text, claims = _relation(scene, described, words, draws)
    if not text:
        text, claims = _listing(described, words, draws)
    text, more = _surroundings(scene, text, draws)
    return Caption(text=text, claims=(*claims, *more))


class _Words:
    """The nouns and adjectives of one caption, the same throughout."""

    def __init__(self, draws: Draws):
        # The usual word three times of four, so that it is learned first.
        pick = {True: 0, False: -1}
        self.nouns = {shape: nouns[pick[draws.chance(0.75)]] for shape, nouns in NOUNS.items()}
        adjectives = {**SIZE_WORDS, **MATERIAL_WORDS}
        self.adjectives = {name: w[pick[draws.chance(0.7)]] for name, w in adjectives.items()}

    def phrase(self, attributes: dict[str, str], count: int) -> str:
        """Word one group of objects."""
        return noun_phrase(attributes, count, self.adjectives, self.nouns[attributes["shape"]])


def _description(thing: SceneObject, said: dict[str, bool], second: bool) -> dict[str, str]:
    """What is said of an object."""
    attributes = {name: getattr(thing, name) for name, use in said.items() if use}
    attributes["shape"] = thing.shape
    if said["material"] and thing.pattern:
        attributes["pattern"] = thing.pattern
        if second:
            attributes["second_color"] = thing.second_color
    return attributes


def _groups(described: list[dict[str, str]]) -> list[_Group]:
    counts = Counter(tuple(d.items()) for d in described)
    return [(dict(items), count) for items, count in counts.items()]


def _listing(
    described: list[dict[str, str]], words: _Words, draws: Draws
) -> tuple[str, list[Claim]]:
    """All objects, those that sound alike as one number."""
    groups = draws.shuffled(_groups(described))
    claims = [Claim(kind="objects", count=count, attributes=d) for d, count in groups]
    listed = joined([words.phrase(d, count) for d, count in groups])
    form = draws.uniform()
    total = len(described)
    if form < 0.18 and total > 1:
        claims.append(Claim(kind="total", count=total))
        return f"{COUNTS[total]} objects: {listed}", claims
    if form < 0.30:
        verb = "are" if groups[0][1] > 1 else "is"
        return f"there {verb} {listed}", claims
    if form < 0.50:
        return (
            f"{draws.choice(('a picture of', 'a rendering of', 'a scene with'))} {listed}",
            claims,
        )
    return listed, claims


def _relation(
    scene: Scene, described: list[dict[str, str]], words: _Words, draws: Draws
) -> tuple[str, list[Claim]]:
    """Two objects that the words tell apart from all others, and how they lie; empty if none."""
    alone = [i for i, d in enumerate(described) if described.count(d) == 1]
    pairs: list[tuple[int, int, Relation]] = [
        (a, b, relation)
        for a in alone
        for b in alone
        if a != b
        for relation in relations(scene, a + 1, b + 1)
    ]
    if not pairs:
        return "", []
    a, b, relation = draws.choice(pairs)
    claims = [Claim(kind="objects", count=1, attributes=described[i]) for i in (a, b)]
    claims.append(Claim(kind="relation", relation=relation, first=a + 1, second=b + 1))
    link = draws.choice(RELATION_WORDS[relation])
    text = f"{words.phrase(described[a], 1)} {link} {words.phrase(described[b], 1)}"
    rest = [d for i, d in enumerate(described) if i not in (a, b)]
    if rest and draws.chance(0.5):
        groups = _groups(rest)
        claims += [Claim(kind="objects", count=count, attributes=d) for d, count in groups]
        text = f"{text}, with {joined([words.phrase(d, count) for d, count in groups])}"
    return text, claims


def _surroundings(scene: Scene, text: str, draws: Draws) -> tuple[str, list[Claim]]:
    """Add floor and sky."""
    claims = []
    around = scene.surroundings
    if draws.chance(0.4):
        text = f"{text}, {draws.choice(FLOOR_WORDS[around.floor])}"
        claims.append(Claim(kind="floor", value=around.floor))
    if sky_is_seen(scene) and draws.chance(0.45):
        text = f"{text}, {draws.choice(SKY_WORDS[around.sky])}"
        claims.append(Claim(kind="sky", value=around.sky))
    return text, claims
