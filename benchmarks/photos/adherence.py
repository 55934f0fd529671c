"""How well a trained model obeys each condition, on photos kept out of training.

    python benchmarks/photos/adherence.py --ckpt C --config F [--config G] --out DIR

For each condition alone and for all of them, pictures are drawn and scored twice: by the plugin's
own `adherence` and by a judge that is not the condition (`judges.py`). Arms: `alone` and `all` (a
picture against the photo whose parts it was given), `shuffled` (the pictures of `alone` against
other photos: the floor), `blind` (pictures drawn with no condition at all) and `ceiling` (the true
photo at 64 px). Intervals are 95% bootstrap over pictures.
"""

import argparse
import json
from pathlib import Path

import numpy as np
import torch
import yaml
from judges import JUDGES

from composer_pl.composing.composer import Composer
from composer_pl.conditions.adherence import adherence
from composer_pl.data.datamodule import ComposerDataModule
from composer_pl.data.sources import SourceConfig
from composer_pl.models.recipe import SamplingRecipe
from composer_pl.models.sampling import sample, sample_keys
from composer_pl.sheet import Panel, contact_sheet
from composer_pl.types import Batch


def held_out(configs: list[str], count: int, licence_free: bool) -> Batch:
    """Evenly spaced held-out samples in the order of the data module: nothing is chosen by eye."""
    data: dict = {}
    for config in configs:
        data |= yaml.safe_load(Path(config).read_text()).get("data", {})
    sources = [SourceConfig(**source) for source in data.pop("sources")]
    if licence_free:
        sources = [s for s in sources if any(n in s.root for n in ("clothing", "flowers"))]
    module = ComposerDataModule(sources=sources, **{**data, "batch_size": 10_000, "num_workers": 0})
    module.setup()
    batch = next(iter(module.val_dataloader()))
    whole = len(batch["image"])
    rows = torch.linspace(0, whole - 1, min(count, whole)).round().long()
    return Batch(
        source=batch["source"][rows],
        image=batch["image"][rows],
        caption=[batch["caption"][int(row)] for row in rows],
        index=batch["index"][rows],
        key=batch["key"][rows],
        identity=batch["identity"][rows],
    )


def interval(scores: np.ndarray, rng: np.random.Generator) -> tuple[float, float, float]:
    """Mean and 95% bootstrap interval, ignoring undefined scores."""
    scores = scores[np.isfinite(scores)]
    if not len(scores):
        return float("nan"), float("nan"), float("nan")
    means = scores[rng.integers(0, len(scores), (2000, len(scores)))].mean(1)
    low, high = np.quantile(means, [0.025, 0.975])
    return float(scores.mean()), float(low), float(high)


def to_pictures(images: torch.Tensor) -> np.ndarray:
    return ((images.clamp(-1, 1) + 1) / 2).permute(0, 2, 3, 1).cpu().numpy().astype(np.float64)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--ckpt", required=True)
    parser.add_argument("--config", action="append", required=True, help="the run's, in order")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("-n", type=int, default=64)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--guidance", type=float, default=2.0)
    parser.add_argument("--licence-free", action="store_true", help="clothing and flowers only")
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(0)

    composer = Composer.from_pretrained(args.ckpt)
    model, extraction = composer.model, composer.decomposer.extraction
    batch = held_out(args.config, args.n, args.licence_free)
    count = len(batch["image"])
    keep = extraction.available(batch)
    values = extraction.extract(batch, keep)
    truth = batch["image"]
    recipe = SamplingRecipe(steps=args.steps, guidance=args.guidance)
    size = tuple(truth.shape[-2:])

    def draw(names: tuple[str, ...], seed: int = 1) -> torch.Tensor:
        chosen = {name: values[name] for name in names}
        keys = sample_keys(seed, count)
        return sample(model, chosen, recipe, keys=keys, size=(size[0], size[1]))

    def scores(images: torch.Tensor, name: str, shift: int) -> tuple[np.ndarray, np.ndarray]:
        """Own and judge's score of pictures against the photo `shift` places further on."""
        value = values[name].roll(-shift, 0)
        own = adherence(extraction, name, images, value).numpy()
        target, judge = to_pictures(truth.roll(-shift, 0)), JUDGES[name][1]
        judged = [
            judge(picture, wanted, given)
            for picture, wanted, given in zip(
                to_pictures(images), target, value.numpy(), strict=True
            )
        ]
        return own, np.array(judged)

    arms = {"blind": draw(())}
    arms |= {name: draw((name,)) for name in model.names}
    arms["all"] = draw(model.names)
    table = []
    for name in model.names:
        rows = {
            "ceiling": scores(truth, name, 0),
            "alone": scores(arms[name], name, 0),
            "all": scores(arms["all"], name, 0),
            "shuffled": scores(arms[name], name, 1),
            "blind": scores(arms["blind"], name, 0),
        }
        for index, scorer in enumerate(("own extractor", JUDGES[name][0])):
            line = {"condition": name, "scorer": scorer}
            for arm, pair in rows.items():
                line[arm] = [round(x, 4) for x in interval(pair[index], rng)]
            way = line["ceiling"][0] - line["shuffled"][0]
            line["way"] = round((line["alone"][0] - line["shuffled"][0]) / way, 3) if way else None
            table.append(line)
    facts = {
        "checkpoint": Path(args.ckpt).name,
        "pictures": count,
        "steps": args.steps,
        "guidance": args.guidance,
        "licence_free": args.licence_free,
        "table": table,
    }
    (args.out / "adherence.json").write_text(json.dumps(facts, indent=1) + "\n")
    lines = [
        "| condition | scorer | ceiling | alone | all given | shuffled | blind | way |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    for line in table:
        cells = [
            f"{line[a][0]:.3f} [{line[a][1]:.3f}, {line[a][2]:.3f}]"
            for a in ("ceiling", "alone", "all", "shuffled", "blind")
        ]
        lines.append(
            f"| {line['condition']} | {line['scorer']} | {' | '.join(cells)} | {line['way']:.0%} |"
        )
    (args.out / "adherence.md").write_text("\n".join(lines) + "\n")
    print("\n".join(lines))

    if args.licence_free:
        worst = np.argsort(scores(arms["all"], "intensity", 0)[1])[:4].tolist()
        for title, rows in (
            ("even", torch.linspace(0, count - 1, min(10, count)).long().tolist()),
            ("worst", worst),
        ):
            panels = []
            for i in rows:
                row = [Panel(title="photo", content=(truth[i] + 1) / 2)]
                for name in model.names:
                    drawn = model.plugins[name].visualize(values[name][i : i + 1])[0]
                    row.append(Panel(title=f"{name}:", content=drawn))
                    row.append(Panel(title="-> alone", content=(arms[name][i] + 1) / 2))
                row.append(Panel(title="-> all", content=(arms["all"][i] + 1) / 2))
                row.append(Panel(title="-> none", content=(arms["blind"][i] + 1) / 2))
                panels.append(row)
            contact_sheet(panels, cell=96).save(args.out / f"grid_{title}.png", optimize=True)


if __name__ == "__main__":
    main()
