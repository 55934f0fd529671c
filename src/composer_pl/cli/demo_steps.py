"""The commands of `composer-pl demo`, as a person would type them."""

import importlib.util
import json
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

SCENE_SEED = 2057
"""Seed of the scenes shown; no shipped model was trained on it. Of 40 seeds the one whose smallest
object is largest, chosen by that alone."""
CAPTION = "a scene with a red sphere and a blue cube"
PHOTO_CAPTION = "a cup of coffee on a wooden table"
PALETTE = "#1f8a4c:1,#efe3c8:10,#c9b58a:4"
"""Weights are shares of the picture: a little green, the rest a light floor."""


@dataclass(kw_only=True)
class Step:
    """One command, and what came of it.

    Attributes:
        title: What it shows.
        command: Words after `composer-pl`.
        picture: What it draws.
        more: Further pictures, to be shown beside it.
        seed: Its `--seed`, where it draws at random.
        note: What to know about it.
        needs_model: Whether it is out of the question without the trained model.
        verdict: Whether what it prints is its result.
        seconds: How long it took.
        said: What it printed.
        error: Why it failed; empty when it did not.
    """

    title: str
    command: Sequence[str]
    picture: Path
    more: Sequence[Path] = ()
    seed: int | None = None
    note: str = ""
    needs_model: bool = False
    verdict: bool = False
    seconds: float = 0.0
    said: str = ""
    error: str = ""


@dataclass(frozen=True, kw_only=True)
class Plan:
    """What the demo is to show.

    Attributes:
        out: Folder of the results.
        model: A shipped model's name, a folder or a checkpoint.
        upsampler: The same for the upsampler; empty for none.
        conditions: Those of the model.
        pictures: How many each command draws.
        sampling_steps: Of each picture.
        train_seconds: Of the quickstart training; 0 for none.
    """

    out: Path
    model: str
    upsampler: str = ""
    conditions: Sequence[str] = field(default_factory=tuple)
    pictures: int = 3
    sampling_steps: int = 10
    train_seconds: int = 45

    def at(self, *names: str) -> str:
        """A path below `out`, as it is typed."""
        return str(self.out.joinpath(*names))

    def parts(self, picture: str) -> str:
        """Where a picture's parts lie."""
        return self.at("parts", picture, "parts.safetensors")


def scene_step(plan: Plan) -> Step:
    """Render two scenes that no model has seen."""
    command = [
        "scenes", "--out", plan.at("scenes"), "-n", "2", "--size", "128",
        "--seed", str(SCENE_SEED), "--min-objects", "2", "--max-objects", "3",
    ]  # fmt: skip
    first, second = (plan.out / "scenes" / "train" / f"{number:012d}.png" for number in range(2))
    return Step(title="Two scenes", command=command, picture=first, more=[second], seed=SCENE_SEED)


def model_steps(plan: Plan, captions: Sequence[str], edited: str, photo: bool) -> list[Step]:
    """Take apart, compose, edit.

    Args:
        plan: What to show.
        captions: Of the two scenes.
        edited: Caption of scene a with its nearest object exchanged.
        photo: Whether there is a real photo.
    """

    def apart(name: str, title: str, caption: str, note: str = "") -> Step:
        command = [
            "decompose", plan.at(f"{name}.png"), "--out", plan.at("parts"), "--ckpt", plan.model,
            "--seed", "3",
        ]  # fmt: skip
        command += ["--caption", caption] if "caption" in plan.conditions else []
        picture = plan.out / "parts" / name / "sheet.png"
        return Step(
            title=title, command=command, picture=picture, seed=3, note=note, needs_model=True
        )

    def made(name: str, title: str, *arguments: str, note: str = "", larger: bool = False) -> Step:
        command = [
            "compose", "--ckpt", plan.model, "--out", plan.at(name), "-n", str(plan.pictures),
            "--seed", "1", "--steps", str(plan.sampling_steps), *arguments,
        ]  # fmt: skip
        command += ["--upsampler", plan.upsampler] if larger else []
        picture = plan.out / name / "sheet.png"
        return Step(
            title=title, command=command, picture=picture, seed=1, note=note, needs_model=True
        )

    a, b = plan.parts("scene-a"), plan.parts("scene-b")
    count = len(plan.conditions)
    # Where everything is told, little is left to guide to: 3 burns in, see docs/recipes.md.
    little = ("--guidance", "1.5")
    steps = [
        apart("scene-a", "An unseen scene, taken apart", captions[0]),
        apart("scene-b", "A second scene, taken apart", captions[1]),
        made("caption", "From a caption only", "--caption", CAPTION),
        made(
            "sketch-palette",
            "Sketch of the first scene, palette of the second",
            "--from", a, "--keep", "sketch", "--from", b, "--keep", "color",
        ),
        made(
            "depth-semantics",
            "Depth and semantics of the second scene",
            "--from", b, "--keep", "depth,semantics",
        ),
        made("all", f"All {count} conditions of the first scene", "--from", a, *little),
        made(
            "colourise",
            "Colourise: intensity of the first scene, a palette typed by hand",
            "--from", a, "--keep", "intensity", "--give", f"color={PALETTE}",
        ),
        _region_step(plan, edited),
    ]  # fmt: skip
    if plan.upsampler:
        steps.append(
            made(
                "larger", f"All {count} conditions, twice the size",
                "--from", a, *little, larger=True,
            )
        )  # fmt: skip
    if photo:
        note = (
            "The model has seen rendered scenes only, and so have the encoders trained on them: "
            "a photo is none of its world. Expect its rough layout and colours at best."
        )
        steps.append(apart("photo", "A real photo, taken apart", PHOTO_CAPTION, note))
        steps.append(
            made(
                "photo-made",
                f"All {count} conditions of the photo",
                "--from", plan.parts("photo"), *little, note=note,
            )
        )  # fmt: skip
    return steps


def _region_step(plan: Plan, edited: str) -> Step:
    """Another thing in place of the first scene's nearest one."""
    command = [
        "edit", "region", plan.at("scene-a.png"), "--mask", plan.at("mask.png"),
        "--caption", edited, "--ckpt", plan.model, "--out", plan.at("region"),
        "-n", str(plan.pictures), "--seed", "1", "--steps", str(plan.sampling_steps),
    ]  # fmt: skip
    command += ["--upsampler", plan.upsampler] if plan.upsampler else []
    return Step(
        title="Edit a region: every pixel outside is kept, a new caption for the inside",
        command=command,
        picture=plan.out / "region" / "sheet.png",
        seed=1,
        note="The demo itself painted the mask over the nearest object of the first scene.",
        needs_model=True,
    )


def training_steps(plan: Plan) -> list[Step]:
    """Train the quickstart for a while and hold its curve against the reference."""
    if not plan.train_seconds:
        return []
    run, minutes = plan.out / "quickstart", divmod(plan.train_seconds, 60)
    fit = [
        "fit", "--config", plan.at("quickstart.yaml"),
        "--trainer.default_root_dir", str(run), "--model.cache_dir", plan.at("cache"),
        "--trainer.max_time", f"00:00:{minutes[0]:02d}:{minutes[1]:02d}",
        "--trainer.limit_val_batches", "0", "--previews.every_n_steps", "100000",
        "--previews.pictures", "2", "--model.sampling.steps", "10",
    ]  # fmt: skip
    compare = ["golden", "compare", str(run), "--reference", "quickstart"]
    return [
        Step(
            title=f"Train your own for {plan.train_seconds} s",
            command=fit,
            picture=run / "samples",
            note="Conditions are followed after some ten minutes; after one it has hardly begun.",
        ),
        Step(
            title="Its loss beside the reference run's",
            command=compare,
            picture=run / "golden" / "curve.png",
            verdict=True,
        ),
    ]


def photo_file() -> Path | None:
    """The photo that scikit-image's wheel holds; None where it is not installed."""
    spec = importlib.util.find_spec("skimage")
    for folder in (spec.submodule_search_locations or []) if spec is not None else []:
        path = Path(folder) / "data" / "coffee.png"
        if path.is_file():
            return path
    return None


def edited_caption(record: dict) -> tuple[int, str]:
    """The nearest object's id, and a caption with another object in its place.

    Args:
        record: A line of `truth/train.jsonl`, as `composer-pl scenes` writes it.
    """
    from composer_pl.data.scenes.wording import with_article

    nearest = int(record["instances"][0]["id"])
    words = []
    for number, thing in enumerate(record["objects"], 1):
        pair = (thing["color"], thing["shape"])
        if number == nearest:
            pair = ("yellow", "sphere") if pair != ("yellow", "sphere") else ("blue", "cube")
        words.append(with_article(f"{pair[0]} {pair[1]}"))
    listed = ", ".join(words[:-1]) + " and " + words[-1] if len(words) > 1 else words[0]
    return nearest, f"a scene with {listed}"


def truths(plan: Plan) -> list[dict]:
    """The records of the rendered scenes."""
    path = plan.out / "scenes" / "truth" / "train.jsonl"
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
