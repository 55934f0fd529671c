"""An interrupted and resumed run is the uninterrupted run, bit for bit (on the CPU)."""

import pytest
from tiny_training import assert_equal, train

# 20 pictures, global batch 4: an epoch has 5 optimiser steps, so 12 steps cross two boundaries.
PARTS = ("state_dict", "optimizer_states", "composer_pl_ema", "global_step", "epoch")


def case(workers, accumulate, batch_size, every, crash_before, last_saved, name, marks=()):
    """Seconds each: one with workers and one without are for every run."""
    numbers = (workers, accumulate, batch_size, every, crash_before, last_saved)
    return pytest.param(*numbers, id=f"{workers}-{name}", marks=marks)


@pytest.mark.parametrize(
    ("workers", "accumulate", "batch_size", "every", "crash_before", "last_saved"),
    [
        case(0, 2, 2, 3, 13, 6, "mid-epoch-and-mid-accumulation", pytest.mark.slow),
        case(2, 2, 2, 3, 13, 6, "mid-epoch-and-mid-accumulation"),
        case(0, 2, 2, 5, 12, 5, "saved-at-the-end-of-an-epoch"),
        case(2, 2, 2, 5, 12, 5, "saved-at-the-end-of-an-epoch", pytest.mark.slow),
        case(0, 1, 4, 2, 9, 8, "without-accumulation", pytest.mark.slow),
        case(2, 1, 4, 2, 9, 8, "without-accumulation", pytest.mark.slow),
    ],
)
def test_a_resumed_run_repeats_the_uninterrupted_one_exactly(
    fake_plugins,
    pictures,
    tmp_path,
    workers,
    accumulate,
    batch_size,
    every,
    crash_before,
    last_saved,
):
    shape = {"accumulate": accumulate, "batch_size": batch_size, "every": every}
    losses, whole = train(pictures, tmp_path / "whole", **shape)
    before, nothing = train(pictures, tmp_path / "parts", crash_before=crash_before, **shape)
    assert nothing is None
    ckpt = tmp_path / "parts" / "checkpoints" / f"step-{last_saved:08d}.ckpt"

    after, resumed = train(
        pictures, tmp_path / "parts", ckpt_path=ckpt, workers=workers, initial_seed=99, **shape
    )

    assert before == losses[: len(before)]
    assert after == losses[last_saved * accumulate :]
    assert len(set(losses)) == len(losses)  # nothing was replayed
    for part in PARTS:
        assert_equal(whole[part], resumed[part], path=part)


@pytest.mark.slow
def test_a_run_resumed_twice_is_exact(fake_plugins, pictures, tmp_path):
    losses, whole = train(pictures, tmp_path / "whole", every=2)
    train(pictures, tmp_path / "a", every=2, crash_before=9)
    folder = tmp_path / "a" / "checkpoints"
    train(
        pictures, tmp_path / "a", every=2, crash_before=9, ckpt_path=folder / "step-00000004.ckpt"
    )
    after, twice = train(
        pictures, tmp_path / "a", every=2, ckpt_path=folder / "step-00000008.ckpt", initial_seed=7
    )
    assert after == losses[16:]
    for part in PARTS:
        assert_equal(whole[part], twice[part], path=part)


def test_a_finished_run_continued_is_the_longer_run(fake_plugins, pictures, tmp_path):
    losses, whole = train(pictures, tmp_path / "whole", every=100, max_steps=12)
    train(pictures, tmp_path / "a", every=100, max_steps=7)
    ckpt = tmp_path / "a" / "checkpoints" / "step-00000007.ckpt"
    after, longer = train(pictures, tmp_path / "a", every=100, max_steps=12, ckpt_path=ckpt)
    assert after == losses[14:]
    for part in PARTS:
        assert_equal(whole[part], longer[part], path=part)


def test_validation_and_its_exchange_of_weights_change_nothing(fake_plugins, pictures, tmp_path):
    options = {"val_fraction": 0.2, "every": 4, "batch_size": 2, "accumulate": 1}
    losses, quiet = train(pictures, tmp_path / "quiet", limit_val_batches=0, **options)
    checked, validated = train(pictures, tmp_path / "checked", val_check_interval=3, **options)
    assert checked == losses
    for part in ("state_dict", "optimizer_states", "composer_pl_ema"):
        assert_equal(quiet[part], validated[part], path=part)
