"""Numbers in pages and model cards are those of the result files beside them."""

import csv
import json
import re
from hashlib import sha256
from math import prod
from pathlib import Path

import pytest
from safetensors import safe_open

ROOT = Path(__file__).parents[1]
BENCHMARKS = ROOT / "benchmarks"
SHIPPED = ROOT / "src" / "composer_pl" / "pretrained"
CARDS = {
    **{path.name: path for path in sorted(SHIPPED.iterdir())},
    "photos": BENCHMARKS / "photos" / "model",
}
CONDITIONS = (
    "caption",
    "semantics",
    "color",
    "sketch",
    "instances",
    "depth",
    "intensity",
    "masking",
)

WAYS = ("way", "way, all given", "blind way")

COUNTS = ("none", "one", "two", "three", "four", "five", "six", "seven", "all")


def load(path):
    return json.loads((BENCHMARKS / path).read_text())


def lines(path):
    return [json.loads(line) for line in (BENCHMARKS / path).read_text().splitlines()]


def tables(document, first):
    """The rows of every table of a document whose head begins with `first`, without emphasis."""
    found, rows = [], None
    for line in (ROOT / document).read_text().splitlines():
        cells = [cell.strip().replace("**", "") for cell in line.strip().strip("|").split("|")]
        if line.startswith(f"| {first}"):
            found.append(rows := [])
        elif not line.startswith("|"):
            rows = None
        elif rows is not None and set(line) - set("|:- "):
            rows.append(cells)
    return found


def percent(values):
    middle, low, high = (f"{value:.0%}" for value in values)
    return f"{middle} [{low}, {high}]"


def decimals(values, digits=3):
    middle, low, high = (f"{value:.{digits}f}" for value in values)
    return f"{middle} [{low}, {high}]"


@pytest.mark.parametrize("page", ["README.md", "benchmarks/scene_model/README.md"])
def test_adherence_of_the_scene_model(page):
    measured = {
        name: {(row["condition"], row["scorer"]): row for row in load(path)["table"]}
        for name, path in {
            "now": "scene_model/results/adherence.json",
            "before": "scene_model/results/adherence_before.json",
        }.items()
    }
    (table,) = tables(page, "condition | judge that is not the condition")
    assert [row[0] for row in table] == list(CONDITIONS)
    for condition, judge, *scores, blind, way, bar, own in (row[:9] for row in table):
        truth = measured["now"][condition, judge]
        wanted = [truth[key][0] for key in ("shuffled", "alone", "ceiling")]
        assert scores == [f"{value:.2f}" for value in wanted], condition
        assert (blind, way) == (percent(truth["blind_way"]), percent(truth["way"]))
        assert own == f"{measured['now'][condition, 'own extractor']['way'][0]:.0%}"
        goal, verdict = bar.split(", ")
        assert verdict == ("met" if truth["way"][0] >= int(goal[:-1]) / 100 else "unmet")
    for row in (row for row in table if len(row) == 10):
        assert row[9] == percent(measured["before"][row[0], row[1]]["way"])


def test_sentences_about_the_scene_model():
    facts, arms = load("scene_model/results/adherence.json"), load("scene_model/results/arms.json")
    page = (BENCHMARKS / "scene_model" / "README.md").read_text()
    given, none = facts["all_given"], facts["none_given"]
    assert f"PSNR {given['psnr'][0]:.1f} dB" in page
    assert f"SSIM of luma {given['luma_ssim'][0]:.2f}" in page
    assert f"is {none['variety']:.2f}, of true scenes {none['variety_of_truth']:.2f}" in page
    assert f"an unseen true scene ({facts['copies']['none']['unseen_median']:.3f})" in page
    card = (SHIPPED / "scenes-64" / "README.md").read_text()
    long = load("scene_model/results/long.json")
    later = [long[name]["base-long"] for name in ("long", "polish", "taught")]
    trainings = [arms["base A"], *later]
    for told in trainings:
        assert f"{told['steps']:,} steps in {told['seconds']:.0f} s" in card
    assert f"{sum(told['steps'] for told in trainings) * 256 / 1e6:.1f} million pictures" in card
    tower = long["taught"]["image tower"]
    assert (
        f"{tower['steps']:,} steps of {tower['batch']:,}, loss 2.02 to {tower['loss']:.2f}" in page
    )
    clocked = long["pictures a second, clocked"]
    assert all(f"{rate:,}" in page for rate in clocked.values())
    met = re.search(r"(\w+) of eight bars of adherence are met \(([^;]*);", card)
    (table,) = tables("README.md", "condition | judge that is not the condition")
    assert met is not None
    reached = [row[0] for row in table if row[7].endswith(" met")]
    assert met[2].split(", ") == reached
    assert met[1] == COUNTS[len(reached)]


@pytest.mark.parametrize(("place", "run"), [(0, "b"), (1, "a")])
def test_adherence_of_the_photo_model(place, run):
    measured = {
        (row["condition"], row["scorer"]): row
        for row in load(f"photos/adherence_{run}.json")["table"]
    }
    table = tables("benchmarks/photos/README.md", "condition | scorer")[place]
    assert len(table) == len(measured)
    for condition, scorer, *scores, way in table:
        truth = measured[condition, scorer]
        keys = ("ceiling", "alone", "all", "shuffled", "blind")
        assert scores == [decimals(truth[key]) for key in keys], scorer
        assert way == f"{truth['way']:.0%}"


def test_composition_of_pairs():
    results = [load(f"composition/results/{name}.json") for name in ("composition", "two_sets")]
    sets = results[0]["sets"] | results[1]["sets"]
    contrasts = results[0]["contrasts"] | results[1]["contrasts"]
    page = (BENCHMARKS / "composition" / "README.md").read_text()
    named = {  # the set, its names in the two documents, the measure
        "two pictures": ("shape of one picture, palette of another", "parts of two pictures"),
        "caption and depth": ("caption and the depth of another picture", "caption and depth"),
        "caption": ("caption", "caption: *pair right*"),
        "two objects": ("caption of two objects", "two objects: *pair found*"),
    }
    (table,) = tables("README.md", "held-out pairs, asked by")
    shown = {row[0]: row[1:] for row in table}
    for name, (short, long) in named.items():
        measure = "pair found" if name == "two objects" else "pair right"
        held, contrast = sets[name]["held out"], contrasts[name]["long"]
        arms = [held[arm][measure] for arm in ("A", "B")]
        *scores, verdict = shown[short]
        assert scores == [percent(values) for values in arms], name
        assert verdict.split(",")[0] == contrast["verdict"]
        line = f"| pairs, {long}, held out | {decimals(arms[0])} | {decimals(arms[1])} | "
        line += f"R {decimals(contrast['R'], 2)}, D {decimals(contrast['D'], 2)} | "
        assert f"{line}**{contrast['verdict']}**" in page
    for name, words in {"caption": "caption", "two pictures": "parts of two pictures"}.items():
        for scenes in ("held out", "seen"):
            long = sets[name][scenes]["A/long"]
            ceiling = sets[name][scenes]["ceiling"]["pair right"][0]
            single = ("color right", "shape right", "confused with seen", "pair right, shuffled")
            cells = [decimals(long["pair right"]), *(f"{long[key][0]:.3f}" for key in single)]
            assert f"| {words} | {scenes} | {' | '.join(cells)} | {ceiling:.3f} |" in page


def test_what_conditions_are_worth():
    measured = {
        row["measure"]: [row["value"], row["low"], row["high"]]
        for row in lines("attribution/results/results.jsonl")
    }
    (table,) = tables("benchmarks/attribution/README.md", "condition | Shapley effect")
    assert sorted(row[0] for row in table) == sorted(CONDITIONS)
    for condition, effect, share, left_out, alone in table:
        for cell, measure in (
            (effect, "Shapley effect"),
            (left_out, "left out"),
            (alone, "alone"),
        ):
            wanted = decimals(measured[f"{measure} of {condition}, all levels"], 4)
            assert cell == re.sub(r"^-(0\.0000 )", r"\1", wanted), (condition, measure)
        assert share == percent(measured[f"share of {condition}, all levels"])


def test_every_line_about_the_tasks():
    columns = ("before", "task", "floor", "ceiling")
    (table,) = tables("benchmarks/tasks/README.md", "task | aspect | before")
    measured = load("tasks/measured.json")["table"]
    for row, truth in zip(table, measured, strict=True):
        whose = {"own": "itself", "other": "its other", "twin": "its twin"}[truth["whose"]]
        wanted = [truth["line"], f"{truth['role']}: {truth['aspect']} of {whose}"]
        wanted += [decimals(truth[key]) if truth.get(key) else "" for key in columns]
        assert row == [*wanted, percent(truth["way"])]


def test_guidance_of_inversions():
    files = ("tasks/measured.json", "tasks/guidance-of-inversions.json")
    one, three = ({(r["line"], r["aspect"]): r for r in load(file)["table"]} for file in files)
    (table,) = tables("benchmarks/tasks/README.md", "task | aspect | guidance 1")
    assert [row[0] for row in table] == [line for line, _ in three]
    for row, (key, truth) in zip(table, three.items(), strict=True):
        cells = [decimals(run[key]["task"], 2) for run in (one, three)]
        assert row[1:] == [f"{truth['role']}: {key[1]}", *cells]


@pytest.mark.parametrize("side", [256, 1024])
def test_stages_of_the_cascade(side):
    measured = load(f"cascade/stage-{side}.json")
    head = f"{side // 4} → {side} px, {measured['pictures']} scenes"
    (table,) = tables("benchmarks/cascade/README.md", head)
    names = {"one sample": "model", "bicubic interpolation": "bicubic"}
    for name, perceptual, patches, sharpness, consistency, psnr in table:
        truth = measured["rows"][names.get(name, name)]
        assert [perceptual, patches, sharpness, consistency, psnr] == [
            f"{truth['perceptual']:.3f}",
            f"{truth['patches']:.2f}",
            f"{truth['sharpness']:.2f}",
            f"{truth['consistency']:.1f}",
            f"{truth['psnr']:.1f}",
        ]


def test_stages_at_full_size():
    measured = load("cascade/full-size.json")["rows"]
    (table,) = tables("benchmarks/cascade/README.md", "drawn | PSNR | consistency")
    assert [row[0] for row in table] == list(measured)
    for name, psnr, consistency, *others in table:
        truth = measured[name]
        assert (psnr, consistency) == (f"{truth['psnr']:.1f}", f"{truth['consistency']:.1f}")
        assert others == [f"{truth[key]:.2f}" for key in ("patches", "seam", "grid")]


def test_the_prior_and_its_card():
    page = (BENCHMARKS / "prior" / "README.md").read_text()
    for line in (BENCHMARKS / "prior" / "results" / "prior.md").read_text().splitlines():
        assert line in page
    table = {row[0]: row[1:] for row in tables("benchmarks/prior/results/prior.md", "| right")[0]}
    caption, predicted = table["caption's own embedding"], table["predicted, guidance 3"]
    middle, low, high = (float(number) for number in re.findall(r"[\d.]+", predicted[2]))
    card = (SHIPPED / "scenes-prior" / "README.md").read_text()
    assert f"cosine to the true embedding {middle:.2f} [{low:.2f}, {high:.2f}]" in card
    assert f"(the caption's own: {float(caption[2].split()[0]):.2f})" in card
    assert f"first among 100 {float(predicted[0].split()[0]):.0%}" in card


def test_encoders_and_the_judge():
    facts = load("scene_model/encoders.json")
    clip, depth, judge = facts["clip"], facts["depth"], facts["judge"]
    for plugin in ("caption", "semantics"):
        page = (ROOT / "plugins" / plugin / "README.md").read_text()
        assert f"picture to text {clip['image_to_text_top1']:.0%} top 1" in page
        assert f"{clip['image_to_text_top5']:.0%} top 5" in page
        back = [clip[f"text_to_image_top{k}"] for k in (1, 5)]
        assert "text to picture {:.0%} and {:.0%}".format(*back) in page
        assert said(facts["training"]["clip"]) in page
        assert said(facts["training"]["image tower"]) in page
    page = (ROOT / "plugins" / "depth" / "README.md").read_text()
    assert f"mean error {depth['error']:.3f} of the range" in page
    assert f"correlation {depth['correlation']:.3f}" in page
    assert said(facts["training"]["depth"]) in page
    page = (ROOT / "plugins" / "instances" / "README.md").read_text()
    keys = ("recall", "precision", "mask_iou", "right_class", "map_shape_iou", "map_category_iou")
    assert "| 256 | " + " | ".join(f"{facts['instances'][key]:.3f}" for key in keys) in page
    assert said(facts["training"]["instances"]).replace(",", " in") in page
    for page in (BENCHMARKS / "scene_model" / "README.md", SHIPPED / "scenes-judge" / "README.md"):
        text = " ".join(page.read_text().split())
        assert f"single object {judge['pair_of_one_object']:.0%}" in text
        assert f"F1 of present pairs {judge['pair_f1']:.2f}" in text
        assert f"shape IoU {judge['shape_iou']:.2f}, outline F1 {judge['outline_f1']:.2f}" in text
        assert f"floor {judge['floor']:.0%}, sky {judge['sky']:.0%}" in text


@pytest.mark.parametrize("plugin", ["caption", "semantics", "depth", "instances"])
def test_the_card_of_shipped_encoders_states_the_digest_of_the_file_it_names(plugin):
    folder = ROOT / "plugins" / plugin
    card = (folder / "README.md").read_text()
    (name,) = set(re.findall(r"`weights/([\w.-]+)`", card))
    content = (folder / "src" / f"composer_pl_{plugin}" / "weights" / name).read_bytes()
    assert re.findall(r"sha256 `([0-9a-f]{64})`", card) == [sha256(content).hexdigest()]


def said(training):
    return f"{training['steps']:,} steps of {training['batch']:,}, {training['seconds']:.0f} s"


@pytest.mark.parametrize("name", CARDS)
def test_a_card_tells_its_weights_as_they_are(name):
    folder = CARDS[name]
    card = " ".join((folder / "README.md").read_text().split())
    weights = folder / "model.safetensors"
    with safe_open(weights, "numpy") as file:
        slices = [file.get_slice(key) for key in file.keys()]  # noqa: SIM118
        count = sum(prod(part.get_shape()) for part in slices if part.get_dtype() == "F16")
    told = re.search(r"(\d+\.\d+) (?:million|M) parameters", card)
    assert told is not None
    digits = len(told[1].split(".")[1])
    assert told[1] == f"{count / 1e6:.{digits}f}"
    for digest in re.findall(r"\b[0-9a-f]{64}\b", card):
        assert digest == sha256(weights.read_bytes()).hexdigest()


def test_cards_of_the_upsamplers():
    for side in (256, 1024):
        card = (SHIPPED / f"scenes-{side}" / "README.md").read_text()
        rows = load(f"cascade/stage-{side}.json")["rows"]
        for told, truth in re.findall(r"PSNR \((\d+\.\d) to (\d+\.\d) dB\)", card):
            assert told == f"{rows['mean of 4 samples']['psnr']:.1f}"
            assert truth == f"{rows['bicubic']['psnr']:.1f}"
    facts = load("scene_model/results/upsampler.json")
    ours, bicubic = facts["model"], facts["bicubic"]
    card = (SHIPPED / "scenes-128" / "README.md").read_text()
    assert f"{facts['pictures']} unseen scenes, {facts['steps']} steps" in card
    assert f"PSNR {ours['psnr']:.1f} dB ({bicubic['psnr']:.1f})" in card
    assert f"at edges {ours['psnr_edges']:.1f} ({bicubic['psnr_edges']:.1f})" in card
    assert f"sharpness {ours['sharpness']:.2f} ({bicubic['sharpness']:.2f}; 1 is right)" in card
    assert f"input {ours['consistency']:.1f} dB ({bicubic['consistency']:.1f})" in card


def test_how_far_the_quickstart_follows():
    found = {row["measure"]: row for row in lines("baselines/results/quickstart.jsonl")}
    (table,) = tables("benchmarks/baselines/README.md", "condition, judge | alone | all four")
    for name, *cells in table:
        condition, _, judge = name.partition(", ")
        assert cells == [percent(interval(found[f"{condition} by {judge}: {way}"])) for way in WAYS]


def test_the_quickstart_promises_what_its_reference_run_had():
    curve = ROOT / "src" / "composer_pl" / "golden" / "quickstart" / "curve-1.csv"
    losses = [float(row["loss"]) for row in csv.DictReader(curve.read_text().splitlines())]
    comment = (ROOT / "configs" / "quickstart.yaml").read_text()
    promises = re.findall(r"(0\.\d+) at steps ([\d,]+) to ([\d,]+)", comment.replace("\n# ", " "))
    assert len(promises) == 3
    for told, first, last in promises:
        part = losses[int(first.replace(",", "")) - 1 : int(last.replace(",", ""))]
        assert told == f"{sum(part) / len(part):.3f}"


def interval(row):
    return [row["value"], row["low"], row["high"]]


def test_how_the_shipped_model_obeys():
    now = {row["measure"]: row for row in lines("control/results/results.jsonl")}
    (table,) = tables("benchmarks/control/README.md", "condition | independent judge")
    assert [row[0] for row in table] == list(CONDITIONS)
    for condition, judge, *ways, own in table:
        truth = [percent(interval(now[f"{condition} by {judge}: {name}"])) for name in WAYS]
        assert ways == [re.sub(r"-(0%)", r"\1", cell) for cell in truth], condition
        assert own == f"{now[f'{condition} by own extractor: way']['value']:.0%}"
    (table,) = tables("benchmarks/control/README.md", "given | variety")
    for given, variety, spread, distance, *shares in table:
        row = [interval(now[f"{given}: {name}"]) for name in ("variety", "precision", "recall")]
        assert [variety, *shares] == [percent(values) for values in row], given
        assert distance == decimals(interval(now[f"{given}: kernel distance"]))
        assert not spread or spread == percent(interval(now[f"{given}: spread"]))
    seen = {row["measure"]: row for row in lines("control/results/seen/results.jsonl")}
    (table,) = tables("benchmarks/control/README.md", "condition, judge")
    for name, way, _ in table:
        condition, judge = name.split(", ", 1)
        assert way == percent(interval(seen[f"{condition} by {judge}: way"]))


@pytest.mark.parametrize("arm", ["alone", "all eight"])
def test_obedience_over_guidance(arm):
    """The page rounds numbers, its result file holds them to three decimals."""
    (table,) = tables("benchmarks/control/README.md", {
        "alone": "given alone, judge", "all eight": "all eight given, judge"
    }[arm])  # fmt: skip
    place = ["alone", "all eight"].index(arm)
    truth = tables("benchmarks/control/results/guidance.md", "condition and judge")[place]
    short = {row[0]: row[1 + 5 * place : 6 + 5 * place]
             for row in tables("docs/recipes.md", "condition | alone, 1")[0]}  # fmt: skip
    for shown, wanted in zip(table, truth, strict=True):
        assert shown[0].replace(", by ", " by ") == wanted[0]
        for cell, number in zip(shown[1:], wanted[1:], strict=True):
            told = [int(part) / 100 for part in re.findall(r"-?\d+(?=%)", cell)]
            measured = [float(part) for part in re.findall(r"-?\d+\.\d+", number)]
            assert told == pytest.approx(measured, abs=0.0056), (shown[0], cell)
        firsts = [cell.split()[0] for cell in shown[1:]]
        assert short[shown[0].split(", by")[0]] == firsts


def test_what_the_shipped_model_composes():
    sets = load("composition/results/shipped.json")["sets"]
    page = (BENCHMARKS / "composition" / "README.md").read_text()
    for name, words in {
        "caption": "caption",
        "two pictures": "parts of two pictures",
        "caption and depth": "caption and depth",
    }.items():
        for scenes in ("held out", "seen"):
            shown, ceiling = sets[name][scenes]["A"], sets[name][scenes]["ceiling"]
            single = ("color right", "shape right", "confused with seen", "pair right, shuffled")
            cells = [decimals(shown["pair right"]), *(f"{shown[key][0]:.3f}" for key in single)]
            line = f"| {words}, 6.8 million | {scenes} | {' | '.join(cells)} | "
            assert f"{line}{ceiling['pair right'][0]:.3f} |" in page


def test_who_wins_where_parts_contradict():
    measured = {row["measure"]: row for row in lines("composition/results/who_wins.jsonl")}
    (table,) = tables("benchmarks/composition/README.md", "first | second | first keeps")
    for first, second, *kept, _, judged, _ in table:
        keeps = [f"{first} keeps beside conflicting {second}",
                 f"{second} keeps beside conflicting {first}"]  # fmt: skip
        own = [percent(interval(measured[f"{name}, own extractor"])) for name in keeps]
        assert kept == own, (first, second)
        told = [f"{measured[f'{name}, independent judge']['value']:.0%}" for name in keeps]
        assert judged == ", ".join(told)


def test_scores_over_guidance_and_with_the_prior():
    names = ("FID, tiny", "KID, tiny", "precision, tiny", "recall, tiny",
             "CLIP score, the model's own CLIP")  # fmt: skip
    digits = (2, 3, 2, 2, 3)
    measured = {}
    for row in lines("coco-zero-shot/results.jsonl"):
        drawn = row["settings"]
        key = (row["count"], drawn["conditions"], f"{drawn['recipe']['guidance']:g}")
        measured[*key, row["measure"]] = row
    page = "benchmarks/coco-zero-shot/README.md"
    (over,), (prior,) = tables(page, "guidance | FID"), tables(page, "given | FID")
    rows = {(2000, "caption only", row[0]): row[1:] for row in over}
    rows |= {(1000, row[0], "3"): row[1:] for row in prior}
    assert len(rows) == 7
    for key, cells in rows.items():
        wanted = [
            decimals(interval(measured[*key, name]), places)
            for name, places in zip(names, digits, strict=True)
        ]
        assert cells == wanted, key
