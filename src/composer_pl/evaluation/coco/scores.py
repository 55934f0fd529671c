"""From what networks said of pictures to measurements with intervals and manifests."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from math import sqrt
from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor

from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco.generation import Generation
from composer_pl.evaluation.coco.manifest import manifest, reference_facts
from composer_pl.evaluation.coco.networks import CONDITIONING, OWN, Scorer, title_of
from composer_pl.evaluation.coco.protocol import NAME
from composer_pl.evaluation.coco.run import CocoRun
from composer_pl.evaluation.intervals import mean_interval
from composer_pl.evaluation.measurement import Measurement
from composer_pl.evaluation.metrics.frechet import Moments, frechet_distance
from composer_pl.evaluation.metrics.kid import OVER_SUBSETS, kernel_distance, subset_size
from composer_pl.evaluation.metrics.neighbours import precision_recall
from composer_pl.randomness import derive_key, keyed_generator

NEIGHBOURS = 3
ONE_SEED = "none: one generation seed"
OVER_SEEDS = "over generation seeds, 95 %"
OVER_PICTURES = "over pictures, 95 %"
WHOLE_SETS = "none: one generation seed, and subsets are whole sets"
ONE_CAPTION = "none: a single caption"
# Student's t at 97.5 %, for 1 to 30 degrees of freedom.
_T = (
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
)  # fmt: skip

Step = Callable[[str], None]


def seeds_interval(values: Sequence[float]) -> tuple[float, float | None, float | None]:
    """Mean over generation seeds and the ends of its 95 % interval, by Student's t.

    Args:
        values: One number a seed, at most 31; a single one has no interval.
    """
    mean = sum(values) / len(values)
    if len(values) == 1:
        return mean, None, None
    spread = sqrt(sum((value - mean) ** 2 for value in values) / (len(values) - 1))
    half = _T[len(values) - 2] * spread / sqrt(len(values))
    return mean, mean - half, mean + half


def score(run: CocoRun, told: Step | None = None) -> list[Measurement]:
    """Every number of a run that is drawn.

    Args:
        run: With all blocks done.
        told: Called with what is computed next, in words.

    Raises:
        UserInputError: Blocks are missing or damaged.
    """
    run.finish()
    groups: dict[tuple[str, float], list[Generation]] = {}
    for generation in run.generations:
        manner = generation.manner
        groups.setdefault((manner.conditions, manner.recipe.guidance), []).append(generation)
    found: list[Measurement] = []
    for scorer in run.scorers:
        title = title_of(scorer.name)
        if scorer.kind == "features":
            features, digest = run.reference.numbers(scorer)
            real = _Real(features, digest, _comparing(run.settings.device))
            for (conditions, guidance), group in groups.items():
                if told is not None:
                    told(f"{title}, {conditions}, guidance {guidance:g}")
                found += _distances(run, scorer, group, real)
        else:
            for group in groups.values():
                found.append(_clip_score(run, scorer, group))
    return found


class _Real:
    """Features of the reference, and what is computed of them once.

    Args:
        features: Of all its pictures.
        digest: SHA-256 of its files.
        device: Where sets are compared.
    """

    def __init__(self, features: Float[Tensor, "n d"], digest: str, device: str):
        self.features = features.to(device)
        self.digest = digest
        self.moments = moments_of(features)


def _comparing(device: str) -> str:
    """Where sets of features are compared in float64: 40,504 by 30,000 take minutes on a CPU."""
    return device if device.startswith("cuda") else "cpu"


def moments_of(features: Float[Tensor, "n d"]) -> Moments:
    """Moments of all rows."""
    moments = Moments()
    for rows in features.split(4096):
        moments.update(rows)
    return moments


def _distances(
    run: CocoRun, scorer: Scorer, group: Sequence[Generation], real: _Real
) -> list[Measurement]:
    """FID, KID, precision and recall of one manner, with all its seeds."""
    settings, title = run.settings, title_of(scorer.name)
    pictures = min(len(run.captions), len(real.features))
    size = subset_size(settings.kid_size, pictures)
    near = _some(real.features, pictures)
    fid, kid, spread, precision, recall = [], [], [], [], []
    for generation in group:
        fake = generation.numbers(scorer)
        fid.append(frechet_distance(real.moments, moments_of(fake)))
        fake = fake.to(near.device)
        mean, deviation = kernel_distance(
            real.features, fake, size=size, subsets=settings.kid_subsets, seed=0
        )
        kid.append(mean)
        spread.append(deviation)
        if pictures > NEIGHBOURS:
            one, other = precision_recall(near, _some(fake, pictures), k=NEIGHBOURS)
            precision.append(one)
            recall.append(other)
    own = {"features": scorer.facts, "reference": reference_facts(run, real.digest)}
    kernel = {**own, "kernel": {"size": size, "subsets": settings.kid_subsets, "seed": 0}}
    balls = {**own, "balls": {"neighbours": NEIGHBOURS, "pictures": pictures}}
    found = [
        _over_seeds(run, scorer, group, f"FID, {title}", fid, own),
        _kernel(run, scorer, group, f"KID, {title}", kid, spread, kernel),
    ]
    if precision:
        found += [
            _over_seeds(run, scorer, group, f"precision, {title}", precision, balls),
            _over_seeds(run, scorer, group, f"recall, {title}", recall, balls),
        ]
    return found


def _clip_score(run: CocoRun, scorer: Scorer, group: Sequence[Generation]) -> Measurement:
    """Mean cosine of pictures and captions; pictures of one caption are resampled together."""
    cosines = [generation.numbers(scorer)[:, 0] for generation in group]
    if broken := sum(int((~each.isfinite()).sum()) for each in cosines):
        raise UserInputError(
            f"Computing the CLIP score of {title_of(scorer.name)}: expected finite cosines, found "
            f"{broken} that are none. Next: look at the pictures and the network's weights."
        )
    captions = torch.arange(len(run.captions)).repeat(len(cosines))
    interval = mean_interval(torch.cat(cosines), clusters=captions)
    several = len(run.captions) > 1
    own: dict[str, Any] = {"features": scorer.facts}
    if scorer.name in (CONDITIONING, OWN):
        own["note"] = "the conditioning network's own score"
    return Measurement(
        protocol=NAME,
        measure=f"CLIP score, {title_of(scorer.name)}",
        value=interval.value,
        # Rounding can put the mean of equal cosines outside of their resamples.
        low=min(interval.low, interval.value) if several else None,
        high=max(interval.high, interval.value) if several else None,
        interval=OVER_PICTURES if several else ONE_CAPTION,
        count=len(run.captions),
        of_protocol=not run.departures and scorer.published,
        settings=manifest(run, group, scorer, own),
    )


def _over_seeds(
    run: CocoRun,
    scorer: Scorer,
    group: Sequence[Generation],
    measure: str,
    values: Sequence[float],
    own: Mapping[str, Any],
) -> Measurement:
    value, low, high = seeds_interval(values)
    return Measurement(
        protocol=NAME,
        measure=measure,
        value=value,
        low=low,
        high=high,
        interval=ONE_SEED if low is None else OVER_SEEDS,
        count=len(run.captions),
        of_protocol=not run.departures and scorer.published,
        settings=manifest(run, group, scorer, own),
    )


def _kernel(
    run: CocoRun,
    scorer: Scorer,
    group: Sequence[Generation],
    measure: str,
    values: Sequence[float],
    spread: Sequence[float],
    own: Mapping[str, Any],
) -> Measurement:
    """Over seeds where there are several, else one standard deviation over the subsets."""
    found = _over_seeds(run, scorer, group, measure, values, own)
    if found.low is not None:
        return found
    if own["kernel"]["size"] == len(run.captions) == len(run.split.pictures):
        return replace(found, interval=WHOLE_SETS)
    low, high = found.value - spread[0], found.value + spread[0]
    return replace(found, low=low, high=high, interval=OVER_SUBSETS)


def _some(features: Float[Tensor, "n d"], count: int) -> Float[Tensor, "count d"]:
    """As many rows as there are in the smaller set, chosen by a key."""
    if len(features) == count:
        return features
    generator = keyed_generator(derive_key(0, "coco-fid", "neighbours"))
    return features[torch.randperm(len(features), generator=generator)[:count]]
