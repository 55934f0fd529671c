"""Drawing image embeddings from the prior, keyed as `models/sampling.py` is."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import torch
from jaxtyping import Float, Int
from torch import Tensor

from composer_pl.diffusion.guidance import Denoiser, guided
from composer_pl.diffusion.process import GaussianDiffusion, Prediction
from composer_pl.diffusion.samplers import ddim, dpmpp_2m
from composer_pl.errors import UserInputError
from composer_pl.models.prior import PriorModel
from composer_pl.models.recipe import MOST_WEIGHT
from composer_pl.randomness import derive_key, keyed_normal
from composer_pl.types import ConditionSignals


@dataclass(frozen=True, kw_only=True)
class PriorRecipe:
    """How image embeddings are drawn.

    Attributes:
        sampler: `ddim` without noise, or `dpmpp_2m`.
        steps: Network evaluations (unCLIP: 64; the paper's COCO evaluation: 100).
        guidance: Weight of the caption against no caption; 1 means no guidance (paper: 3).
        best_of: Candidates an embedding, of which the one with the larger dot product with the
            caption's own embedding is kept (unCLIP: 2).
        max_batch: Most embeddings run through the network at once.
    """

    sampler: Literal["ddim", "dpmpp_2m"] = "ddim"
    steps: int = 64
    guidance: float = 3.0
    best_of: int = 1
    max_batch: int = 256

    def __post_init__(self) -> None:
        """Refuse what no sampler can do.

        Raises:
            UserInputError: A setting is out of its range.
        """
        if self.sampler not in ("ddim", "dpmpp_2m"):
            problem = f"sampler must be ddim or dpmpp_2m, found {self.sampler!r}"
        elif not 1 <= self.steps <= 1000:
            problem = f"steps must be in 1..1000, found {self.steps}"
        elif not -MOST_WEIGHT <= self.guidance <= MOST_WEIGHT:
            limits = f"-{MOST_WEIGHT}..{MOST_WEIGHT}"
            problem = f"guidance must be a number in {limits}, found {self.guidance}"
        elif not 1 <= self.best_of <= 100:
            problem = f"best_of must be in 1..100, found {self.best_of}"
        elif self.max_batch < 1:
            problem = f"max_batch must be at least 1, found {self.max_batch}"
        else:
            return
        raise UserInputError(f"Setting how the prior samples: {problem}. Next: correct it.")


@torch.no_grad()
def sample_embeddings(
    model: PriorModel,
    text: Float[Tensor, "captions rows width"],
    recipe: PriorRecipe,
    *,
    keys: Int[Tensor, " b"],
    progress: Callable[[int, int], None] | None = None,
) -> Float[Tensor, "b d"]:
    """Draw one image embedding for each key.

    An embedding depends on its key, its caption and the recipe alone; what is drawn together
    changes it by the rounding of batched kernels only. The first candidate of a key is the
    embedding that `best_of=1` draws.

    Args:
        model: On its device, in evaluation mode.
        text: Values of the caption condition, one for all keys or one for each.
        recipe: How to sample.
        keys: One key an embedding, from which its noise is drawn.
        progress: Called with (finished steps, all steps).

    Returns:
        Embeddings of length sqrt(width) on the model's device.

    Raises:
        UserInputError: There are neither one caption nor as many as keys.
        RepresentationError: A caption's embedding has another length.
    """
    count = len(keys)
    if len(text) not in (1, count):
        raise UserInputError(
            f"Predicting {count} image embeddings: expected one caption, or one for each, found "
            f"{len(text)}. Next: give either."
        )
    device = next(model.parameters()).device
    text = text.to(device).expand(count, -1, -1)
    # Candidates of one key lie side by side.
    each = [derive_key(int(key), "prior", i) for key in keys for i in range(recipe.best_of)]
    candidate_keys = torch.tensor(each, dtype=torch.int64)
    owner = torch.arange(count, device=device).repeat_interleave(recipe.best_of)
    total = recipe.steps * -(-len(each) // recipe.max_batch)
    drawn = [torch.zeros(0, model.width, device=device)]
    for number, start in enumerate(range(0, len(each), recipe.max_batch)):
        rows = slice(start, start + recipe.max_batch)
        done = number * recipe.steps

        def report(step: int, steps: int, done: int = done) -> None:
            if progress is not None:
                progress(done + step, total)

        given = {model.text: text[owner[rows]]}
        keep = model.keep([model.text], len(owner[rows])).to(device)
        denoise = within_ball(
            guided(
                model.predict,
                model.encode(given, keep),
                ConditionSignals() if recipe.guidance != 1 else None,
                recipe.guidance,
                model.process,
                clip_x_0=False,  # embeddings are not in [-1, 1] as pictures are
            ),
            model.process,
        )
        x_T = keyed_normal(candidate_keys[rows], "x_T", (model.width, 1, 1)).to(device)
        walk = ddim if recipe.sampler == "ddim" else dpmpp_2m
        found = walk(denoise, x_T, model.process.schedule, steps=recipe.steps, progress=report)
        drawn.append(at_length(found.flatten(1)))
    candidates = torch.cat(drawn).view(count, recipe.best_of, model.width)
    fit = (candidates * model.sentence(text)[:, None]).sum(2)
    return candidates[torch.arange(count, device=device), fit.argmax(1)]


def within_ball(denoise: Denoiser, process: GaussianDiffusion) -> Denoiser:
    """Shorten estimates of x_0 that guidance has made longer than embeddings are.

    What pictures' clamp to [-1, 1] is to pictures: embeddings lie on a sphere, so their expectation
    lies in the ball. The direction stays; eps is derived again.
    """

    def denoise_within(x_t: Tensor, t: Tensor) -> Prediction:
        found = denoise(x_t, t)
        longest = found.x_0.shape[1] ** 0.5
        length = found.x_0.norm(dim=1, keepdim=True)
        x_0 = found.x_0 * (longest / length.clamp(min=longest))
        alpha, sigma = process.alpha_sigma(t, x_t)
        return Prediction(x_0=x_0, eps=(x_t - alpha * x_0) / sigma)

    return denoise_within


def at_length(embedding: Float[Tensor, "b d"]) -> Float[Tensor, "b d"]:
    """Embeddings of the one length that encoders accept, sqrt(width)."""
    length = embedding.norm(dim=1, keepdim=True).clamp(min=1e-6)
    return embedding * (embedding.shape[1] ** 0.5 / length)
