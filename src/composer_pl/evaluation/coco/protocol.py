"""What the protocol asks for, and in what a run departs from it."""

from collections.abc import Sequence

from composer_pl.errors import UserInputError
from composer_pl.evaluation.coco.captions import CaptionList, choose_captions
from composer_pl.evaluation.coco.drawing import Manner
from composer_pl.evaluation.coco.split import PROTOCOL_SPLIT, CocoSplit

NAME = "coco-fid"
CAPTIONS = 30_000
PICTURES = 40_504
"""Pictures of COCO 2014 validation."""
SIDE = 256
BASE_STEPS, UPSAMPLER_STEPS, PRIOR_STEPS = 50, 20, 100
"""Sampling steps as recalled from the paper's appendix; guidance is swept."""


def departures(split: CocoSplit, captions: CaptionList, *, side: int) -> list[str]:
    """In what a run is not the protocol, in words; empty when it is the protocol.

    Args:
        split: The reference.
        captions: What is drawn.
        side: Of finished pictures.
    """
    found = []
    if split.name != PROTOCOL_SPLIT:
        found.append(f"the split is {split.name}, not {PROTOCOL_SPLIT}")
    if len(split.pictures) != PICTURES:
        found.append(f"{len(split.pictures)} pictures to compare with, not {PICTURES}")
    if split.absent:
        found.append(f"{len(split.absent)} listed pictures are missing, such as {split.absent[0]}")
    if split.blank:
        found.append(f"{len(split.blank)} pictures have no caption, such as {split.blank[0]}")
    if len(captions) != CAPTIONS:
        found.append(f"{len(captions)} captions, not {CAPTIONS}")
    if captions.captions != choose_captions(split, count=len(captions)).captions:
        found.append("the captions are not those that caption seed 0 chooses")
    if side != SIDE:
        found.append(f"finished pictures of {side} px, not {SIDE}")
    return found


def sampling_departures(manner: Manner, *, enlarged: bool) -> list[str]:
    """In what pictures are drawn otherwise, in words.

    Args:
        manner: How they are drawn.
        enlarged: Whether there is an upsampler.
    """
    told = [("base model", manner.recipe.steps, BASE_STEPS)]
    if enlarged:
        told.append(("upsampler", manner.upsampling.steps, UPSAMPLER_STEPS))
    if manner.prior is not None:
        told.append(("prior", manner.prior.steps, PRIOR_STEPS))
    found = [
        f"{steps} steps of the {of}, not {asked}" for of, steps, asked in told if steps != asked
    ]
    return [*found, "networks in bfloat16, not float32"] if manner.bfloat16 else found


def hold_to_protocol(found: Sequence[str], *, asked: bool) -> None:
    """Refuse a run that is not the protocol unless it was asked for.

    Raises:
        UserInputError: It departs, and nobody said that it may.
    """
    if found and not asked:
        listed = "\n".join(f"  {reason}" for reason in found)
        raise UserInputError(
            f"Measuring zero-shot FID and CLIP score on COCO: expected {CAPTIONS} captions of "
            f"{PROTOCOL_SPLIT} against its {PICTURES} pictures at {SIDE} px, found\n{listed}\n"
            f"Next: supply what is missing, or add --not-the-protocol, which marks every number."
        )
