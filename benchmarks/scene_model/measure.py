"""The two measurements of trained models as `lease/measures.py` runs them on the device."""

import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "composition"))

import report
from adherence import measure_adherence
from adherence_report import write
from corpus import Corpus
from drawing import extraction_of
from score import SceneSets, run_composition
from torch import Tensor

from composer_pl.evaluation.scenes.judge import Judge
from composer_pl.models.base import ComposerModel
from composer_pl.models.recipe import SamplingRecipe


def adherence_of(
    model: ComposerModel,
    judge: Judge,
    unseen: Corpus,
    trained: Tensor,
    folder: Path,
    recipe: SamplingRecipe,
    *,
    own: bool,
    blind: ComposerModel | None = None,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Draw and score every condition alone, all and none; write table and sheets."""
    measured = measure_adherence(
        model, extraction_of(model), judge, unseen, blind=blind, recipe=recipe, own=own, log=log
    )
    write(measured, unseen, list(model.names), folder, trained)
    ways = {
        f"{line['condition']}, {line['scorer']}": line["way"] for line in measured.facts["table"]
    }
    return {"ways": ways, "all_given": measured.facts["all_given"]}


def composition_of(
    models: Mapping[str, ComposerModel],
    judge: Judge,
    scenes: SceneSets,
    folder: Path,
    settings: Sequence[str],
    *,
    steps: int,
    log: Callable[[str], None],
) -> dict[str, Any]:
    """Run the composition experiment; write results, table and sheet."""
    composed = run_composition(
        models,
        extraction_of(next(iter(models.values()))),
        judge,
        device=next(judge.parameters()).device,
        scenes=scenes,
        settings=settings,
        recipe=SamplingRecipe(steps=steps, guidance=2.0, max_batch=480),
        log=log,
    )
    report.write(composed, folder)
    return {"contrasts": composed.facts["contrasts"]}
