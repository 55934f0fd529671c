"""Files of measurements side by side."""

import pytest

from composer_pl.errors import UserInputError
from composer_pl.evaluation.comparison import compare, labels, verdict
from composer_pl.evaluation.measurement import Measurement


def number(value=9.0, *, model="a", measure="FID", half=None, **settings):
    return Measurement(
        protocol="coco-fid",
        measure=measure,
        value=value,
        low=None if half is None else value - half,
        high=None if half is None else value + half,
        interval="over generation seeds",
        count=100,
        of_protocol=True,
        settings={"model": model, **settings},
    )


def test_each_number_finds_the_one_made_alike():
    a = [number(1.0, guidance=1), number(3.0, guidance=3)]
    b = [number(3.5, model="b", guidance=3), number(1.5, model="b", guidance=1)]
    found = compare(a, b)
    assert [(one.value, other.value) for one, other in found.pairs] == [(1.0, 1.5), (3.0, 3.5)]
    assert found.unlike == ()


def test_the_last_one_measured_counts():
    a = [number(1.0), number(2.0), number(5.0, model="other")]
    found = compare(a, [number(3.0), number(4.0)])
    assert [(one.value, other.value) for one, other in found.pairs] == [(2.0, 4.0), (5.0, 4.0)]


def test_what_has_no_counterpart_is_told_with_what_separates_it():
    a = [number(guidance=1, steps=25), number(guidance=3, steps=25)]
    b = [number(guidance=3, steps=25), number(guidance=2, steps=50)]
    found = compare(a, b)
    assert len(found.pairs) == 1
    assert found.unlike == (("coco-fid: FID, guidance 1", ("guidance: 1 against 3",)),)


def test_unlike_files_are_refused_with_what_differs():
    with pytest.raises(UserInputError, match="guidance: 1 against 3") as refusal:
        compare([number(guidance=1)], [number(guidance=3)])
    assert "--allow guidance" in str(refusal.value)
    assert len(compare([number(guidance=1)], [number(guidance=3)], allowed=["guidance"]).pairs) == 1


def test_what_may_differ_must_be_a_setting():
    numbers = [number(recipe={"guidance": 1})]
    with pytest.raises(UserInputError, match=r"did you mean 'recipe\.guidance'\? Next: correct"):
        compare(numbers, numbers, allowed=["recipe.guidence"])
    with pytest.raises(UserInputError, match=r"'zzz', which no number has\. Next"):
        compare(numbers, numbers, allowed=["zzz"])
    assert len(compare(numbers, numbers, allowed=["recipe"]).pairs) == 1


def test_of_partners_that_may_all_differ_the_most_alike_is_taken():
    a = [number(guidance=1), number(guidance=3)]
    b = [number(1.5, guidance=1), number(3.5, guidance=3)]
    found = compare(a, b, allowed=["guidance"])
    assert [other.value for _, other in found.pairs] == [1.5, 3.5]


def test_labels_tell_numbers_of_one_measure_apart():
    caption = {"conditions": "caption only", "prior": None}
    prior = {"conditions": "with prior", "prior": {"steps": 25}}
    numbers = [number(guidance=3, **told) for told in (caption, prior)]
    assert labels(numbers) == [
        "coco-fid: FID, conditions caption only",
        "coco-fid: FID, conditions with prior",
    ]
    assert labels(numbers[:1]) == ["coco-fid: FID"]
    assert labels([number(), number(measure="KID", guidance=3)]) == [
        "coco-fid: FID",
        "coco-fid: KID",
    ]
    models = [number(model={"base": digest * 64}) for digest in "ab"]
    assert labels(models) == ["coco-fid: FID, base aaaaaaaa", "coco-fid: FID, base bbbbbbbb"]


def test_measures_of_one_file_alone_are_named():
    a, b = [number(), number(measure="KID")], [number(), number(measure="recall")]
    assert compare(a, b).only == (("coco-fid: KID",), ("coco-fid: recall",))


def test_files_without_a_common_measure_are_refused():
    with pytest.raises(UserInputError, match="measure in common"):
        compare([number()], [number(measure="KID")])


def test_intervals_decide():
    kind = "(over generation seeds)"
    assert verdict(number(1.0, half=0.1), number(1.15, half=0.1)) == f"intervals overlap {kind}"
    assert verdict(number(1.0, half=0.1), number(1.25, half=0.1)) == f"intervals apart {kind}"
    assert "no interval" in verdict(number(1.0), number(2.0, half=0.1))
