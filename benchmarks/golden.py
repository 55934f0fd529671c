"""Make a reference for `composer-pl golden` out of runs of one configuration with several seeds.

    python benchmarks/golden.py quickstart --title "Quickstart, ten minutes" runs/a runs/b

Writes `src/composer_pl/golden/NAME/`: a curve for each run, the configuration and the previews of
the first. What machine made it goes into its README.md by hand.
"""

import argparse
import csv
import shutil
from pathlib import Path

import yaml

ROOT = Path(__file__).resolve().parents[1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("name")
    parser.add_argument("runs", nargs="+", type=Path)
    parser.add_argument("--title", required=True, help="first line of the README")
    parser.add_argument("--grids", type=int, default=4, help="how many previews at most")
    args = parser.parse_args()
    folder = ROOT / "src" / "composer_pl" / "golden" / args.name
    folder.mkdir(parents=True, exist_ok=True)
    for old in (*folder.glob("curve*.csv"), *folder.glob("grid-*.png")):
        old.unlink()
    for number, run in enumerate(args.runs, 1):
        with open(run / "metrics.csv", newline="") as file:
            rows = [(row["step"], float(row["loss"])) for row in csv.DictReader(file)]
        lines = [f"{step},{loss:.5g}\n" for step, loss in rows]
        (folder / f"curve-{number}.csv").write_text("step,loss\n" + "".join(lines))
    config = yaml.safe_load((args.runs[0] / "config.yaml").read_text())
    config["trainer"]["default_root_dir"] = f"runs/{args.name}"
    (folder / "config.yaml").write_text(yaml.safe_dump(config, sort_keys=False))
    grids = sorted((args.runs[0] / "samples").glob("step-*.png"))
    stride = -(-len(grids) // args.grids)
    for grid in reversed(grids[::-1][::stride]):
        shutil.copyfile(grid, folder / grid.name.replace("step-", "grid-"))
    readme = folder / "README.md"
    rest = readme.read_text().partition("\n")[2] if readme.exists() else "\n"
    readme.write_text(f"# {args.title}\n{rest}")


if __name__ == "__main__":
    main()
