"""From a caption to image embeddings, as parts that compose like those of a picture."""

from collections.abc import Callable
from copy import deepcopy

import torch
from torch import Tensor

from composer_pl.composing.composer import Composer
from composer_pl.composing.mistakes import UnknownToModelError
from composer_pl.composing.parts import Parts
from composer_pl.composing.provenance import facts_of, refuse_strangers
from composer_pl.composing.requests import MAX_PICTURES
from composer_pl.errors import RepresentationError, UserInputError
from composer_pl.models.prior import PriorModel
from composer_pl.models.prior_sampling import PriorRecipe, sample_embeddings
from composer_pl.models.sampling import sample_keys

_DOING = "Predicting image embeddings from a caption"


def predict_semantics(
    composer: Composer,
    prior: PriorModel,
    caption: str,
    *,
    n: int = 1,
    seed: int = 0,
    recipe: PriorRecipe | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> list[Parts]:
    """Predict what pictures of a caption could show (paper section 2.3; unCLIP section 2.2).

    Text-to-image with the prior is `composer.read("caption", text) | predicted[i]`, composed; each
    picture of several has its own embedding. Several captions take one call each.

    Args:
        composer: The model that the embeddings are for.
        prior: The prior; moved to the composer's device.
        caption: The text.
        n: How many embeddings. Embedding i of a seed is the same for every n.
        seed: Seed of the starting noise.
        recipe: How to sample; None takes the default.
        progress: Called with (finished steps, all steps).

    Returns:
        `n` parts, each with the condition that the prior predicts and no other.

    Raises:
        UserInputError: The caption is empty, `n` is out of range, or the prior answers NaN.
        UnknownConditionError: The model does not know the condition that the prior predicts.
        RepresentationError: The prior was trained on another CLIP than the model.
    """
    check_prior(composer, prior)
    text = " ".join(caption.split())
    if not text:
        raise UserInputError(
            f"{_DOING}: expected a text, found an empty one. Next: give a caption, or compose "
            f"without the prior."
        )
    if not 1 <= n <= MAX_PICTURES:
        raise UserInputError(
            f"{_DOING}: n must be at least 1 and at most {MAX_PICTURES}, found {n}. "
            f"Next: correct it."
        )
    prior = prior.eval().requires_grad_(False).to(composer.device)
    drawn = sample_embeddings(
        prior,
        _value(composer, prior, caption)[None],
        recipe or PriorRecipe(),
        keys=sample_keys(seed, n),
        progress=progress,
    ).cpu()
    if not bool(drawn.isfinite().all()):
        raise UserInputError(
            f"{_DOING}: expected finite numbers of the prior, found NaN or Inf. "
            f"Next: use another prior, as its weights are damaged, or less guidance."
        )
    facts = {prior.image: facts_of(prior.plugins[prior.image])}
    note = {prior.image: f"predicted from {text!r}"}
    return [Parts({prior.image: embedding}, note, deepcopy(facts)) for embedding in drawn]


def check_prior(composer: Composer, prior: PriorModel) -> None:
    """Refuse a prior whose embeddings mean something else to the model.

    Raises:
        UnknownConditionError: The model does not know the condition that the prior predicts.
        RepresentationError: The prior was trained on another CLIP than the model.
    """
    if prior.image not in composer.names:
        raise UnknownToModelError(prior.image, composer.names, doing=_DOING)
    known = {name: plugin for name, plugin in prior.plugins.items() if name in composer.names}
    empty = {name: torch.zeros(0) for name in known}
    told = Parts(empty, facts={name: facts_of(plugin) for name, plugin in known.items()})
    try:
        refuse_strangers(told, composer.model.plugins, composer.decomposer.plugins)
    except RepresentationError as error:
        ours, theirs = (
            ", ".join(plugins[prior.image].agreement().values())
            for plugins in (composer.model.plugins, prior.plugins)
        )
        raise RepresentationError(
            f"{_DOING}: expected a prior of the model's CLIP ({ours}), found one of {theirs}. "
            f"Next: give a prior that was trained on the same."
        ) from error
    shapes = [
        plugins[prior.image].spec.shape for plugins in (composer.model.plugins, prior.plugins)
    ]
    if shapes[0] != shapes[1]:
        raise RepresentationError(
            f"{_DOING}: expected a prior of {prior.image} with values {shapes[0]}, as the model "
            f"reads them, found one of {shapes[1]}. Next: give a prior of the same condition."
        )


def _value(composer: Composer, prior: PriorModel, caption: str) -> Tensor:
    """The caption's value: by the model's extractor where it is the same as the prior's."""
    own = prior.plugins[prior.text]
    shared = composer.decomposer.plugins.get(prior.text)
    if isinstance(shared, type(own)) and shared.agreement() == own.agreement():
        return composer.read(prior.text, caption)[prior.text]
    return own.read(caption)
