"""Text-to-image, with and without the prior."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import TYPE_CHECKING, Any

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.identity import model_digest
from composer_pl.composing.parts import Parts
from composer_pl.composing.prior import predict_semantics
from composer_pl.composing.tasks.frame import (
    DEFAULTS,
    FROM_NOISE,
    TaskSettings,
    captioned,
    check_weights,
    drawing_of,
)
from composer_pl.models.prior_sampling import PriorRecipe
from composer_pl.randomness import derive_key

if TYPE_CHECKING:
    from composer_pl.models.prior import PriorModel

TASK = "text"


def text(
    composer: Composer,
    caption: str,
    *,
    prior: "PriorModel | None" = None,
    prior_recipe: PriorRecipe | None = None,
    prior_origin: str = "",
    settings: TaskSettings = DEFAULTS,
) -> list[Drawing]:
    """Draw what a text says (paper sections 2.3 and 3).

    Without a prior the caption alone is given. With one, each picture gets an image embedding of
    its own beside it, predicted from the caption.

    Args:
        composer: The model.
        caption: The text.
        prior: Predicts image embeddings.
        prior_recipe: How; None takes the default.
        prior_origin: Where the prior was loaded from, for the record.
        settings: See there.

    Returns:
        One drawing of `settings.n` pictures, or, with a prior, as many of one, each with a seed of
        its own.

    Raises:
        TaskNeedsError: The model reads no captions.
        UserInputError: The caption is empty.
        RepresentationError: The prior is of another CLIP than the model.
    """
    words = captioned(composer, caption, task=TASK)
    if prior is None:
        return [drawing_of(settings, words, task=TASK)]
    recipe = settings.recipe or FROM_NOISE
    check_weights(composer, recipe, [*words, prior.image], size=settings.size)
    predicted = predict_semantics(
        composer,
        prior,
        caption,
        n=settings.n,
        seed=settings.seed,
        recipe=prior_recipe,
        progress=settings.progress,
    )
    noise = composer.noise(settings.n, settings.seed, settings.size)
    # A seed of its own for each, from which the noise of upsamplers and of DDIM is drawn.
    seeds = [
        derive_key(settings.seed, "picture", i) if i else settings.seed for i in range(settings.n)
    ]
    made = {
        "sha256": model_digest(prior),
        "origin": prior_origin,
        "recipe": asdict(prior_recipe or PriorRecipe()),
        "seed": settings.seed,
    }
    return [
        drawing_of(
            replace(settings, n=1, seed=seeds[i]),
            words | _noted(semantics, {**made, "number": i}),
            task=TASK,
            noise=noise[i : i + 1],
        )
        for i, semantics in enumerate(predicted)
    ]


def _noted(predicted: Parts, made: Mapping[str, Any]) -> Parts:
    """A prediction whose facts say which prior made it and how, for the record."""
    facts = {name: {**predicted.facts.get(name, {}), "prior": dict(made)} for name in predicted}
    return Parts(predicted, predicted.notes, facts)
