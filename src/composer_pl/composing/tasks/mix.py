"""Composition from many sources: each part from where one likes, counting as much as one likes."""

from collections.abc import Mapping
from dataclasses import replace

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.parts import Parts
from composer_pl.composing.tasks.frame import (
    DEFAULTS,
    FROM_NOISE,
    Source,
    TaskSettings,
    drawing_of,
    parts_of,
)
from composer_pl.errors import UserInputError, nearest
from composer_pl.models.recipe import ConditionGuidance

TASK = "mix"


def mix(
    composer: Composer,
    sources: Mapping[str, Source],
    *,
    weights: Mapping[str, float] | None = None,
    settings: TaskSettings = DEFAULTS,
) -> Drawing:
    """Compose parts of many sources, each with a weight of its own (paper section 3).

    Args:
        composer: The model.
        sources: Condition -> the picture that gives it, or parts that hold it.
        weights: Condition -> how much it counts; 1 is plain, 0 as if absent.
        settings: See there.

    Raises:
        TaskNeedsError: The model does not know a condition.
        UserInputError: There is no source, one lacks its part, or a weight is of an absent part.
    """
    if not sources:
        raise UserInputError(
            "Editing by mix: expected a source for at least one part, found none. Next: name one."
        )
    weights = dict(weights or {})
    for name in weights:
        if name not in sources:
            raise UserInputError(
                f"Editing by mix: a weight is given for {name!r}, and parts for "
                f"{', '.join(sources)} alone{nearest(name, sources) or '.'} Next: give that part, "
                f"or leave its weight out."
            )
    parts = Parts({})
    for name, source in sources.items():
        parts = parts | parts_of(composer, source, [name], task=TASK, seed=settings.seed)
    recipe = settings.recipe or FROM_NOISE
    conditions = dict(recipe.conditions)
    for name, weight in weights.items():
        conditions[name] = replace(conditions.get(name, ConditionGuidance()), weight=weight)
    recipe = replace(recipe, conditions=conditions)
    return drawing_of(settings, parts, task=TASK, recipe=recipe)
