"""Scenes a second with one thread, beside the plainest form of the same renderer.

    OMP_NUM_THREADS=1 python benchmarks/scenes_speed.py [--device cuda] [--scenes 64] [--json FILE]

The plain form evaluates every object's distance at every ray, with a fixed number of steps, for the
hit, a soft shadow and five taps of ambient occlusion; it has no bounding balls, no lists of rays
that still matter, no secants, and shades every sample. It is let off floors' patterns, clouds and
mirror images, so that the ratio is rather too small. Both run in turns on the same scenes; seconds
are of the process (CPU) unless a GPU computes, so that a busy machine disturbs them little.
"""

import argparse
import json
import statistics
import time

import torch

from composer_pl.data.scenes.pixels import SAMPLES, camera_rays
from composer_pl.data.scenes.render import render
from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.solids import distance
from composer_pl.data.scenes.table import scene_table
from composer_pl.data.scenes.vocabulary import SHAPES

STEPS, SHADOW_STEPS, TAPS = 64, 24, 5


def union(table, points, picture):
    """Least distance over all objects of a picture and the floor, by every shape's function."""
    least = points[1]
    for slot in range(table.slots):
        item = picture * table.slots + slot
        place = table.place[:, item]
        x, y, z = ((points[i] - place[i]) / place[3] for i in range(3))
        local = torch.stack([x * place[4] + z * place[5], y, z * place[4] - x * place[5]])
        shape = table.shape[item]
        for number, name in enumerate(SHAPES):
            height = distance(name, local) * place[3]
            least = torch.where(shape == number, torch.minimum(least, height), least)
    return least


@torch.no_grad()
def plain(scenes, size, device):
    table = scene_table(scenes, device)
    number = torch.arange(len(scenes) * size * size, device=device)
    picture, row, column = number // size**2, number % size**2 // size, number % size
    total = torch.zeros(3, len(number), device=device)
    for dx, dy in SAMPLES[5]:
        rays, _ = camera_rays(table, picture, column + 0.5 + dx, row + 0.5 + dy, size)
        t = torch.zeros_like(rays.origin[0])
        for _ in range(STEPS):
            t = t + union(table, rays.origin + t * rays.direction, picture).clamp(max=5)
        points = rays.origin + t * rays.direction
        offsets = torch.tensor(
            [[1, -1, -1], [-1, -1, 1], [-1, 1, -1], [1, 1, 1]], device=device
        ).float()
        normal = sum(
            o[:, None] * union(table, points + 2e-3 * o[:, None], picture) for o in offsets
        )
        normal = normal / normal.square().sum(0).sqrt().clamp(min=1e-9)
        light = table.light[:, picture]
        seen, way = torch.ones_like(t), torch.full_like(t, 0.03)
        for _ in range(SHADOW_STEPS):
            height = union(table, points + way * light[:3], picture)
            seen = torch.minimum(seen, height / (way * light[6]))
            way = way + height.clamp(0.02, 0.5)
        hidden = torch.zeros_like(t)
        for tap in range(1, TAPS + 1):
            reach = 0.1 * tap
            hidden = hidden + (reach - union(table, points + reach * normal, picture)) / 2**tap
        slope = (normal * light[:3]).sum(0).clamp(min=0)
        total += light[3:6] * slope * seen.clamp(0, 1) + (1 - hidden).clamp(0, 1)
    return (total / 5).clamp(0, 1)


def ours_on(scenes, size, device):
    return render(scenes, size, device=device)


def seconds(device, call, *arguments):
    if device == "cuda":
        torch.cuda.synchronize()
    clock = time.perf_counter if device == "cuda" else time.process_time
    began = clock()
    call(*arguments)
    if device == "cuda":
        torch.cuda.synchronize()
    return clock() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--scenes", type=int, default=64, help="scenes of a round at 64 px")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--json", default="")
    args = parser.parse_args()
    torch.set_num_threads(1)
    sampler = SceneSampler(0)
    began = time.process_time()
    scenes = [sampler.scene(i) for i in range(1000)]
    print(f"sampling alone: {1000 / (time.process_time() - began):.0f} scenes/s")
    results = {}
    render(scenes[:8], 64, device=args.device)
    for size in (64, 128, 256):
        count = max(2, args.scenes * 64**2 // size**2)
        slow = max(1, count // 32)
        ours, theirs = [], []
        for _ in range(args.rounds):
            ours.append(seconds(args.device, ours_on, scenes[:count], size, args.device) / count)
            theirs.append(seconds(args.device, plain, scenes[:slow], size, args.device) / slow)
        fast, plainest = statistics.median(ours), statistics.median(theirs)
        results[size] = {"images/s": 1 / fast, "plain images/s": 1 / plainest,
                         "ratio": plainest / fast}  # fmt: skip
        print(
            f"{size} px: {1 / fast:.1f} images/s, plain form {1 / plainest:.2f}, "
            f"ratio {plainest / fast:.1f} (rounds {', '.join(f'{1 / s:.1f}' for s in ours)})",
            flush=True,
        )
    if args.json:
        with open(args.json, "w", encoding="utf-8") as file:
            json.dump(
                {"device": args.device, "torch": torch.__version__, **results}, file, indent=1
            )


if __name__ == "__main__":
    main()
