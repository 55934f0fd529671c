"""Facts about the blocks of the U-Net."""

from math import gcd

import pytest
import torch
import torch.nn.functional as F

from composer_pl.backbones.attention import AttentionBlock
from composer_pl.backbones.blocks import (
    ResBlock,
    group_norm,
    modulated_norm,
    timestep_embedding,
)


def test_timestep_embedding_has_cosines_first_and_periods_from_1_to_10000():
    t = torch.tensor([0.0, 3.0, 999.0])
    embedding = timestep_embedding(t, 8)
    for row, value in zip(embedding, t, strict=True):
        rates = [10_000 ** (-i / 4) for i in range(4)]
        expected = [torch.cos(value * r) for r in rates] + [torch.sin(value * r) for r in rates]
        assert torch.allclose(row, torch.stack(expected), atol=1e-4)
    assert torch.equal(embedding[0], torch.tensor([1.0] * 4 + [0.0] * 4))


def test_timestep_embedding_takes_integers_and_fractions_alike():
    assert torch.equal(
        timestep_embedding(torch.tensor([7]), 16), timestep_embedding(torch.tensor([7.0]), 16)
    )


@pytest.mark.parametrize("channels", [2, 8, 32, 48, 64, 336, 512])
def test_group_norm_divides_every_width(channels):
    norm = group_norm(channels)
    assert channels % norm.num_groups == 0
    assert norm.num_groups == gcd(32, channels)


@pytest.mark.parametrize("memory_format", [torch.contiguous_format, torch.channels_last])
def test_modulated_norm_is_norm_times_one_plus_scale_plus_shift(memory_format):
    norm = group_norm(64)
    torch.nn.init.normal_(norm.weight)
    torch.nn.init.normal_(norm.bias)
    x = (3 * torch.randn(3, 64, 6, 4) + 1).to(memory_format=memory_format).requires_grad_()
    scale, shift = torch.randn(3, 64, requires_grad=True), torch.randn(3, 64, requires_grad=True)
    wanted = norm(x) * (1 + scale[:, :, None, None]) + shift[:, :, None, None]
    found = modulated_norm(norm, x, scale, shift)
    assert torch.allclose(found, wanted, atol=1e-5)
    leaves = (x, scale, shift, norm.weight, norm.bias)
    weights = torch.randn_like(wanted)
    for mine, theirs in zip(
        torch.autograd.grad((found * weights).sum(), leaves),
        torch.autograd.grad((wanted * weights).sum(), leaves),
        strict=True,
    ):
        assert torch.allclose(mine, theirs, atol=1e-4)


def test_a_fresh_res_block_of_equal_widths_is_the_identity():
    x = torch.randn(2, 32, 8, 8)
    assert torch.equal(ResBlock(32, 32, 16)(x, torch.randn(2, 16)), x)


def test_a_fresh_resampling_block_resamples_exactly():
    x = torch.randn(2, 32, 8, 6)
    emb = torch.randn(2, 16)
    up = ResBlock(32, 32, 16, resample="up")(x, emb)
    down = ResBlock(32, 32, 16, resample="down")(x, emb)
    assert torch.equal(up, x.repeat_interleave(2, 2).repeat_interleave(2, 3))
    assert torch.allclose(down, x.unflatten(3, (3, 2)).unflatten(2, (4, 2)).mean((3, 5)), atol=1e-6)


def _attention(channels=32, head_dim=8, context_dim=12) -> AttentionBlock:
    block = AttentionBlock(channels, head_dim=head_dim, context_dim=context_dim)
    torch.nn.init.normal_(block.project.weight, std=0.2)
    return block


def _explicit(block, x, context, mask):
    """The attention block written out with loops over samples and heads and a plain softmax."""
    out = torch.empty_like(x)
    for i in range(len(x)):
        tokens = F.group_norm(
            x[i : i + 1], block.norm.num_groups, block.norm.weight, block.norm.bias
        )[0].flatten(1)
        q, k, v = (block.to_qkv.weight @ tokens + block.to_qkv.bias[:, None]).chunk(3)
        if context is not None:
            kept = context[i][mask[i]]
            ck, cv = block.context_to_kv(kept).T.chunk(2)
            k, v = torch.cat([ck, k], 1), torch.cat([cv, v], 1)
        heads = []
        for j in range(0, len(q), block.head_dim):
            rows = slice(j, j + block.head_dim)
            scores = (q[rows] * block.head_dim**-0.25).T @ (k[rows] * block.head_dim**-0.25)
            heads.append(v[rows] @ scores.softmax(1).T)
        projected = block.project.weight @ torch.cat(heads) + block.project.bias[:, None]
        out[i] = x[i] + projected.view_as(x[i])
    return out


@pytest.mark.parametrize("with_context", [False, True])
def test_attention_equals_the_formula_written_out(with_context):
    block, x = _attention(), torch.randn(2, 32, 4, 6)
    context = torch.randn(2, 5, 12) if with_context else None
    mask = torch.tensor([[1, 1, 0, 1, 0], [0, 0, 0, 0, 0]]).bool() if with_context else None
    found = block(x, context, mask)
    assert torch.allclose(found, _explicit(block, x, context, mask), atol=1e-5)


def test_attention_without_context_runs_without_a_mask(monkeypatch):
    masks = []
    original = F.scaled_dot_product_attention

    def spy(q, k, v, attn_mask=None):
        masks.append(attn_mask)
        return original(q, k, v, attn_mask=attn_mask)

    monkeypatch.setattr(F, "scaled_dot_product_attention", spy)
    block, x = _attention(), torch.randn(2, 32, 4, 4)
    block(x)
    block(x, torch.randn(2, 3, 12))
    block(x, torch.randn(2, 3, 12), torch.ones(2, 3, dtype=torch.bool))
    assert masks[0] is None
    assert masks[1] is None
    assert masks[2] is not None


def test_a_fresh_attention_block_is_the_identity():
    block = AttentionBlock(32, head_dim=16, context_dim=12)
    x = torch.randn(2, 32, 4, 4)
    assert torch.equal(block(x, torch.randn(2, 3, 12)), x)
