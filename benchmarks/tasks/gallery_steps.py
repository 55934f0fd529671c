"""What the gallery shows: files made by hand, and a command a picture."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

from composer_pl.cli import main as composer_pl
from composer_pl.data.scenes.wording import with_article

SEED = 2057
"""Of the scenes shown; no shipped model was trained on it, see `cli/demo_steps.py`."""
PALETTE = "#1f8a4c:1,#efe3c8:10,#c9b58a:4"
TURNED = {
    "red": "blue", "blue": "yellow", "green": "purple", "yellow": "red", "purple": "green",
    "orange": "cyan", "cyan": "orange", "white": "red",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Entry:
    """One command.

    Attributes:
        name: Of its folder.
        task: After `edit`.
        title: What it shows.
        words: Further words.
        note: What to know about it.
        more: Pictures to show beside the sheet.
    """

    name: str
    task: str
    title: str
    words: tuple[str, ...]
    note: str = ""
    more: tuple[str, ...] = ()


def prepare_scenes(out: Path) -> dict[str, str]:
    """Render scenes; draw masks, sketches and depth maps as people would. Name -> file or text."""
    folder = out / "scenes"
    if not (folder / "truth/train.jsonl").is_file():
        shutil.rmtree(folder, ignore_errors=True)
        words = ["scenes", "--out", str(folder), "-n", "3", "--size", "128", "--seed", str(SEED)]
        assert composer_pl([*words, "--min-objects", "2", "--max-objects", "3"]) == 0
    records = [json.loads(line) for line in (folder / "truth/train.jsonl").open(encoding="utf-8")]
    found = {}
    for letter, record in zip("abc", records, strict=True):
        stem = f"{int(record['index']):012d}" if "index" in record else Path(record["file"]).stem
        shutil.copy(folder / "train" / f"{stem}.png", out / f"scene-{letter}.png")
        found[letter] = str(out / f"scene-{letter}.png")
        pairs = [(thing["color"], thing["shape"]) for thing in record["objects"]]
        found[f"{letter} in words"] = _sentence(pairs)
        found[f"{letter} turned"] = _sentence([(TURNED.get(c, "red"), s) for c, s in pairs])
        ids = np.asarray(Image.open(folder / "ids/train" / f"{stem}.png"))
        nearest = int(record["instances"][0]["id"])
        mask = Image.fromarray(((ids == nearest) * 255).astype(np.uint8))
        mask = mask.filter(ImageFilter.MaxFilter(13))  # 6 px more: a tight one keeps a fringe
        mask.save(out / f"mask-{letter}.png")
        found[f"{letter} mask"] = str(out / f"mask-{letter}.png")
        depth = np.asarray(Image.open(folder / "depth/train" / f"{stem}.png")).astype(np.float64)
        depth = (depth - depth.min()) / max(float(np.ptp(depth)), 1e-6)
        reversed_map = Image.fromarray((65535 * (1 - depth)).astype(np.uint16))
        reversed_map.save(out / f"depth-reversed-{letter}.png")
        found[f"{letter} reversed depth"] = str(out / f"depth-reversed-{letter}.png")
    _pen_drawing(out / "drawing.png")
    found["drawing"] = str(out / "drawing.png")
    return found


def prepare_photos(out: Path, examples: Path, further: Path | None) -> dict[str, str]:
    """Copy the held-out examples, so that commands name files of the gallery alone."""
    found = {}
    for photo in sorted(examples.glob("*.jpg")):
        shutil.copy(photo, out / photo.name)
        found[photo.stem] = str(out / photo.name)
    more = sorted(further.rglob("*.jpg")) if further and further.is_dir() else []
    for number, photo in enumerate(more[:: max(len(more) // 2, 1)][:2]):
        shutil.copy(photo, out / f"further-{number}.jpg")
        found[f"further-{number}"] = str(out / f"further-{number}.jpg")
    if further is not None and not more:
        print(f"no further photos: {further} holds no .jpg")
    return found


def scene_entries(s: dict[str, str], prior: str) -> list[Entry]:
    """The commands on scenes."""
    a, b, c = s["a"], s["b"], s["c"]
    caption = "a scene with a red sphere and a blue cube"

    def entry(name: str, task: str, title: str, *words: str, note: str = "", more=()) -> Entry:
        return Entry(name=name, task=task, title=title, words=words, note=note, more=tuple(more))

    entries = [
        entry("text", "text", "Text to image", caption),
        entry(
            "variation-maps", "variation", "Variation: sketch, depth, shapes kept", a,
            "--keep", "sketch,depth,instances",
        ),
        entry(
            "variation-palette", "variation", "Variation: the same, and the palette", a,
            "--keep", "sketch,depth,instances,color",
        ),
        entry(
            "variation-semantics", "variation", "Variation: semantics alone", a,
            "--keep", "semantics",
        ),
        entry(
            "mix", "mix", "Composition from many sources",
            "--part", f"sketch={a}", "--part", f"depth={a}", "--part", f"color={b}",
            "--part", f"semantics={c}", "--weight", "semantics=0.5",
        ),
        entry(
            "mix-pen", "mix", "A drawing in felt pen, and a palette by hand",
            "--give", f"sketch={s['drawing']}", "--give", f"color={PALETTE}",
            note="Strokes of a pen are broader than those that the model has seen.",
        ),
        entry(
            "mix-depth", "mix", "A renderer's depth with black near, in 16 bits",
            "--give", f"depth={s['b reversed depth']}", "--part", f"semantics={b}",
        ),
        *(
            entry(
                f"style-{strength}", "style", f"Style transfer, strength {strength}", b, a,
                "--strength", strength,
            )
            for strength in ("0", "0.5", "1")
        ),
        entry(
            "translation", "translation", "Translation by text: other colours", a, s["a turned"],
            "--before", s["a in words"],
        ),
        entry(
            "translation-noise", "translation", "The same, from noise", a, s["a turned"],
            "--route", "noise",
        ),
        entry(
            "colorization", "colorization", "Colourisation by a palette of hex colours", a,
            "--palette", PALETTE,
        ),
        entry(
            "colorization-luma", "colorization", "Another's palette, luma kept exactly", a,
            "--palette", b, "--keep-luma",
        ),
        entry(
            "colorization-inversion", "colorization", "Another's palette, by inversion", a,
            "--palette", b, "--route", "inversion",
        ),
        entry("pose", "pose", "Pose transfer by shapes", a, "--like", b),
        entry(
            "pose-inversion", "pose", "The same, by inversion", a, "--like", b,
            "--route", "inversion",
        ),
        entry(
            "tryon", "tryon", "Try-on: another scene's look in the nearest object's place", a, b,
            "--mask", s["a mask"],
            note="Scenes have no clothes: the nearest object is the garment.",
        ),
        entry(
            "reconfiguration", "reconfiguration", "Reconfiguration: another palette", a,
            "--give", f"color={PALETTE}",
        ),
        entry(
            "reconfiguration-sketch", "reconfiguration", "Reconfiguration: another drawing", a,
            "--give", f"sketch={s['drawing']}", "--keep", "color,semantics",
        ),
        entry(
            "reconfiguration-depth", "reconfiguration", "Reconfiguration: another depth", a,
            "--give", f"depth={s['b reversed depth']}", "--keep", "color,semantics",
        ),
        entry(
            "region", "region", "A region by text", b, "--mask", s["b mask"],
            "--caption", s["b turned"],
        ),
        entry(
            "variation-inside", "variation", "A variation inside a region", a, "--keep",
            "semantics", "--inside", s["a mask"],
        ),
        entry("inversion", "inversion", "Inversion and back", a, "--before", "sketch,depth"),
        entry(
            "interpolation", "interpolation", "From one scene to another", a, b, "-n", "1",
            more=("strip.png",),
        ),
    ]  # fmt: skip
    if prior:
        entries.insert(
            1, entry("text-prior", "text", "The same with the prior", caption, "--prior", prior)
        )
    return entries


def photo_entries(p: dict[str, str]) -> list[Entry]:
    """The commands on photos, those included that the photo model cannot serve."""
    jacket, dress, rose, tulips, vest, flower = (
        p[name]
        for name in ("blue-jacket", "green-dress", "orange-rose", "tulips", "red-vest", "sunflower")
    )

    def entry(name: str, task: str, title: str, *words: str, note: str = "", more=()) -> Entry:
        return Entry(
            name=f"photo-{name}", task=task, title=title, words=words, note=note, more=tuple(more)
        )

    entries = [
        entry(
            "variation", "variation", "Variation: sketch and palette kept", rose,
            "--keep", "sketch,color",
        ),
        entry(
            "mix", "mix", "Sketch of one, palette of another",
            "--part", f"sketch={jacket}", "--part", f"color={dress}",
        ),
        entry(
            "colorization", "colorization", "Colourisation by another photo", jacket,
            "--palette", vest,
        ),
        entry(
            "colorization-luma", "colorization", "The same, luma kept at the photo's size", jacket,
            "--palette", vest, "--keep-luma", "-n", "2",
        ),
        entry(
            "colorization-inversion", "colorization", "The same by inversion", jacket,
            "--palette", vest, "--route", "inversion",
        ),
        entry(
            "reconfiguration", "reconfiguration", "Reconfiguration: another palette", flower,
            "--give", "color=#c01838:3,#204018:2,#f0e0e0", "--keep", "sketch,intensity",
        ),
        entry(
            "region", "region", "A region anew, with another photo's palette", tulips,
            "--mask", "0.3,0.3,0.75,0.75", "--from", rose, "--take", "color",
        ),
        entry(
            "interpolation", "interpolation", "From one palette to another", jacket, dress,
            "--blend", "color", "--keep", "sketch", "-n", "1", more=("strip.png",),
        ),
        entry("style", "style", "Style transfer", rose, jacket),
        entry("translation", "translation", "Translation by text", rose, "a red rose"),
        entry("tryon", "tryon", "Try-on", jacket, vest, "--mask", "0.2,0.2,0.9,0.8"),
        entry("pose", "pose", "Pose transfer", jacket, "--like", vest),
        entry("text", "text", "Text to image", "a red rose"),
    ]  # fmt: skip
    for name in ("further-0", "further-1"):
        if name in p:
            entries.append(
                entry(
                    name, "colorization", "A further photo, other colours", p[name],
                    "--palette", tulips, "--keep-luma", "-n", "2",
                )
            )  # fmt: skip
    return entries


def _sentence(pairs: list[tuple[str, str]]) -> str:
    things = [with_article(f"{color} {shape}") for color, shape in pairs]
    return "a scene with " + (
        ", ".join(things[:-1]) + " and " + things[-1] if things[1:] else things[0]
    )


def _pen_drawing(path: Path) -> None:
    """A ball and a box on a floor, black on white paper, with a pen of five pixels."""
    paper = Image.new("L", (256, 256), 250)
    draw = ImageDraw.Draw(paper)
    draw.ellipse([50, 105, 130, 185], outline=15, width=5)
    draw.polygon([(155, 120), (215, 120), (215, 185), (155, 185)], outline=15, width=5)
    draw.line([(155, 120), (172, 102), (232, 102), (215, 120)], fill=15, width=5, joint="curve")
    draw.line([(232, 102), (232, 167), (215, 185)], fill=15, width=5, joint="curve")
    draw.line([(0, 84), (255, 88)], fill=15, width=5)
    paper.save(path)
