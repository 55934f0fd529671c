import torch
from judge import disturbed, measure_judge, train_judge

from composer_pl.evaluation.scenes.judge import Judge, judge_of, load_judge, save_judge


def test_training_lowers_the_loss_and_the_file_keeps_what_was_learned(unseen, tmp_path):
    lines = []
    state = train_judge(unseen, steps=20, batch=4, device="cpu", width=8, log=lines.append)
    losses = [float(line.split("loss ")[1].split()[0]) for line in lines]
    assert losses[-1] < 0.9 * losses[0]
    save_judge(state, tmp_path / "judge.safetensors")
    loaded, kept = load_judge(tmp_path / "judge.safetensors"), judge_of(state)
    picture = torch.rand(2, 3, 64, 64) * 2 - 1
    torch.testing.assert_close(loaded(picture).pairs, kept(picture).pairs, rtol=0.02, atol=0.02)
    marks = measure_judge(loaded, unseen)
    assert 0 <= marks["pair_f1"] <= 1
    assert marks["color_of_pixels"] > 0.3


def test_the_judge_is_small():
    assert sum(parameter.numel() for parameter in Judge().parameters()) < 1_500_000


def test_disturbances_stay_in_range_and_come_from_the_generator():
    picture = torch.rand(8, 3, 64, 64) * 2 - 1
    first, again = (disturbed(picture, torch.Generator().manual_seed(1)) for _ in range(2))
    assert torch.equal(first, again)
    assert first.abs().max() <= 1
    assert (first - picture).abs().mean() > 0.01
