"""Text-to-image, with and without the prior."""

from dataclasses import replace
from typing import TYPE_CHECKING

from composer_pl.composing.composer import Composer
from composer_pl.composing.drawing import Drawing
from composer_pl.composing.prior import predict_semantics
from composer_pl.composing.tasks.frame import (
    DEFAULTS,
    FROM_NOISE,
    TaskSettings,
    captioned,
    check_weights,
    drawing_of,
)

if TYPE_CHECKING:
    from composer_pl.models.prior import PriorModel
    from composer_pl.models.prior_sampling import PriorRecipe

TASK = "text"


def text(
    composer: Composer,
    caption: str,
    *,
    prior: "PriorModel | None" = None,
    prior_recipe: "PriorRecipe | None" = None,
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
        settings: See there.

    Returns:
        One drawing of `settings.n` pictures, or, with a prior, as many of one.

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
    one = replace(settings, n=1)
    return [
        drawing_of(one, words | semantics, task=TASK, noise=noise[i : i + 1])
        for i, semantics in enumerate(predicted)
    ]
