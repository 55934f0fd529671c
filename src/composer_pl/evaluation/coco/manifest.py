"""The manifest of a number: everything that made it, as plain JSON."""

from collections.abc import Mapping, Sequence
from importlib import metadata
from pathlib import Path
from typing import Any

from composer_pl.conditions.discovery import entry_for_class
from composer_pl.evaluation.coco.drawing import CAPTION
from composer_pl.evaluation.coco.generation import Generation
from composer_pl.evaluation.coco.networks import Scorer
from composer_pl.evaluation.coco.reference import PREPARATION
from composer_pl.evaluation.coco.run import CocoRun
from composer_pl.plugin.api import ConditionPlugin


def manifest(
    run: CocoRun, group: Sequence[Generation], scorer: Scorer, own: Mapping[str, Any]
) -> dict[str, Any]:
    """All that made a number, as plain JSON; see `Measurement`."""
    settings, manner = run.settings, group[0].manner
    names = {"base": settings.ckpt, "upsampler": settings.upsampler, "prior": settings.prior}
    return {
        "model": run.artist.subject(manner),
        "captions": {
            "sha256": run.captions.digest,
            "split": run.captions.split,
            "seed": run.captions.seed,
        },
        "generation_seeds": [generation.manner.seed for generation in group],
        **manner.to_dict(enlarged=bool(run.artist.composer.cascade)),
        "side": run.artist.side,
        "encoding": "8 bits a channel, lossless",
        "departures": list(run.departures),
        "versions": versions(scorer.name, run.artist.composer.model.plugins[CAPTION]),
        **own,
        "context": {
            "device": settings.device.partition(":")[0],
            "max_batch": manner.recipe.max_batch,
            "training": dict(run.artist.composer.facts.training),
            "names": {
                stage: [Path(one).name for one in ([given] if isinstance(given, str) else given)]
                for stage, given in names.items()
                if given
            },
        },
    }


def versions(network: str, reader: ConditionPlugin) -> dict[str, str]:
    """Versions of what a number depends on.

    Args:
        network: Name of the scorer, whose own libraries count.
        reader: The condition that reads captions, whose package counts.
    """
    needed = ["composer-pl", "torch", "pillow"]
    if network.startswith("clip:"):
        needed.append("open_clip_torch")
    found = {}
    for distribution in needed:
        try:
            found[distribution] = metadata.version(distribution)
        except metadata.PackageNotFoundError:
            found[distribution] = "not installed"
    if (entry := entry_for_class(type(reader))) is not None:
        found[entry.distribution] = entry.version
    return found


def reference_facts(run: CocoRun, digest: str) -> dict[str, Any]:
    """What drawn pictures were compared with.

    Args:
        run: Whose reference.
        digest: SHA-256 of its files.
    """
    return {
        "split": run.split.name,
        "pictures": len(run.split.pictures),
        "sha256": digest,
        **PREPARATION,
    }
