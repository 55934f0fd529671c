"""The sets of the experiment, drawn for every arm and judged: results and contrasts."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from arms import NEVER_TOGETHER
from cases import KINDS, SceneSets, thinned
from drawing import draw, to_bytes
from measures import (
    material_contrast,
    material_marks,
    pair_contrast,
    retention_contrast,
    summary,
)
from torch import Tensor

from composer_pl.conditions.extraction import Extraction
from composer_pl.evaluation.composition.cases import Cases
from composer_pl.evaluation.composition.crossing import CrossedScores, draw_crossed, score_crossed
from composer_pl.evaluation.composition.marks import by_cluster, nearest_seen
from composer_pl.evaluation.composition.pair_sets import (
    CEILING,
    Judged,
    PairSet,
    Source,
    first_of_each,
    judge_set,
    pair_set,
)
from composer_pl.evaluation.composition.pairs import PAIRS
from composer_pl.evaluation.plain import lab_agreement, outline_f1
from composer_pl.evaluation.samples import pixel_values
from composer_pl.evaluation.scenes.judge import Judge, Reading, read_pictures
from composer_pl.evaluation.scenes.truth import small
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample_keys

SHORT = ("caption", "two pictures")
"""The sets that short runs of other seeds are drawn for."""

Found = tuple[dict[str, Any], dict[str, Any]]
"""Results and contrasts of a set, as plain data."""


@dataclass(frozen=True, kw_only=True)
class Run:
    """What all sets share.

    Attributes:
        models: The arms.
        extraction: Extractors that all share.
        judge: On the device.
        recipe: How to sample.
        seed: Of noise, masks and the choice of donors.
    """

    models: Mapping[str, ComposerModel]
    extraction: Extraction
    judge: Judge
    recipe: SamplingRecipe
    seed: int

    def judged(self, asked: PairSet) -> Judged:
        """Draw and judge a set for the arms that take part in it."""
        arms = {n: m for n, m in self.models.items() if "/" not in n or asked.name in SHORT}
        return judge_set(
            asked, arms, self.extraction, self.judge, self.recipe, seed=self.seed, draw=draw
        )

    @property
    def trials(self) -> list[str]:
        """Endings of the arms that have both A and B: "", "/1", ..."""
        return [n[1:] for n in self.models if n[0] == "A" and "B" + n[1:] in self.models]


def pairs(run: Run, scenes: SceneSets, setting: str, examples: dict[str, Tensor]) -> Found:
    """A set of held-out and seen pairs."""
    two = setting == "two objects"
    seen = scenes.two_seen if two else scenes.seen
    if setting in ("two pictures", "caption and depth"):
        seen = thinned(seen, scenes.few)
    held = scenes.two_held if two else scenes.held
    asked = pair_set(setting, held=held, seen=seen, pool=scenes.seen, seed=run.seed)
    judged = run.judged(asked)
    first = first_of_each(held.asked)
    for arm, pictures in judged.pictures["held out"].items():
        if arm != CEILING:
            examples[f"{setting}: {arm}"] = to_bytes(pictures[first])
    if setting == "two pictures":
        sources = asked.sources["held out"]
        for title, name in (("shape from", "instances"), ("color from", "color")):
            source = sources[name]
            rows = source.rows[first].to(source.cases.pixels.device)
            examples[title] = to_bytes(small(source.cases.pixels[rows]))
    results = _results(judged, dict.fromkeys(asked.groups, PAIRS), "by pair")
    if not two:
        for group, arms in judged.readings.items():
            for arm, reading in arms.items():
                answer = nearest_seen(reading.pairs, asked.groups[group].asked)
                results[group][arm]["nearest seen"] = answer
    contrasts = {
        trial or "long": pair_contrast(
            _arms(judged, "held out", trial),
            _arms(judged, "seen", trial),
            held.asked,
            seen.asked,
            asked.main,
            "swapped" if two else "confused with seen",
        )
        for trial in run.trials
        if "A" + trial in judged.marks["held out"]
    }
    return results, contrasts


def condition_pair(run: Run, scenes: SceneSets) -> Found:
    """Sketch of one picture and color of another, alone and together, for the long arms."""
    given, truth = scenes.ordinary, scenes.ordinary.truth
    sketch, _ = NEVER_TOGETHER
    parts = [
        pixel_values(run.extraction, given.pixels[rows], [given.texts[r] for r in rows.tolist()],
                     NEVER_TOGETHER, seed=run.seed + int(rows[0]))
        for rows in torch.arange(len(given)).split(run.recipe.max_batch)
    ]  # fmt: skip
    values = {name: torch.cat([part[name] for part in parts]) for name in NEVER_TOGETHER}
    device = given.pixels.device

    def scorer(name: str, pictures: Tensor, rows: Tensor) -> Tensor:
        pictures, rows = pictures.to(device), rows.to(device)
        if name == sketch:
            found = read_pictures(run.judge, pictures).outlines > 0
            return outline_f1(found, truth.outlines[rows]).cpu()
        return lab_agreement(pictures, truth.image[rows]).cpu()

    marks: dict[str, dict[str, Tensor]] = {}
    scores: dict[str, CrossedScores] = {}
    for arm, model in run.models.items():
        if "/" in arm:
            continue
        with torch.autocast(device.type, torch.bfloat16, enabled=device.type == "cuda"):
            drawn = draw_crossed(
                model, truth.image.cpu(), values, [NEVER_TOGETHER], run.recipe,
                keys=sample_keys(run.seed, len(given)),
            )  # fmt: skip
        scores[arm] = score_crossed(drawn, scorer)
        marks[arm] = _retained(scores[arm])
    place = torch.arange(len(given))
    results: dict[str, Any] = {arm: summary(mark, place) for arm, mark in marks.items()}
    ceiling = next(iter(scores.values())).single
    results[CEILING] = summary({f"{n} alone": ceiling[n]["ceiling"] for n in ceiling}, place)
    contrast = {"long": retention_contrast(marks, NEVER_TOGETHER)} if "" in run.trials else {}
    return results, contrast


def _retained(scores: CrossedScores) -> dict[str, Tensor]:
    """What `retention_contrast` reads: both of two pictures, alone, floor."""
    both = scores.both[NEVER_TOGETHER]
    found: dict[str, Tensor] = {}
    for place, name in zip(("first", "second"), NEVER_TOGETHER, strict=True):
        single = scores.single[name]
        found |= {
            f"{name} alone": single["alone"],
            f"{name} both": both[f"conflicting {place}"],
            f"{name} floor": single["floor"],
        }
    return found


def materials(run: Run, scenes: SceneSets) -> Found:
    """Materials in unusual and usual sizes, asked for by caption."""
    groups = {"unusual": scenes.unusual, "usual": scenes.usual}

    def mark(reading: Reading, cases: Cases) -> dict[str, Tensor]:
        kind = "unusual" if cases is scenes.unusual else "usual"
        return material_marks(reading.materials.cpu(), cases.asked, KINDS[kind])

    judged = run.judged(
        PairSet(
            name="material",
            groups=groups,
            sources={
                group: {"caption": Source(cases=cases, rows=torch.arange(len(cases)))}
                for group, cases in groups.items()
            },
            mark=mark,
            main="material right",
        )
    )
    results = _results(judged, KINDS, "by combination")
    clusters = (scenes.unusual.asked, scenes.usual.asked)
    contrast = {}
    if "" in run.trials:
        contrast["long"] = material_contrast(
            judged.marks["unusual"], judged.marks["usual"], clusters
        )
    return results, contrast


def _results(judged: Judged, names: Mapping[str, Sequence[str]], title: str) -> dict[str, Any]:
    """Means with intervals of every arm, and the main measure by what was asked.

    Args:
        judged: The set.
        names: Group -> what `asked` is an index of.
        title: Of the means by what was asked.
    """
    results: dict[str, Any] = {}
    for group, arms in judged.marks.items():
        asked = judged.set.groups[group].asked
        for arm, marks in arms.items():
            line: dict[str, Any] = dict(summary(marks, asked))
            line[title] = by_cluster(marks[judged.set.main], asked, names[group])
            results.setdefault(group, {})[arm] = line
    return results


def _arms(judged: Judged, group: str, trial: str) -> dict[str, dict[str, Tensor]]:
    return {arm: judged.marks[group][arm + trial] for arm in "AB"}
