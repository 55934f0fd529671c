"""Every judge: the true picture scores best, another one less; honest where there is none."""

import pytest
import torch
import torch.nn.functional as F
from control_fakes import samples, smooth
from fakes import FakeGlobal, FakeLocal

from composer_pl.conditions.extraction import Extraction
from composer_pl.evaluation.control.pictures import Shown, Wanted, to_bytes
from composer_pl.evaluation.control.scorers import OWN, kind_of, own_scorer, panel, photo_scorers
from composer_pl.plugin import ConditionPlugin, HintEncoder, RepresentationSpec


class Maps(FakeLocal):
    """Maps of any number of channels: those of a shape, a mask."""

    def __init__(self, *, channels: int = 1, drop_prob: float = 0.5):
        super().__init__(drop_prob=drop_prob)
        self.channels = channels

    @property
    def spec(self):
        return RepresentationSpec(shape=(self.channels, "H", "W"), value_range=(-1.0, 1.0))


class Labels(ConditionPlugin):
    """Which of eight grey levels: whole numbers that must never be mixed."""

    scope = "local"
    canvas = 32

    @property
    def spec(self):
        return RepresentationSpec(shape=(1, "H", "W"), dtype="int64", value_range=(0, 7))

    def build_extractor(self):
        return lambda image: ((image.mean(1, keepdim=True) + 1) * 3.999).long().clamp(0, 7)

    def build_encoder(self, dims):
        return HintEncoder(1, dims)


def wanted_with(name, value, count=4):
    batch = samples(count).batch
    return Wanted(batch=batch, values={name: value}, judged={})


def disc(count=4, side=32):
    """A disc in each picture, at another place in each."""
    y, x = torch.meshgrid(torch.arange(side), torch.arange(side), indexing="ij")
    middles = 8 + 4 * torch.arange(count).view(-1, 1, 1)
    return (((y - middles) ** 2 + (x - middles) ** 2) < 50).float()[:, None]


def scored(kind, plugin, value, true, pictures):
    (scorer,) = photo_scorers(kind, plugin, kind)
    wanted = wanted_with(kind, value)
    wanted.batch["image"] = true
    assert scorer.independent
    return scorer.score(Shown(to_bytes(pictures), None), wanted)


@pytest.mark.parametrize("kind", ["color", "intensity", "sketch", "masking"])
def test_plain_judges_of_photos_know_the_true_picture(kind):
    true = smooth(4, 32) if kind != "sketch" else 2 * disc().expand(-1, 3, -1, -1) - 1
    value = torch.ones(4, 4, 32, 32)
    plugin = Maps(channels=4 if kind == "masking" else 1)
    own = scored(kind, plugin, value, true, true)
    other = scored(kind, plugin, value, true, true.roll(1, 0))
    torch.testing.assert_close(own, torch.ones(4), atol=0.01, rtol=0)
    assert (other < 0.9).all()


def test_lines_may_be_a_pixel_off_and_no_more():
    true = 2 * disc(4, 32).expand(-1, 3, -1, -1) - 1
    value = torch.zeros(4, 1, 32, 32)
    near, far = (
        scored("sketch", Maps(), value, true, true.roll(shift, 3)).min() for shift in (1, 4)
    )
    assert near > 0.99
    assert far < 0.9


def test_an_outline_is_seen_where_a_picture_has_an_edge():
    shape = disc()
    value = torch.cat([shape, torch.zeros(4, 4, 32, 32)], 1)
    true = 2 * shape.expand(-1, 3, -1, -1) - 1
    noise = smooth(4, 32, seed=5)
    assert scored("instances", Maps(channels=5), value, true, true).min() > 0.95
    assert scored("instances", Maps(channels=5), value, true, noise).mean() < 0.7
    nothing = torch.zeros_like(value)
    assert scored("instances", Maps(channels=5), nothing, true, true).isnan().all()


def test_a_plugin_of_another_layout_is_not_read_as_if_it_had_the_known_one():
    assert photo_scorers("instances", Maps(channels=1), "instances") == []
    assert photo_scorers("masking", FakeLocal(), "masking") == []
    extraction = Extraction({"masking": FakeLocal()}, value_size=(32, 32))
    assert [s.name for s in panel(extraction, ["masking"], scenes=True)] == [OWN]


def test_an_unknown_condition_has_its_own_word_and_no_judge():
    extraction = Extraction({"warmth": FakeGlobal()}, value_size=(32, 32))
    for scenes in (False, True):
        (scorer,) = panel(extraction, ["warmth"], scenes=scenes)
        assert scorer.name == OWN
        assert not scorer.independent


def test_label_maps_are_scored_without_loss():
    levels = torch.tensor([-0.875, -0.625, -0.125, 0.125]).view(4, 1, 1, 1)  # between two steps
    source = F.interpolate(disc(4, 16), size=(32, 32), mode="nearest") + levels
    source = source.clamp(-1, 1).expand(-1, 3, -1, -1)
    extraction = Extraction({"labels": Labels()}, value_size=(32, 32))
    batch = samples(4).batch
    batch["source"], batch["image"] = source, source
    value = extraction.extract(batch, torch.ones(1, 4, dtype=torch.bool))["labels"]
    scorer = own_scorer(extraction, "labels")
    shown = Shown(to_bytes(source), None)
    wanted = Wanted(batch=batch, values={"labels": value}, judged={})
    assert scorer.score(shown, wanted).tolist() == [1, 1, 1, 1]
    assert (scorer.score(shown, wanted[torch.tensor([1, 2, 3, 0])]) < 1).all()


def test_what_a_plugin_is_does_not_hang_on_its_name_in_a_model(fake_plugins):
    assert kind_of("anything", FakeLocal()) == "fake_local"
    assert kind_of("anything", Maps()) == "anything"
