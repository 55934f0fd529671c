"""`composer-pl eval coco-fid`: the paper's zero-shot FID and CLIP score on COCO."""

import argparse
import sys
from typing import TYPE_CHECKING

from composer_pl.cli.eval.compare import RESULTS
from composer_pl.cli.eval.frame import add_model_arguments, progress_line

if TYPE_CHECKING:
    from composer_pl.evaluation.coco.settings import CocoSettings

HELP = (
    "Zero-shot FID and CLIP score: 30,000 captions of COCO 2014 validation, one a picture, against "
    "the whole validation set at 256 px. Interrupted, the same command goes on where it was."
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """The protocol's options."""
    add = parser.add_argument
    add("--data.root", dest="root", required=True, metavar="COCO", help="COCO root, with val2014")
    add_model_arguments(parser, pictures=None, sweep=True)
    add("--prior", metavar="P", help="a prior: measured are caption only and with prior")
    add("--prior-steps", type=int, metavar="N", help="sampling steps of the prior")
    add("--prior-guidance", type=float, metavar="W", help="guidance of the prior; 1 is none")
    add("--best-of", type=int, metavar="K", help="of K embeddings, the one nearest to the caption")
    add(
        "--network",
        action="append",
        metavar="SPEC",
        help="what looks at the pictures: clean-inception:FILE and inception:FILE for FID, "
        "clip:ViT-B-32-quickgelu:FILE and clip:ViT-L-14-quickgelu:FILE for CLIP scores; without a "
        "file tiny, and own, the model's CLIP if it has one; may be repeated; "
        "default: tiny, whose numbers compare only among themselves",
    )
    add("--repeats", type=int, default=1, metavar="K", help="generations, for the interval of FID")
    add("--bfloat16", action="store_true", help="run the networks in bfloat16, on a CPU too")
    add("--keep", choices=["png", "features"], default="png", help="of drawn pictures")
    add("--processes", type=int, default=1, metavar="N", help="share the work on this machine")
    add(
        "--shard",
        metavar="I/N",
        help="do the I-th of N shares and end, for machines that share the folder; the same "
        "command without it does what is left, and scores",
    )
    add("--split", default="", help="of the root; default: val2014, or the one that is there")
    add("--captions", metavar="FILE", help="a stored caption list instead of the protocol's")
    add("--caption-seed", type=int, default=0, metavar="S", help="decides the captions; default: 0")
    add("--block", type=int, default=32, metavar="N", help="pictures drawn between two writes")
    add(
        "--not-the-protocol",
        action="store_true",
        help="measure on what there is, and mark every number",
    )


def run(args: argparse.Namespace) -> int:
    """Draw, look, score, write."""
    from composer_pl.cli.output import check_output, writing
    from composer_pl.errors import UserInputError
    from composer_pl.evaluation.coco.blocks import Shard
    from composer_pl.evaluation.coco.presentation import TITLE, facts_of, headline, parts_of
    from composer_pl.evaluation.coco.processes import check_processes, work_in_processes
    from composer_pl.evaluation.coco.run import CocoRun
    from composer_pl.evaluation.coco.scores import score
    from composer_pl.evaluation.measurement import append_measurements
    from composer_pl.evaluation.report import write_report

    out = check_output(args.out)
    shard = Shard.parse(args.shard) if args.shard else None
    if shard is not None and args.processes != 1:
        raise UserInputError(
            "Reading the options of eval coco-fid: expected --shard or --processes, found both. "
            "Next: leave one out."
        )
    check_processes(args.processes)
    coco = CocoRun(_settings(args))
    progress = progress_line(f"blocks of up to {coco.settings.block} pictures")
    with writing(out):
        coco.begin()
        if shard is not None:
            coco.work(shard, progress)
            print(f"{out}: share {args.shard} done; without --shard the rest is done and scored")
            return 0
        work_in_processes(coco, args.processes, progress)
        told = (lambda what: print(f"scoring {what}", file=sys.stderr)) if progress else None
        measurements = score(coco, told)
        append_measurements(out / RESULTS, measurements)
        write_report(out, TITLE, parts_of(coco, measurements), facts=facts_of(measurements))
    print(f"{out / 'report.html'}: {headline(measurements)}")
    return 0


def _settings(args: argparse.Namespace) -> "CocoSettings":
    """The options as the library takes them."""
    from dataclasses import replace

    from composer_pl.cli.gathering import upsampling_recipe
    from composer_pl.cli.recipe_options import recipe_from_options
    from composer_pl.evaluation.coco.networks import TINY
    from composer_pl.evaluation.coco.settings import CocoSettings
    from composer_pl.models.upsampling import UPSAMPLING

    recipe = recipe_from_options(args)
    return CocoSettings(
        root=args.root,
        out=args.out,
        ckpt=args.ckpt,
        upsampler=tuple(args.upsampler or ()),
        prior=args.prior,
        split=args.split,
        captions=args.n,
        caption_seed=args.caption_seed,
        caption_file=args.captions,
        seed=args.seed,
        repeats=args.repeats,
        guidances=args.guidances or (recipe.guidance,),
        recipe=replace(recipe, max_batch=args.batch),
        upsampling=upsampling_recipe(args.upsampler_steps, args.upsampler) or UPSAMPLING,
        prior_recipe=_prior_recipe(args),
        networks=tuple(args.network or (TINY,)),
        keep=args.keep,
        block=args.block,
        device=args.device,
        bfloat16=args.bfloat16,
        averaged=not args.raw_weights,
        not_the_protocol=args.not_the_protocol,
    )


def _prior_recipe(args: argparse.Namespace):
    """How the prior samples; options about it need one."""
    from dataclasses import replace

    from composer_pl.errors import UserInputError
    from composer_pl.models.prior_sampling import PriorRecipe

    options = {
        "steps": args.prior_steps, "guidance": args.prior_guidance, "best_of": args.best_of,
    }  # fmt: skip
    given = {name: value for name, value in options.items() if value is not None}
    if given and args.prior is None:
        raise UserInputError(
            "Reading the options of eval coco-fid: --prior-steps, --prior-guidance and --best-of "
            "need a --prior, found none. Next: add --prior, or leave them out."
        )
    return replace(PriorRecipe(), **given)
