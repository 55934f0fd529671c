"""Facts about the guidance algebra: what a recipe makes of estimates under sets of conditions."""

import pytest
import torch

from composer_pl.diffusion.guidance import combined
from composer_pl.diffusion.process import GaussianDiffusion, ProcessConfig
from composer_pl.errors import UserInputError
from composer_pl.models.mixing import mixture_function
from composer_pl.models.recipe import ConditionGuidance, SamplingRecipe
from composer_pl.types import ConditionSignals

PROCESS = GaussianDiffusion(ProcessConfig(prediction="v", variance="fixed"))
NAMES = ("a", "b", "c")
SIZE = (4, 6)


def encode(names):
    """Signals that tell which conditions are there: bit i for condition i."""
    time = torch.zeros(2, 3)
    for name in names:
        time[:, NAMES.index(name)] = 1.0
    return ConditionSignals(time=time)


class Network:
    """An arbitrary function of which conditions are present, and how often it was asked."""

    def __init__(self):
        self.rows = 0

    def __call__(self, x_t, t, signals):
        self.rows = len(x_t)
        told = torch.zeros(len(x_t), 3) if signals.time is None else signals.time
        code = told @ torch.tensor([1.0, 2.0, 4.0])
        return torch.sin(3 * code + 1)[:, None, None, None] * x_t + 0.1 * code[:, None, None, None]


def raw(network, x_t, t, names):
    signals = encode(names) if names else ConditionSignals()
    return PROCESS.predict(network(x_t, t, signals), x_t, t).eps


def mix(recipe, c2=NAMES, c1=(), t=400, samples=2):
    network = Network()
    x_t = torch.randn(samples, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    steps = torch.full((samples,), t)
    at = mixture_function(
        recipe,
        c2=c2,
        c1=c1,
        encode_c2=encode,
        encode_c1=encode,
        samples=samples,
        size=SIZE,
        num_timesteps=1000,
        device=torch.device("cpu"),
    )
    found = combined(network, at, PROCESS, clip_x_0=False)(x_t, steps).eps
    return found, network.rows, lambda names: raw(network, x_t, steps, names)


def close(a, b):
    torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5)


def test_plain_recipe_is_guidance_of_two_sets():
    found, rows, eps = mix(SamplingRecipe(guidance=3), c1=("a",))
    close(found, 3 * eps(NAMES) - 2 * eps(("a",)))
    assert rows == 4


def test_weight_zero_is_exactly_absence_and_costs_nothing():
    recipe = SamplingRecipe(guidance=2, conditions={"b": ConditionGuidance(weight=0)})
    found, rows, eps = mix(recipe)
    close(found, 2 * eps(("a", "c")) - eps(()))
    assert rows == 4


@pytest.mark.parametrize("weight", [-0.5, 0.3, 2.0])
def test_weight_goes_from_without_to_with_and_beyond(weight):
    recipe = SamplingRecipe(guidance=1, conditions={"b": ConditionGuidance(weight=weight)})
    found, _, eps = mix(recipe, c1=None)
    close(found, weight * eps(NAMES) + (1 - weight) * eps(("a", "c")))


def test_two_weights_multiply():
    own = {"a": ConditionGuidance(weight=0.4), "c": ConditionGuidance(weight=1.5)}
    found, rows, eps = mix(SamplingRecipe(guidance=1, conditions=own), c1=None)
    expected = (
        0.4 * 1.5 * eps(NAMES)
        + 0.6 * 1.5 * eps(("b", "c"))
        + 0.4 * -0.5 * eps(("a", "b"))
        + 0.6 * -0.5 * eps(("b",))
    )
    close(found, expected)
    assert rows == 8


def test_weights_act_inside_guidance_so_that_both_multiply():
    recipe = SamplingRecipe(guidance=3, conditions={"b": ConditionGuidance(weight=0.5)})
    found, _, eps = mix(recipe)
    close(found, 3 * (0.5 * eps(NAMES) + 0.5 * eps(("a", "c"))) - 2 * eps(()))


def test_a_region_is_presence_inside_and_absence_outside():
    own = {"a": ConditionGuidance(region="0,0,1,0.5"), "b": ConditionGuidance(region="0,0.5,1,1")}
    found, rows, eps = mix(SamplingRecipe(guidance=1, conditions=own), c1=None)
    close(found[..., :3], eps(("a", "c"))[..., :3])
    close(found[..., 3:], eps(("b", "c"))[..., 3:])
    assert rows == 6  # both and neither hold nowhere; the whole set stays for its variance


@pytest.mark.parametrize(("t", "names"), [(999, NAMES), (400, ("a", "c")), (0, ("a", "c"))])
def test_outside_its_window_a_condition_is_absent_from_both_sets(t, names):
    recipe = SamplingRecipe(guidance=3, conditions={"b": ConditionGuidance(end=0.5)})
    found, _, eps = mix(recipe, c1=("b",), t=t)
    close(found, 3 * eps(names) - 2 * eps(("b",) if "b" in names else ()))


@pytest.mark.parametrize(("t", "weight"), [(999, 1), (500, 3), (0, 1)])
def test_guidance_acts_inside_its_window(t, weight):
    recipe = SamplingRecipe(guidance=3, guidance_start=0.2, guidance_end=0.8)
    found, rows, eps = mix(recipe, t=t)
    close(found, weight * eps(NAMES) + (1 - weight) * eps(()))
    assert rows == (4 if weight == 3 else 2)


def test_five_weighted_conditions_are_refused():
    own = {name: ConditionGuidance(weight=2) for name in "abcde"}
    with pytest.raises(UserInputError, match="at most 4 conditions"):
        mix(SamplingRecipe(conditions=own), c2=tuple("abcde"))


def test_rescaling_brings_the_spread_of_the_answer_to_the_unguided_one():
    network, x_t = Network(), torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    t = torch.full((2,), 400)
    answers = {}
    for name, weight, phi in (("plain", 1.0, 0.0), ("guided", 6.0, 0.0), ("rescaled", 6.0, 1.0)):
        at = mixture_function(
            SamplingRecipe(guidance=weight), c2=NAMES, c1=(), encode_c2=encode, encode_c1=encode,
            samples=2, size=SIZE, num_timesteps=1000, device=torch.device("cpu"),
        )  # fmt: skip
        answer = combined(network, at, PROCESS, clip_x_0=False, rescale=phi)(x_t, t)
        alpha, sigma = PROCESS.alpha_sigma(t, x_t)
        answers[name] = alpha * answer.eps - sigma * answer.x_0  # v, as the network predicts it
    spread = {name: v.flatten(1).std(1) for name, v in answers.items()}
    torch.testing.assert_close(spread["rescaled"], spread["plain"], rtol=1e-3, atol=1e-4)
    ratio = answers["rescaled"] / answers["guided"]
    torch.testing.assert_close(ratio, ratio[:, :1, :1, :1].expand_as(ratio), rtol=1e-3, atol=1e-3)
    assert not torch.allclose(spread["guided"], spread["plain"], rtol=0.05)


def test_dynamic_threshold_scales_each_picture_by_its_own_percentile():
    x_t = torch.randn(2, 3, *SIZE, generator=torch.Generator().manual_seed(0))
    t = torch.full((2,), 900)

    def network(x_t, t, signals):
        return 3 * x_t

    at = mixture_function(
        SamplingRecipe(guidance=1), c2=(), c1=None, encode_c2=encode, encode_c1=encode,
        samples=2, size=SIZE, num_timesteps=1000, device=torch.device("cpu"),
    )  # fmt: skip
    free = combined(network, at, PROCESS, clip_x_0=False)(x_t, t)
    found = combined(network, at, PROCESS, threshold=0.9)(x_t, t)
    size = torch.quantile(free.x_0.abs().flatten(1), 0.9, dim=1)[:, None, None, None]
    assert (size > 1).all()
    torch.testing.assert_close(found.x_0, free.x_0.clamp(-size, size) / size)
    alpha, sigma = PROCESS.alpha_sigma(t, x_t)
    torch.testing.assert_close(alpha * found.x_0 + sigma * found.eps, x_t)
