"""Everything that `composer-pl eval coco-fid` is told, as values that travel to other processes."""

from dataclasses import dataclass, field, replace
from math import isfinite
from pathlib import Path

from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco.blocks import BLOCK
from composer_pl.evaluation.coco.drawing import Manner
from composer_pl.evaluation.coco.generation import Keep
from composer_pl.evaluation.coco.networks import TINY, name_of
from composer_pl.models.prior_sampling import PriorRecipe
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.upsampling import UPSAMPLING

MOST_REPEATS = 31


@dataclass(frozen=True, kw_only=True)
class CocoSettings:
    """What to measure, and how.

    Attributes:
        root: COCO root.
        out: Folder of pictures, features and results.
        ckpt: The model, as `Composer.from_pretrained` takes it.
        upsampler: Upsamplers behind it, in the order of their work.
        prior: Of image embeddings; given, both manners are measured: caption only and with prior.
        split: Of the root; empty finds the one that is there.
        captions: How many; None is all that the protocol asks for, or all there are elsewhere.
        caption_seed: Decides the caption list; the protocol's is 0.
        caption_file: A stored list to use instead.
        seed: Of the first generation.
        repeats: Generations with seeds of their own, over which the interval of FID runs.
        guidances: Each is a sweep of its own.
        recipe: How the base model samples, the guidance aside.
        upsampling: How the upsamplers sample.
        prior_recipe: How the prior samples.
        networks: Specs of `networks`.
        keep: Pictures as PNG, or features only.
        block: Pictures drawn between two writes.
        kid_size: Pictures of a subset of the kernel distance.
        kid_subsets: How many subsets.
        device: Where to run.
        bfloat16: Run base model and upsamplers in bfloat16.
        averaged: Take the averaged (EMA) weights of a checkpoint.
        not_the_protocol: Whether a departure from the protocol was asked for.
    """

    root: str
    out: str
    ckpt: str
    upsampler: tuple[str, ...] = ()
    prior: str | None = None
    split: str = ""
    captions: int | None = None
    caption_seed: int = 0
    caption_file: str | None = None
    seed: int = 0
    repeats: int = 1
    guidances: tuple[float, ...] = (3.0,)
    recipe: SamplingRecipe = field(default_factory=SamplingRecipe)
    upsampling: SamplingRecipe = UPSAMPLING
    prior_recipe: PriorRecipe = field(default_factory=PriorRecipe)
    networks: tuple[str, ...] = (TINY,)
    keep: Keep = "png"
    block: int = BLOCK
    kid_size: int = 1000
    kid_subsets: int = 100
    device: str = "cpu"
    bfloat16: bool = False
    averaged: bool = True
    not_the_protocol: bool = False

    def __post_init__(self) -> None:
        """Refuse what cannot be measured.

        Raises:
            UserInputError: A number is out of its range, or a network is named wrongly or twice.
        """
        names = [name_of(spec) for spec in self.networks]
        guidances = self.guidances
        if not guidances or len(set(guidances)) < len(guidances):
            problem = f"different guidances, at least one, found {list(guidances)}"
        elif not all(isfinite(guidance) for guidance in guidances):
            problem = f"finite guidances, found {list(guidances)}"
        elif not 1 <= self.repeats <= MOST_REPEATS:
            problem = f"1 to {MOST_REPEATS} generations, found {self.repeats}"
        elif self.block < 1:
            problem = f"blocks of at least 1 picture, found {self.block}"
        elif self.kid_size < 2 or self.kid_subsets < 2:
            problem = (
                f"at least 2 subsets of 2 pictures, found {self.kid_subsets} of {self.kid_size}"
            )
        elif not names or len(set(names)) < len(names):
            problem = f"each network once, at least one, found {', '.join(names) or 'none'}"
        else:
            return
        raise UserInputError(
            f"Setting how to measure on COCO: expected {problem}. Next: correct it."
        )

    @property
    def folder(self) -> Path:
        """`out` as a path."""
        return Path(self.out)

    def manners(self) -> list[Manner]:
        """Every way of drawing that is asked for: conditions, guidances, seeds."""
        priors = [None, self.prior_recipe] if self.prior else [None]
        return [
            Manner(
                recipe=replace(self.recipe, guidance=guidance),
                upsampling=self.upsampling,
                prior=prior,
                seed=self.seed + repeat,
                bfloat16=self.bfloat16,
            )
            for prior in priors
            for guidance in self.guidances
            for repeat in range(self.repeats)
        ]
