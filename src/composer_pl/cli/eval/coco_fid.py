"""`composer-pl eval coco-fid`: zero-shot FID and CLIP score on COCO; says what it needs."""

import argparse

HELP = "Zero-shot FID and CLIP score on COCO, the protocol of the paper."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("--ckpt", default="", help="model folder or .ckpt file")
    parser.add_argument("--data.root", dest="root", default="", help="COCO root with val2014")


def run(args: argparse.Namespace) -> int:
    """Check what the protocol needs and name all of it.

    Nothing is scored yet: without the upsampler any number would be that of another protocol.

    Raises:
        UserInputError: Always, in this release.
    """
    from composer_pl.errors import UserInputError
    from composer_pl.evaluation.coco_fid import needs

    listed = "\n".join(
        f"  {'found  ' if need.found else 'missing'}  {need.what}"
        for need in needs(args.root, args.ckpt)
    )
    raise UserInputError(
        f"Measuring zero-shot FID and CLIP score on COCO: the protocol needs\n{listed}\n"
        f"Next: supply what is missing; this release has no upsampler and does not score yet."
    )
