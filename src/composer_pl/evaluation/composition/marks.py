"""What the judge's answers to pairs of colour and shape are worth, picture by picture."""

from collections.abc import Sequence

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.data.scenes.vocabulary import SHAPES
from composer_pl.evaluation.composition.pairs import PAIRS, SEEN

Marks = dict[str, Tensor]
"""Measure -> one number a picture, on the CPU."""

_WIDTH = len(SHAPES)


def pair_marks(logits: Float[Tensor, "n 56"], asked: Int[Tensor, " n"]) -> Marks:
    """Score the most probable pair of pictures of one object; floors are exact expectations.

    The floor of a picture is its mean score against every other pair that the set asks for.

    Args:
        logits: The judge's.
        asked: Indices in `PAIRS`.
    """
    answer, asked = logits.argmax(1).cpu(), asked.cpu()
    color, shape = answer // _WIDTH == asked // _WIDTH, answer % _WIDTH == asked % _WIDTH
    seen = torch.tensor([pair in SEEN for pair in PAIRS])
    rivals = asked.unique()[None]
    different = rivals != asked[:, None]  # (n, pairs of the set)

    def floor(equal: Tensor) -> Tensor:
        return (equal & different).sum(1) / different.sum(1)

    marks = {
        "pair right": answer == asked,
        "color right": color,
        "shape right": shape,
        "confused with seen": seen[answer] & (color ^ shape),
        "pair right, shuffled": floor(answer[:, None] == rivals),
        "color right, shuffled": floor(answer[:, None] // _WIDTH == rivals // _WIDTH),
        "shape right, shuffled": floor(answer[:, None] % _WIDTH == rivals % _WIDTH),
    }
    return {name: mark.float() for name, mark in marks.items()}


def two_marks(
    logits: Float[Tensor, "n 56"], asked: Int[Tensor, " n"], other: Int[Tensor, " n"]
) -> Marks:
    """Score pictures of two objects by which pairs are present.

    Args:
        logits: The judge's.
        asked: Indices in `PAIRS`.
        other: The pair of the object beside it.
    """
    found, asked, other = (logits > 0).cpu(), asked.cpu(), other.cpu()

    def at(pair: Tensor) -> Tensor:
        return found.gather(1, pair[:, None])[:, 0]

    mixed = (asked // _WIDTH) * _WIDTH + other % _WIDTH
    reverse = (other // _WIDTH) * _WIDTH + asked % _WIDTH
    rivals = asked.unique()
    different = rivals[None] != asked[:, None]
    marks = {
        "pair found": at(asked),
        "both found": at(asked) & at(other),
        "swapped": at(mixed) | at(reverse),
        "pair found, shuffled": (found[:, rivals] & different).sum(1) / different.sum(1),
    }
    return {name: mark.float() for name, mark in marks.items()}


def nearest_seen(logits: Float[Tensor, "n 56"], asked: Int[Tensor, " n"]) -> float:
    """Share of the most frequent seen pair that shares one value, averaged over asked pairs."""
    answer, asked = logits.argmax(1).cpu(), asked.cpu()
    seen = torch.tensor([pair in SEEN for pair in PAIRS])
    shares = []
    for pair in asked.unique():
        answers = answer[asked == pair]
        alike = (answers // _WIDTH == pair // _WIDTH) ^ (answers % _WIDTH == pair % _WIDTH)
        counts = answers[alike & seen[answers]].bincount(minlength=1)
        shares.append(int(counts.max()) / len(answers))
    return round(sum(shares) / len(shares), 4)


def by_cluster(mark: Tensor, clusters: Int[Tensor, " n"], names: Sequence[str]) -> dict[str, float]:
    """Mean of each cluster."""
    clusters = clusters.cpu()
    return {
        names[int(c)]: round(float(mark[clusters == c].mean()), 4)
        for c in clusters.unique().tolist()
    }
