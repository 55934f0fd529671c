"""Two conditions of a model, from one picture or from two: drawing, and scores of what is drawn.

Pictures come in twos. In a compatible pair of conditions both are of picture i; in a conflicting
one the first is of picture i and the second of its partner. Every picture is the source of each
condition once, every arm begins with the same noise, and nothing crosses from one two to another,
so the twos are what intervals resample.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.composing.mistakes import check_finite
from composer_pl.errors import UserInputError
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample

Pair = tuple[str, str]

Scorer = Callable[[str, Float[Tensor, "b 3 h w"], Int[Tensor, " b"]], Float[Tensor, " b"] | None]
"""`(condition, pictures, rows)` -> how well pictures obey that condition of the pictures `rows`,
1 is best; None where it cannot tell."""

Marks = dict[str, Float[Tensor, " b"]]
"""Arm -> one score a picture."""


@dataclass(frozen=True, kw_only=True)
class CrossedPictures:
    """What was drawn, in [-1, 1] on the CPU; row i began with the noise of key i.

    Attributes:
        true: The pictures that conditions were taken from.
        nothing: From no condition at all.
        alone: Condition -> from that of picture i.
        compatible: Pair -> from both of picture i.
        conflicting: Pair -> from the first of picture i and the second of its partner.
    """

    true: Float[Tensor, "b 3 h w"]
    nothing: Float[Tensor, "b 3 h w"]
    alone: dict[str, Tensor]
    compatible: dict[Pair, Tensor]
    conflicting: dict[Pair, Tensor]

    @property
    def pairs(self) -> list[Pair]:
        """The pairs, in order."""
        return list(self.compatible)


@dataclass(frozen=True, kw_only=True)
class CrossedScores:
    """Scores of `CrossedPictures` by one scorer, one number a picture.

    Attributes:
        single: Condition -> `ceiling` (the true picture), `alone`, `floor` (the pictures of `alone`
            against the partner's condition), `blind` (pictures from nothing).
        both: Pair -> `compatible first`, `compatible second`, `conflicting first`, `conflicting
            second`: what is obeyed of each where both are given.
        clusters: The two that each picture belongs to.
    """

    single: dict[str, Marks]
    both: dict[Pair, Marks]
    clusters: Int[Tensor, " b"]


def partners(count: int) -> Int[Tensor, " b"]:
    """The partner of each picture: 0 and 1, 2 and 3, and so on; `count` is even."""
    return torch.arange(count) ^ 1


def all_pairs(names: Sequence[str]) -> list[Pair]:
    """Every two conditions, in the order of the names."""
    return list(combinations(names, 2))


def draw_crossed(
    model: ComposerModel,
    true: Float[Tensor, "b 3 h w"],
    values: Mapping[str, Tensor],
    pairs: Sequence[Pair],
    recipe: SamplingRecipe,
    *,
    keys: Int[Tensor, " b"],
    alone: Sequence[str] = (),
    progress: Callable[[int, int], None] | None = None,
) -> CrossedPictures:
    """Draw every arm of every pair.

    Args:
        model: On its device, in evaluation mode.
        true: Pictures at the model's size in [-1, 1], an even number of them.
        values: Their conditions, one value a picture.
        pairs: Which two conditions meet.
        recipe: How to sample; weights of conditions count in every arm that has them.
        keys: One key a picture, from which its noise is drawn.
        alone: Conditions to draw alone beside those of the pairs.
        progress: Called with (pictures drawn, of all).

    Raises:
        UserInputError: The number of pictures is odd or below two, or nothing to draw,
            or the model answers NaN.
    """
    count = len(true)
    doing = "Crossing conditions of pictures"
    if count < 2 or count % 2:
        raise UserInputError(
            f"{doing}: expected an even number of pictures, two at least, found {count}. "
            f"Next: ask for {max(count + count % 2, 2)}."
        )
    if not pairs and not alone:
        raise UserInputError(
            f"{doing}: expected two conditions at least, found {', '.join(values) or 'none'}. "
            f"Next: name a model with more conditions, or pictures with captions."
        )
    names = list(dict.fromkeys([*(name for pair in pairs for name in pair), *alone]))
    total = count * (1 + len(names) + 2 * len(pairs))
    drawn = 0

    def draw(given: Mapping[str, Tensor]) -> Tensor:
        nonlocal drawn
        parts = []
        for rows in torch.arange(count).split(recipe.max_batch):
            own = {name: value[rows] for name, value in given.items()}
            side = (true.shape[2], true.shape[3])
            parts.append(sample(model, own, recipe, keys=keys[rows], size=side).float().cpu())
            check_finite(parts[-1], doing)
            drawn += len(rows)
            if progress is not None:
                progress(drawn, total)
        return torch.cat(parts)

    other = partners(count)
    return CrossedPictures(
        true=true,
        nothing=draw({}),
        alone={name: draw({name: values[name]}) for name in names},
        compatible={(x, y): draw({x: values[x], y: values[y]}) for x, y in pairs},
        conflicting={(x, y): draw({x: values[x], y: values[y][other]}) for x, y in pairs},
    )


def score_crossed(pictures: CrossedPictures, scorer: Scorer) -> CrossedScores:
    """Score every arm by one scorer; conditions that it cannot tell are left out, and their pairs.

    Args:
        pictures: What was drawn.
        scorer: The scorer.
    """
    own = torch.arange(len(pictures.true))
    other = partners(len(own))
    single: dict[str, Marks] = {}
    for name, alone in pictures.alone.items():
        ceiling = scorer(name, pictures.true, own)
        if ceiling is None:
            continue
        found = {
            "ceiling": ceiling,
            "alone": scorer(name, alone, own),
            "floor": scorer(name, alone, other),
            "blind": scorer(name, pictures.nothing, own),
        }
        single[name] = {arm: score for arm, score in found.items() if score is not None}
    both: dict[Pair, Marks] = {}
    for pair in pictures.pairs:
        marks: Marks = {}
        for arm, drawn in (
            ("compatible", pictures.compatible[pair]),
            ("conflicting", pictures.conflicting[pair]),
        ):
            for place, name, rows in (
                ("first", pair[0], own),
                ("second", pair[1], other if arm == "conflicting" else own),
            ):
                score = scorer(name, drawn, rows) if name in single else None
                if score is not None:
                    marks[f"{arm} {place}"] = score
        both[pair] = marks
    return CrossedScores(single=single, both=both, clusters=own // 2)
