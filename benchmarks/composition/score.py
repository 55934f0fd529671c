"""Run the composition experiment as planned in `README.md`: draw, judge, contrast, write.

    python benchmarks/composition/score.py --arm A=FOLDER --arm B=FOLDER --judge JUDGE --out DIR
        [--pictures 1440] [--steps 20] [--device cuda] [--workers 8]

Arms named "A/1" and "B/1" are short runs of another seed: reported beside, on the sets of `SHORT`.
"""

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

for _folder in (Path(__file__).parent, Path(__file__).parents[1] / "scene_model"):
    if str(_folder) not in sys.path:
        sys.path.insert(0, str(_folder))

from arms import HELD_OUT, NEVER_TOGETHER, PAIRS, SEEN  # noqa: E402
from cases import Cases, donors, materials, one_object, ordinary, two_objects  # noqa: E402
from drawing import draw, extraction_of, to_bytes, values_of  # noqa: E402
from judge import Judge, load_judge, read_pictures  # noqa: E402
from measures import (  # noqa: E402
    KINDS,
    Marks,
    by_cluster,
    material_contrast,
    material_marks,
    nearest_seen,
    pair_contrast,
    pair_marks,
    retention_contrast,
    summary,
    two_marks,
)
from report import Composed, markdown, write  # noqa: E402
from scores import lab_agreement, outline_f1  # noqa: E402
from truth64 import small, whole_truth  # noqa: E402

from composer_pl.conditions.extraction import Extraction  # noqa: E402
from composer_pl.models.base import ComposerModel  # noqa: E402
from composer_pl.models.recipe import SamplingRecipe  # noqa: E402
from composer_pl.models.sampling import sample_keys  # noqa: E402
from composer_pl.models.storage import load_model  # noqa: E402

SETTINGS = ("caption", "two objects", "two pictures", "caption and depth", "pair", "material")
SHORT = ("caption", "two pictures")
"""The sets of the plan, and those that short runs of other seeds are drawn for."""

_PAIR_SETTINGS = {
    "caption": (),
    "two objects": (),
    "two pictures": ("instances", "color"),
    "caption and depth": ("depth",),
}


@dataclass(kw_only=True)
class SceneSets:
    """All test scenes; pure functions of the counts, so that they can be made ahead."""

    held: Cases
    seen: Cases
    two_held: Cases
    two_seen: Cases
    unusual: Cases
    usual: Cases
    ordinary: Any
    few: int


def make_scenes(pictures: int = 1440, *, device: torch.device | str, workers: int = 0) -> SceneSets:
    """Make the scenes of all sets: `pictures` of each main one, a third of most controls."""
    many, few = max(pictures // 24, 1), max(pictures // 96, 1)
    return SceneSets(
        held=one_object(HELD_OUT, many, device=device, workers=workers),
        seen=one_object(SEEN, max(pictures // 32, 1), device=device, workers=workers),
        two_held=two_objects(HELD_OUT, many, device=device, workers=workers),
        two_seen=two_objects(SEEN, few, device=device, workers=workers),
        unusual=materials(KINDS["unusual"], max(pictures // 6, 1), device=device, workers=workers),
        usual=materials(KINDS["usual"], max(pictures // 9, 1), device=device, workers=workers),
        ordinary=ordinary(max(pictures, 16), device=device, workers=workers),
        few=few,
    )


def run_composition(
    models: Mapping[str, ComposerModel],
    extraction: Extraction,
    judge: Judge,
    *,
    device: torch.device | str,
    pictures: int = 1440,
    seed: int = 5,
    recipe: SamplingRecipe | None = None,
    scenes: SceneSets | None = None,
    settings: Sequence[str] = SETTINGS,
    workers: int = 0,
    log: Callable[[str], None] = print,
) -> Composed:
    """Draw every set for every arm from the same values and noise, and judge it.

    Args:
        models: "A", "B", and perhaps "A/1", "B/1", ...: in evaluation mode, on `device`.
        extraction: Extractors that all arms share.
        judge: On `device`.
        device: Where to work.
        pictures: Of each main set and arm.
        seed: Of noise, masks and the choice of donors.
        recipe: None takes 20 steps, guidance 2.
        scenes: Made ahead by `make_scenes`; None makes them here.
        settings: Which sets.
        workers: Processes for making scenes.
        log: Told the progress.
    """
    recipe = recipe or SamplingRecipe(steps=20, guidance=2.0, max_batch=360)
    scenes = scenes or make_scenes(pictures, device=device, workers=workers)
    run = _Run(models, extraction, judge, recipe, seed, log)
    facts: dict[str, Any] = {
        "pictures": len(scenes.held),
        "steps": recipe.steps,
        "guidance": recipe.guidance,
        "sets": {},
        "contrasts": {},
    }
    composed = Composed(facts=facts, texts=scenes.held.texts)
    for setting in settings:
        if setting == "pair":
            found = _condition_pair(run, scenes)
        elif setting == "material":
            found = _materials(run, scenes)
        else:
            found = _pairs(run, scenes, setting, composed.examples)
        facts["sets"][setting], facts["contrasts"][setting] = found
    first = _first_of_each(scenes.held.asked)
    composed.texts = [scenes.held.texts[row] for row in first.tolist()]
    composed.examples["true"] = to_bytes(small(scenes.held.corpus.pixels[first.to(device)]))
    return composed


@dataclass(kw_only=False)
class _Run:
    models: Mapping[str, ComposerModel]
    extraction: Extraction
    judge: Judge
    recipe: SamplingRecipe
    seed: int
    log: Callable[[str], None]
    began: float = field(default_factory=time.monotonic)

    def draw(
        self, title: str, count: int, values: Callable[[Tensor], Mapping[str, Tensor]]
    ) -> dict[str, Tensor]:
        """Pictures of every arm that takes part in a set, from the values of rows."""
        arms = {n: m for n, m in self.models.items() if "/" not in n or title in SHORT}
        parts: dict[str, list[Tensor]] = {arm: [] for arm in arms}
        keys = sample_keys(self.seed, count)
        for rows in torch.arange(count).split(self.recipe.max_batch):
            given = values(rows)
            for arm, model in arms.items():
                parts[arm].append(draw(model, given, self.recipe, keys[rows]))
        self.log(
            f"composition: {title}, {count} x {len(arms)}, {time.monotonic() - self.began:.0f} s"
        )
        return {arm: torch.cat(pictures) for arm, pictures in parts.items()}

    def values(
        self, pixels: Tensor, texts: Sequence[str], rows: Tensor, names: Sequence[str]
    ) -> dict[str, Tensor]:
        """Conditions of some rows of a corpus."""
        return values_of(
            self.extraction,
            pixels[rows.to(pixels.device)],
            [texts[row] for row in rows.tolist()],
            seed=self.seed + int(rows[0]),
            names=names,
        )

    @property
    def trials(self) -> list[str]:
        """Endings of the arms that have both A and B: "", "/1", ..."""
        return [n[1:] for n in self.models if n[0] == "A" and "B" + n[1:] in self.models]


def _pairs(
    run: _Run, scenes: SceneSets, setting: str, examples: dict[str, Tensor]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """A set of held-out pairs and its control of seen ones."""
    two = setting == "two objects"
    held = scenes.two_held if two else scenes.held
    seen = scenes.two_seen if two else scenes.seen
    if setting in ("two pictures", "caption and depth"):
        seen = _thinned(seen, scenes.few)
    pool = scenes.seen
    marks: dict[str, dict[str, Marks]] = {}
    results: dict[str, Any] = {}
    for group, cases in (("held out", held), ("seen", seen)):
        shape_from, color_from = donors(cases.asked, scenes.seen.asked, seed=run.seed)

        def values(
            rows: Tensor,
            cases: Cases = cases,
            shapes: Tensor = shape_from,
            colors: Tensor = color_from,
        ) -> dict[str, Tensor]:
            given: dict[str, Tensor] = {}
            for name in _PAIR_SETTINGS[setting]:
                source = colors if name == "color" else shapes
                given |= run.values(pool.corpus.pixels, pool.texts, source[rows], [name])
            if setting != "two pictures":
                given |= run.values(cases.corpus.pixels, cases.texts, rows, ["caption"])
            return given

        drawn = run.draw(setting, len(cases), values)
        if group == "held out":
            first = _first_of_each(cases.asked)
            examples |= {f"{setting}: {arm}": to_bytes(p[first]) for arm, p in drawn.items()}
            if setting == "two pictures":
                for title, source in (("shape from", shape_from), ("color from", color_from)):
                    rows = source[first].to(pool.corpus.pixels.device)
                    examples[title] = to_bytes(small(pool.corpus.pixels[rows]))
        drawn["ceiling"] = small(cases.corpus.pixels)
        for arm, pictures in drawn.items():
            logits = read_pictures(run.judge, pictures).pairs
            mark = (
                two_marks(logits, cases.asked, cases.other)
                if two
                else pair_marks(logits, cases.asked)
            )
            marks.setdefault(group, {})[arm] = mark
            line = results.setdefault(group, {}).setdefault(arm, summary(mark, cases.asked))
            if not two:
                line["nearest seen"] = nearest_seen(logits, cases.asked)
            if group == "held out":
                main = "pair found" if two else "pair right"
                line["by pair"] = by_cluster(mark[main], cases.asked, PAIRS)
    measure, wrong = ("pair found", "swapped") if two else ("pair right", "confused with seen")
    contrasts = {
        trial or "long": pair_contrast(
            _arms(marks["held out"], trial),
            _arms(marks["seen"], trial),
            held.asked,
            seen.asked,
            measure,
            wrong,
        )
        for trial in run.trials
        if "A" + trial in marks["held out"]
    }
    return results, contrasts


def _condition_pair(run: _Run, scenes: SceneSets) -> tuple[dict[str, Any], dict[str, Any]]:
    """Sketch of one picture and color of the next, alone and together."""
    corpus, truth = scenes.ordinary, whole_truth(scenes.ordinary)
    count = len(corpus)
    texts = [words[0] for words in corpus.texts]
    place = torch.arange(count)
    palette_of = place.roll(-1)
    sketch, color = NEVER_TOGETHER

    def values(rows: Tensor, names: Sequence[str]) -> dict[str, Tensor]:
        given: dict[str, Tensor] = {}
        if sketch in names:
            given |= run.values(corpus.pixels, texts, rows, [sketch])
        if color in names:
            given |= run.values(corpus.pixels, texts, palette_of[rows], [color])
        return given

    def lines(pictures: Tensor, of: Tensor) -> Tensor:
        found = read_pictures(run.judge, pictures).outlines > 0
        return outline_f1(found, truth.outlines[of.to(found.device)]).cpu()

    def colors(pictures: Tensor, of: Tensor) -> Tensor:
        return lab_agreement(pictures, truth.image[of.to(pictures.device)]).cpu()

    drawn = {
        names: run.draw("pair", count, lambda rows, names=names: values(rows, names))
        for names in ((sketch,), (color,), (sketch, color))
    }
    marks: dict[str, Marks] = {}
    for arm in drawn[sketch,]:
        alone_lines, alone_colors = drawn[sketch,][arm], drawn[color,][arm]
        both = drawn[sketch, color][arm]
        marks[arm] = {
            f"{sketch} alone": lines(alone_lines, place),
            f"{sketch} both": lines(both, place),
            f"{sketch} floor": lines(alone_lines, place.roll(7)),
            f"{color} alone": colors(alone_colors, palette_of),
            f"{color} both": colors(both, palette_of),
            f"{color} floor": colors(alone_colors, palette_of.roll(7)),
        }
    results: dict[str, Any] = {arm: summary(mark, place) for arm, mark in marks.items()}
    results["ceiling"] = summary({f"{sketch} alone": lines(truth.image, place)}, place)
    contrast = {"long": retention_contrast(marks, (sketch, color))} if "" in run.trials else {}
    return results, contrast


def _materials(run: _Run, scenes: SceneSets) -> tuple[dict[str, Any], dict[str, Any]]:
    """Materials in unusual and usual sizes, asked for by caption."""
    marks: dict[str, dict[str, Marks]] = {}
    results: dict[str, Any] = {}
    groups = {"unusual": scenes.unusual, "usual": scenes.usual}
    for group, cases in groups.items():

        def values(rows: Tensor, cases: Cases = cases) -> dict[str, Tensor]:
            return run.values(cases.corpus.pixels, cases.texts, rows, ["caption"])

        drawn = run.draw("material", len(cases), values)
        drawn["ceiling"] = small(cases.corpus.pixels)
        for arm, pictures in drawn.items():
            logits = read_pictures(run.judge, pictures).materials
            mark = material_marks(logits, cases.asked, KINDS[group])
            marks.setdefault(group, {})[arm] = mark
            line = results.setdefault(group, {}).setdefault(arm, summary(mark, cases.asked))
            line["by combination"] = by_cluster(mark["material right"], cases.asked, KINDS[group])
    clusters = (scenes.unusual.asked, scenes.usual.asked)
    contrast = {}
    if "" in run.trials:
        contrast["long"] = material_contrast(marks["unusual"], marks["usual"], clusters)
    return results, contrast


def _arms(marks: Mapping[str, Marks], trial: str) -> dict[str, Marks]:
    return {arm: marks[arm + trial] for arm in "AB"}


def _first_of_each(asked: Tensor) -> Tensor:
    """The first row of each asked value, on the CPU; rows of one value lie together."""
    asked = asked.cpu()
    new = torch.ones_like(asked, dtype=torch.bool)
    new[1:] = asked[1:] != asked[:-1]
    return new.nonzero()[:, 0]


def _thinned(cases: Cases, each: int) -> Cases:
    """The first `each` scenes of every asked value."""
    start = torch.zeros(len(cases), dtype=torch.int64)
    first = _first_of_each(cases.asked)
    start[first] = first
    rows = (torch.arange(len(cases)) - start.cummax(0).values < each).nonzero()[:, 0]
    corpus, chosen = cases.corpus, rows.to(cases.asked.device)
    fields = {name: getattr(corpus, name) for name in vars(corpus)}
    kept = {
        name: value[chosen] if isinstance(value, Tensor) else [value[r] for r in rows.tolist()]
        for name, value in fields.items()
    }
    return Cases(
        corpus=type(corpus)(**kept),
        asked=cases.asked[chosen],
        other=cases.other[chosen],
        texts=[cases.texts[row] for row in rows.tolist()],
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arm", action="append", required=True, help="NAME=FOLDER")
    parser.add_argument("--judge", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--pictures", type=int, default=1440)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--workers", type=int, default=0)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    folders = dict(arm.split("=", 1) for arm in args.arm)
    models = {name: load_model(folder).to(args.device) for name, folder in folders.items()}
    composed = run_composition(
        models,
        extraction_of(models["A"]),
        load_judge(args.judge, args.device),
        device=args.device,
        pictures=args.pictures,
        recipe=SamplingRecipe(steps=args.steps, guidance=args.guidance, max_batch=360),
        workers=args.workers,
    )
    write(composed, args.out)
    print(markdown(composed.facts))


if __name__ == "__main__":
    main()
