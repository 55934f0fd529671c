"""`composer-pl plan`: the paper's configuration against a count that reads no module."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from composer_pl.cli import main
from composer_pl.cli.fit import configured
from composer_pl.cli.planners import upsampler_settings
from composer_pl.models.upsampler import UpsamplerModel

ROOT = Path(__file__).parents[2]
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")


def linear(inputs, outputs):
    return inputs * outputs + outputs


def conv(inputs, outputs, side=3):
    return inputs * outputs * side * side + outputs


def vector_encoder(width, *, time, tokens, context):
    """Two perceptrons: to the time embedding, and to the context tokens."""
    to_time = linear(width, time) + linear(time, time)
    return to_time + linear(width, time) + linear(time, tokens * context)


def hint_encoder(channels, *, hint, halvings):
    """A convolution to four times the width, strided ones, the last to the hint."""
    inner = 4 * hint
    return conv(channels, inner) + (halvings - 1) * conv(inner, inner) + conv(inner, hint)


def unet(width, mult, blocks, attended, context, inputs, outputs):
    """The GLIDE/ADM layout, summed by hand (paper.md of the lab's published code)."""
    time = 4 * width

    def res(a, b):
        skip = 0 if a == b else conv(a, b, 1)
        return 2 * a + conv(a, b) + linear(time, 2 * b) + 2 * b + conv(b, b) + skip

    def attention(c):
        to_context = linear(context, 2 * c) if context else 0
        return 2 * c + conv(c, 3 * c, 1) + to_context + conv(c, c, 1)

    widths = [width * m for m in mult]
    total = linear(width, time) + linear(time, time) + conv(inputs, width)
    channels, stored = width, [width]
    for level, out in enumerate(widths):
        for _ in range(blocks):
            total += res(channels, out) + (attention(out) if level in attended else 0)
            channels = out
            stored.append(out)
        if level < len(widths) - 1:
            total += res(out, out)
            stored.append(out)
    total += 2 * res(channels, channels) + (attention(channels) if attended else 0)
    for level in reversed(range(len(widths))):
        out = widths[level]
        for block in range(blocks + 1):
            total += res(channels + stored.pop(), out) + (
                attention(out) if level in attended else 0
            )
            channels = out
            if level and block == blocks:
                total += res(out, out)
    return total + 2 * channels + conv(channels, outputs)


@pytest.fixture(scope="module")
def plan(tmp_path_factory):
    """The plan of configs/base.yaml, made once."""
    import contextlib
    import io

    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        assert main(["plan", "--config", str(ROOT / "configs" / "base.yaml"), "--json"]) == 0
    return json.loads(text.getvalue())


def test_the_paper_model_has_two_billion_parameters_by_an_independent_count(plan):
    base = {"time": 2048, "context": 512}
    expected = {
        "backbone": unet(512, (1, 2, 3, 4), 3, {1, 2, 3}, 512, 3 + 8, 6),
        "semantics": vector_encoder(768, tokens=4, **base),
        "color": vector_encoder(156, tokens=4, **base),
        "caption": linear(768, 2048) + linear(2048, 2048) + linear(768, 512),
        "sketch": hint_encoder(1, hint=8, halvings=2),
        "instances": hint_encoder(5, hint=8, halvings=2),
        "depth": hint_encoder(1, hint=8, halvings=2),
        "intensity": hint_encoder(1, hint=8, halvings=2),
        "masking": hint_encoder(4, hint=8, halvings=2),
        "presence and fusion": 8 * 2048,
    }
    assert plan["parameters"] == expected
    assert 2.05e9 < plan["total_parameters"] < 2.25e9


@pytest.mark.parametrize(
    ("name", "width", "mult", "blocks", "attended", "papers"),
    [
        ("upsample-256", 384, (1, 2, 3, 4), 3, {3}, 1.1e9),
        ("upsample-1024", 192, (1, 1, 2, 2, 4, 4), 2, {5}, 0.3e9),
    ],
)
def test_the_upsamplers_have_the_papers_size_by_an_independent_count(
    name, width, mult, blocks, attended, papers
):
    """x_t and the small picture go in, the level of noise is embedded as timesteps are."""
    argv = ["--config", str(ROOT / "configs" / f"{name}.yaml")]
    backbone, process, upsampling = upsampler_settings(
        configured(argv, prog="composer-pl plan").config["model"].as_dict()
    )
    level = linear(width, 4 * width) + linear(4 * width, 4 * width)
    expected = unet(width, mult, blocks, attended, 0, 3 + 3, 3) + level
    for levels, count in ((backbone.attention_levels, expected), ((), None)):
        with torch.device("meta"):
            model = UpsamplerModel(
                replace(backbone, attention_levels=levels), process, {}, upsampling
            )
        found = sum(p.numel() for p in model.parameters())
        count = unet(width, mult, blocks, set(), 0, 6, 3) + level if count is None else count
        assert found == count
        assert found == pytest.approx(papers, rel=0.1), "with attention and without"


def test_an_upsampler_is_planned_on_its_crops(tmp_path, capsys):
    path = tmp_path / "up.yaml"
    path.write_text(
        "kind: upsampler\n"
        "model:\n"
        "  backbone: {channels: 8, channel_mult: [1, 2], num_res_blocks: 1, attention_levels: [],\n"
        "    context_dim: 0, hint_channels: 0, in_channels: 6, out_channels: 3, resolution: 32,\n"
        "    trained_side: 16}\n"
        "  upsampling: {factor: 4}\n"
        "data: {batch_size: 3}\n"
    )
    plans = []
    for side in ("16", "32"):
        words = ["--json", "--set", f"model.backbone.trained_side={side}"]
        assert main(["plan", "--config", str(path), *words]) == 0
        plans.append(json.loads(capsys.readouterr().out))
    crop, whole = plans
    assert (crop["resolution"], whole["resolution"]) == (16, 32)
    assert crop["dropout"] is None
    assert list(crop["parameters"]) == ["backbone", "noise level"]
    ratio = whole["flops_forward"]["backbone"] / crop["flops_forward"]["backbone"]
    assert 3.7 < ratio < 4, "four times the pixels, but for the embedding of the timestep"


def test_context_and_dropout_are_the_papers(plan):
    assert plan["context_tokens"] == 77 + 4 + 4
    rates = plan["dropout"]["keep_rates"]
    assert rates.pop("intensity") == pytest.approx(0.34)
    assert set(rates.values()) == {0.5}
    assert (plan["dropout"]["p_drop_all"], plan["dropout"]["p_keep_all"]) == (0.1, 0.1)


def test_a_forward_pass_costs_757_gmacs(plan):
    assert plan["flops_forward"]["backbone"] / 2 == pytest.approx(757e9, rel=0.01)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "expected --config FILE"),
        (["--confg", "x.yaml"], "did you mean '--config'"),
        (["--config", "x.yaml", "--set", "channels"], "expected KEY=VALUE"),
    ],
)
def test_a_mistake_of_the_command_line_is_one_line(capsys, arguments, message):
    assert main(["plan", *arguments]) == 2
    told = capsys.readouterr().err.strip()
    assert message in told
    assert "\n" not in told
