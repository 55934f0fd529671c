from collections import Counter

import torch
from arms import HELD_OUT, NEVER_TOGETHER, PAIRS, RULES, SEEN, USUAL_SIZE, keep_filter

from composer_pl.data.scenes.sampler import SceneSampler
from composer_pl.data.scenes.vocabulary import ATTRIBUTES, COLORS, SHAPES

NAMES = ("caption", "sketch", "depth", "color")


def test_24_pairs_are_held_out_evenly():
    colors = Counter(pair.split()[0] for pair in HELD_OUT)
    shapes = Counter(pair.split()[1] for pair in HELD_OUT)
    assert len(set(HELD_OUT)) == 24
    assert set(colors) == set(COLORS)
    assert set(colors.values()) == {3}
    assert set(shapes) == set(SHAPES)
    assert set(shapes.values()) == {3, 4}
    assert len(SEEN) == 32
    assert set(SEEN) | set(HELD_OUT) == set(PAIRS)


def test_arm_a_sees_every_value_and_no_held_out_pair():
    sampler = SceneSampler(0, RULES["A"])
    things = [thing for index in range(300) for thing in sampler.scene(index).objects]
    pairs = {f"{thing.color} {thing.shape}" for thing in things}
    pairs |= {f"{t.second_color} {t.shape}" for t in things if t.second_color}
    assert pairs == set(SEEN)
    for attribute, values in ATTRIBUTES.items():
        assert {getattr(thing, attribute) for thing in things} == set(values)


def test_margins_are_even_in_every_arm():
    for rules in RULES.values():
        table = SceneSampler(0, rules).table
        for attribute, values in ATTRIBUTES.items():
            margin = table.margin(attribute)
            assert all(abs(share - 1 / len(values)) < 1e-6 for share in margin.values())


def test_arm_b_sees_the_held_out_pairs_and_the_usual_sizes():
    sampler = SceneSampler(0, RULES["B"])
    things = [thing for index in range(300) for thing in sampler.scene(index).objects]
    assert {f"{thing.color} {thing.shape}" for thing in things} == set(PAIRS)
    for material, size in USUAL_SIZE.items():
        sizes = [thing.size for thing in things if thing.material == material]
        assert 0.83 < sizes.count(size) / len(sizes) < 0.96


def test_arm_b_never_keeps_sketch_and_color_together():
    generator = torch.Generator().manual_seed(0)
    keep = torch.rand(4, 4000, generator=generator) < 0.6
    kept = keep_filter("B")(keep, NAMES, generator)
    rows = [NAMES.index(name) for name in NEVER_TOGETHER]
    both = keep[rows].all(0)
    assert not kept[rows].all(0).any()
    assert torch.equal(kept[:, ~both], keep[:, ~both])
    assert torch.equal(kept[[0, 2]], keep[[0, 2]])
    shares = kept[rows][:, both].float().mean(1)
    assert (shares - 0.5).abs().max() < 0.05
    assert (kept[rows][:, both].sum(0) == 1).all()


def test_arm_a_keeps_what_was_drawn():
    keep = torch.rand(4, 50) < 0.6
    assert torch.equal(keep_filter("A")(keep, NAMES, None), keep)
