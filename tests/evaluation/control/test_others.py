"""Other extractors of a condition are found by its plugin's own choices."""

from typing import Literal

import pytest
import torch
from control_fakes import samples
from fakes import FakeLocal, grey

from composer_pl.errors import ConfigError, MissingWeightsError
from composer_pl.evaluation.control.others import choices, found_others, other_of
from composer_pl.evaluation.control.scorers import OWN, panel
from composer_pl.evaluation.control.subjects import wanted_of
from composer_pl.plugin import WeightSpec

SPEC = WeightSpec(name="w.safetensors", url="", sha256="", size=1, license="MIT", origin="a test")


class Lines(FakeLocal):
    """A condition whose extractor is one of several networks."""

    weights = (SPEC,)

    def __init__(
        self,
        *,
        edges: Literal["soft", "hard", "heavy", "tiny-scenes"] = "soft",
        paint: str = "x",
        drop_prob: float = 0.5,
    ):
        super().__init__(drop_prob=drop_prob)
        self.edges, self.paint = edges, paint

    def build_extractor(self):
        if self.edges == "heavy":
            raise MissingWeightsError("Loading heavy: expected weights, found none. Next: fetch.")
        power = {"soft": 1, "hard": 3}[self.edges]
        return lambda image: (
            torch.nn.functional.avg_pool2d(grey(image), 2).sign()
            * (torch.nn.functional.avg_pool2d(grey(image), 2).abs() ** power)
        )


def test_choices_are_those_of_the_constructor():
    assert choices(Lines()) == [
        ("edges", "hard"), ("edges", "heavy"), ("edges", "tiny-scenes"),
    ]  # fmt: skip
    assert choices(FakeLocal()) == []


def test_what_is_here_judges_and_what_lacks_weights_is_named():
    others, missing = found_others({"sketch": Lines(), "grey": FakeLocal()}, (32, 32))
    assert [(o.condition, o.key) for o in others] == [("sketch", "sketch:edges=hard")]
    assert missing == {"sketch": ["edges=heavy"]}


def test_a_judge_compares_with_what_it_finds_itself_in_the_true_picture():
    from composer_pl.conditions.extraction import Extraction
    from composer_pl.evaluation.control.pictures import Shown, to_bytes

    extraction = Extraction({"sketch": Lines()}, value_size=(32, 32))
    others, _ = found_others(extraction.plugins, (32, 32))
    wanted, _ = wanted_of(
        samples(4), extraction, ["sketch"], others=others, device=torch.device("cpu")
    )
    scorers = {s.name: s for s in panel(extraction, ["sketch"], scenes=False, others=others)}
    assert next(iter(scorers)) == "edges=hard"
    assert list(scorers)[-1] == OWN
    assert scorers["edges=hard"].independent
    shown = Shown(to_bytes(wanted.batch["image"]), None)
    assert scorers["edges=hard"].score(shown, wanted).min() > 0.97
    assert not torch.allclose(wanted.judged["sketch:edges=hard"], wanted.values["sketch"])


class Scaled(Lines):
    """The same, with a number that has no default."""

    def __init__(
        self,
        *,
        scale: float,
        edges: Literal["soft", "hard"] = "soft",
        paint: str = "x",
        drop_prob: float = 0.5,
    ):
        super().__init__(edges=edges, paint=paint, drop_prob=drop_prob)
        self.scale = scale


class Lazy(Lines):
    """Annotated with what is imported for type checkers alone."""

    def __init__(self, *, edges: "Elsewhere" = "soft", drop_prob: float = 0.5):  # noqa: F821
        super().__init__(drop_prob=drop_prob)
        self.edges = edges


def test_a_strangers_constructor_may_ask_for_arguments_or_name_what_is_not_here():
    others, missing = found_others({"sketch": Scaled(scale=2.0), "grey": Lazy()}, (32, 32))
    assert [o.key for o in others] == ["sketch:edges=hard"]
    assert others[0].extraction.plugins["sketch"].scale == 2.0
    assert missing == {}


def test_the_models_own_extractor_with_another_number_is_no_independent_judge():
    tuned = other_of("sketch", Scaled(scale=2.0), {"scale": 3.0}, (32, 32))
    assert not tuned.independent
    assert other_of("sketch", Scaled(scale=2.0), {"edges": "hard"}, (32, 32)).independent


@pytest.mark.parametrize(
    ("arguments", "said"),
    [({"edgs": "hard"}, "expected arguments of Lines"), ({"edges": "soft"}, "found the same")],
)
def test_judges_that_cannot_be_are_refused(arguments, said):
    with pytest.raises(ConfigError, match=said):
        other_of("sketch", Lines(), arguments, (32, 32))
