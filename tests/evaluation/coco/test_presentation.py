"""What the report of a run shows."""

from coco_fakes import begun

from composer_pl.evaluation.coco.presentation import TITLE, facts_of, headline, parts_of
from composer_pl.evaluation.coco.scores import score
from composer_pl.evaluation.report import Grid, Plot, Table, write_report


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
    assert "recipe" not in facts_of(found)  # both guidances are in the report
    assert facts_of(found)["side"] == 16
    assert headline(found).startswith("KID, tiny")
    assert headline(found).endswith("not the protocol")
