"""What the report of a run shows."""

from dataclasses import replace

from coco_fakes import FakeClip, FakeFeatures, begun

from composer_pl.evaluation.coco.presentation import TITLE, facts_of, headline, parts_of
from composer_pl.evaluation.coco.scores import score
from composer_pl.evaluation.measurement import Measurement
from composer_pl.evaluation.report import Grid, Marked, Plot, Table, write_report


def test_rows_without_weights_read_not_measured(settings, tmp_path):
    run = begun(settings(guidances=(1.0, 3.0)))
    run.work()
    found = score(run)
    parts = parts_of(run, found)
    table = next(part for part in parts if isinstance(part, Table))
    assert len(table.rows) == 4
    assert "FID, clean-fid" in table.columns
    assert "CLIP score, ViT-L/14" in table.columns
    measured = [[cell is not None for cell in row[2:]] for row in table.rows]
    columns = ["FID, tiny", "CLIP score, ViT-B/32"]
    expected = [name in columns for name in table.columns[2:]]
    assert measured == [expected, expected, [False] * len(expected), [False] * len(expected)]
    assert sum(isinstance(part, Plot) for part in parts) == 5
    assert sum(isinstance(part, Grid) for part in parts) == 2
    write_report(tmp_path / "report", TITLE, parts, facts=facts_of(found))
    page = (tmp_path / "report" / "report.html").read_text()
    assert "not measured" in page
    assert "Not the protocol" in page
    facts = facts_of(found)
    assert "guidance" not in facts["recipe"]  # both are in the report
    assert facts["recipe"]["steps"] == 2
    assert facts["side"] == 16
    assert facts["features"]["tiny"]["digest"] == "0" * 64
    assert facts["features"]["ViT-B/32"]["digest"] == "1" * 64
    assert facts["reference"]["pictures"] == 10  # which the CLIP score has no part in
    assert headline(found).startswith("KID, tiny")
    assert headline(found).endswith("not the protocol")
    kernel = next(part for part in parts if isinstance(part, Plot) and "KID" in part.title)
    assert kernel.note == "Bands: over subsets of pictures, one standard deviation."


def test_facts_of_some_numbers_are_told_and_what_differs_is_not():
    """The prior of one manner, the reference of distances; not the guidance of a sweep."""
    own = {"model": {"base": "a"}, "recipe": {"steps": 2, "guidance": 1.0}, "prior": None}
    drawn = {"model": {"base": "a", "prior": "b"}, "recipe": {"steps": 2, "guidance": 3.0}}
    numbers = [
        Measurement(
            protocol="coco-fid", measure=f"{kind}, x", value=1.0, interval="none", count=2,
            of_protocol=False, settings={"features": {"name": "x"}, **told},
        )
        for kind, told in (
            ("FID", {**own, "reference": {"pictures": 9}}),
            ("CLIP score", {**drawn, "prior": {"steps": 25}, "note": "of this number alone"}),
        )
    ]  # fmt: skip
    assert facts_of(numbers) == {
        "model": {"base": "a", "prior": "b"},
        "recipe": {"steps": 2},
        "prior": {"steps": 25},
        "reference": {"pictures": 9},
        "features": {"x": {"name": "x"}},
    }


def test_every_number_that_is_not_of_the_protocol_says_so(settings):
    """In tables.tex too, which has no text around the tables."""
    clips = [FakeClip("clip:ViT-L-14", slug="large"), FakeClip()]
    run = begun(settings(), [FakeFeatures(), *clips])
    run.work()
    tables = [part for part in parts_of(run, score(run)) if isinstance(part, Table)]
    cells = [cell for table in tables for row in table.rows for cell in row[2:]]
    marked = [cell for cell in cells if isinstance(cell, Marked)]
    assert len(marked) == 6
    for cell in marked:
        assert "Not the protocol of 30,000 captions: 10 pictures to compare" in cell.footnote
        assert "10 captions, not 30000" in cell.footnote
    assert sum("conditioned on this CLIP" in cell.footnote for cell in marked) == 1


def test_the_headline_is_of_one_network(settings):
    """Distances of two networks have two scales; the least of all would be the smaller scale's."""
    run = begun(settings(guidances=(1.0, 3.0)), [FakeFeatures()])
    run.work()
    found = score(run)
    best = min(one.value for one in found if one.measure == "KID, tiny")
    shrunk = [
        replace(one, measure=one.measure.replace("tiny", "clean-fid"), value=5.0 + i, low=None,
                high=None)
        for i, one in enumerate(found)
    ]  # fmt: skip
    assert best < 5
    assert headline([*found, *shrunk]).startswith("KID, clean-fid 6")
    assert f"KID, tiny {best:.4g}" in headline(found)


def test_small_kernel_distances_keep_their_digits(settings):
    run = begun(settings(), [FakeFeatures()])
    run.work()
    table = parts_of(run, score(run))[2]
    assert [format(value, table.formats["KID"]) for value in (0.0222, 0.000124)] == [
        "0.0222", "0.000124",
    ]  # fmt: skip
