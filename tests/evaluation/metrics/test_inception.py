"""Our Inception against torch-fidelity's, with the same random weights."""

import pytest
import torch
from feature_fakes import small_inception

from composer_pl.evaluation.metrics.inception import Inception
from composer_pl.evaluation.metrics.resizing import resized


@pytest.mark.slow
@pytest.mark.parametrize(("antialias", "how"), [(True, "torch"), (False, "tensorflow")])
def test_torchmetrics_features_are_equal(antialias, how, tmp_path):
    """Through torchmetrics' own class; every layer counts, as norms are drawn at random."""
    from torchmetrics.image.fid import NoTrainInceptionV3
    from untrained import random_state

    state = random_state()
    torch.save(state, tmp_path / "inception.pth")
    theirs = NoTrainInceptionV3(
        "inception-v3-compat", ["2048"], str(tmp_path / "inception.pth"), antialias=antialias
    )
    pictures = torch.randint(0, 256, (2, 3, 200, 300), dtype=torch.uint8)
    ours = Inception(state)
    with torch.no_grad():
        expected = theirs(pictures)
        found = ours(resized(pictures.float(), 299, how))
    assert found.shape == (2, 2048)
    assert float((found - expected).abs().max() / expected.abs().max()) < 1e-5


def test_it_is_built_at_the_widths_of_its_weights():
    network = Inception(small_inception(width=4))
    assert network.width == 4 * 6  # the six last convolutions of the last block
    assert network(torch.full((2, 3, 299, 299), 128.0)).shape == (2, 24)


def test_batches_do_not_change_a_picture():
    network = Inception(small_inception(width=4))
    pictures = 255 * torch.rand(3, 3, 299, 299)
    one_by_one = torch.cat([network(picture[None]) for picture in pictures])
    torch.testing.assert_close(network(pictures), one_by_one, rtol=1e-5, atol=1e-5)


def test_weights_that_lack_a_layer_name_it():
    state = small_inception(width=4)
    del state["Mixed_6c.branch7x7_2.conv.weight"]
    with pytest.raises(KeyError, match=r"Mixed_6c\.branch7x7_2\.conv\.weight"):
        Inception(state)


def test_layers_that_do_not_fit_fail_when_built():
    state = small_inception(width=4)
    state["Mixed_6c.branch7x7_2.conv.weight"] = torch.zeros(4, 5, 1, 7)
    with pytest.raises(RuntimeError):
        Inception(state)
