import itertools

import pytest
import torch

from composer_pl.data.mixture import epoch_lengths, epoch_order
from composer_pl.data.sampler import EpochBatchSampler, HeldOutBatchSampler, Position


def make(
    size: int = 100,
    *,
    batch_size: int = 4,
    rank: int = 0,
    world_size: int = 1,
    accumulate: int = 1,
    start: Position = Position(),  # noqa: B008
) -> EpochBatchSampler:
    return EpochBatchSampler(
        [size],
        [1.0],
        batch_size=batch_size,
        seed=7,
        rank=rank,
        world_size=world_size,
        accumulate=accumulate,
        start=start,
    )


def test_an_order_is_a_permutation_and_a_function_of_seed_and_epoch():
    orders = {
        (seed, epoch): tuple(epoch_order([50, 30], [50, 30], seed=seed, epoch=epoch).slots.tolist())
        for seed in (0, 1)
        for epoch in (0, 1)
    }
    assert all(sorted(order) == list(range(80)) for order in orders.values())
    assert len(set(orders.values())) == 4
    assert orders[0, 1] == tuple(epoch_order([50, 30], [50, 30], seed=0, epoch=1).slots.tolist())


def test_weights_repeat_pictures_as_often_as_they_say():
    lengths = epoch_lengths([10, 20, 8], [2.0, 0.25, 1.5])
    assert lengths == (20, 5, 12)
    parts = []
    for epoch in range(2):
        order = epoch_order([10, 20, 8], lengths, seed=0, epoch=epoch)
        shown = torch.bincount(order.slots, minlength=38)
        assert (shown[:10] == 2).all()
        assert shown[10:30].sum() == 5
        assert shown[10:30].max() == 1
        assert sorted(shown[30:].tolist()) == [1, 1, 1, 1, 2, 2, 2, 2]
        # A picture shown twice has another lap, hence another key.
        pairs = list(zip(order.slots.tolist(), order.laps.tolist(), strict=True))
        assert len(set(pairs)) == len(pairs)
        parts.append(shown[10:30].tolist())
    assert parts[0] != parts[1]


def test_fewer_pictures_than_a_global_batch_are_repeated():
    sampler = make(3, batch_size=4, accumulate=2)
    batches = list(sampler)
    assert len(batches) == len(sampler) == 2
    assert len({(ref.slot, ref.lap) for batch in batches for ref in batch}) == 8


def test_a_step_sees_the_same_samples_however_the_global_batch_is_divided():
    def steps(world_size: int, batch_size: int, accumulate: int) -> list[set[int]]:
        ranks = [
            list(make(101, batch_size=batch_size, rank=r, world_size=world_size,
                      accumulate=accumulate))
            for r in range(world_size)
        ]  # fmt: skip
        assert len({len(batches) for batches in ranks}) == 1
        blocks = [set(itertools.chain(*parts)) for parts in zip(*ranks, strict=True)]
        return [
            {ref.slot for block in blocks[i : i + accumulate] for ref in block}
            for i in range(0, len(blocks), accumulate)
        ]

    whole = steps(1, 24, 1)
    assert [len(step) for step in whole] == [24] * 4
    for world_size, batch_size, accumulate in [(2, 12, 1), (3, 4, 2), (8, 3, 1), (1, 2, 12)]:
        assert steps(world_size, batch_size, accumulate) == whole


@pytest.mark.parametrize("world_size", [1, 2, 3, 4, 8, 16, 64, 512])
def test_a_start_in_mid_epoch_loses_and_repeats_nothing(world_size: int):
    batch_size = max(1, 24 // world_size)
    size = batch_size * world_size * 8 + 5
    for rank in {0, world_size // 2, world_size - 1}:
        options = {"batch_size": batch_size, "rank": rank, "world_size": world_size}
        whole, following = make(size, **options), make(size, **options)
        following.set_epoch(1)
        for batch in range(8):
            resumed = make(size, **options, start=Position(0, batch))
            assert len(resumed) == len(whole) == 8
            assert list(resumed) == list(whole)[batch:]
            resumed.set_epoch(1)
            assert list(resumed) == list(following)


def test_a_start_at_the_end_of_an_epoch_is_the_beginning_of_the_next():
    sampler = make(start=Position(2, 25))
    assert sampler.start == Position(3, 0)
    assert next(iter(sampler))[0].epoch == 3


def test_an_iteration_belongs_to_the_epoch_in_which_it_was_made():
    sampler = make()
    iterator = iter(sampler)
    sampler.set_epoch(5)
    assert {ref.epoch for batch in iterator for ref in batch} == {0}


def test_held_out_pictures_are_seen_once_by_any_number_of_processes():
    for size, world_size in itertools.product((1, 5, 12, 13), (1, 2, 3, 5)):
        ranks = [
            list(HeldOutBatchSampler(size, 2, rank=rank, world_size=world_size))
            for rank in range(world_size)
        ]
        lengths = {len(batches) for batches in ranks}
        assert lengths == {len(HeldOutBatchSampler(size, 2, world_size=world_size))}
        counted = [
            ref.slot
            for rank, batches in enumerate(ranks)
            for i, batch in enumerate(batches)
            if not HeldOutBatchSampler(size, 2, rank=rank, world_size=world_size).repeats(i)
            for ref in batch
        ]
        assert sorted(counted) == list(range(size))
        refs = [ref for batches in ranks for batch in batches for ref in batch]
        assert {ref.slot for ref in refs} == set(range(size))
        assert len(refs) - size < world_size
        assert {ref.epoch for ref in refs} == {-1}


def test_a_late_start_costs_no_more_than_drawing_the_order():
    sampler = make(1_000_000, batch_size=10, start=Position(3, 99_999))
    (batch,) = sampler
    assert len(batch) == 10


@pytest.mark.parametrize("epoch", [0, 1])
def test_an_empty_source_beside_another_is_no_obstacle(epoch: int):
    order = epoch_order([0, 4], epoch_lengths([0, 4], [1.0, 1.0]), seed=0, epoch=epoch)
    assert sorted(order.slots.tolist()) == [0, 1, 2, 3]
