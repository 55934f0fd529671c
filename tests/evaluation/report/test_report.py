"""A report is complete in itself, says what it knows, and is the same again."""

import json
import math
import re
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from composer_pl.errors import UserInputError
from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.report import (
    Grid,
    Marked,
    Plot,
    Table,
    read_report,
    write_report,
)

HOSTILE = "a <b>bold</b> & \"quoted\" 'x' | _y_ 50% $z$ {w} #1 \\ ~ ^ [u] https://example.org"
VOID = {"meta", "img"}
PICTURE = Image.new("RGB", (5, 3), (10, 200, 30))
TABLE = Table(
    HOSTILE,
    ["name", "score", "share"],
    [
        [HOSTILE, Interval(0.5, 0.4, 0.7), Interval(0.25, 0.2, 0.3)],
        ["b", Marked(-12.5, HOSTILE), None],
        ["c", Interval(0.1, math.nan, math.nan), math.nan],
        ["d", 3, Marked(None)],
    ],
    HOSTILE,
    {"share": ".0%"},
)
PLOT = Plot(
    "Curves",
    "steps <n>",
    "y & z",
    {HOSTILE: [(1, 0.5, 0.4, 0.6), (10, 0.7, 0.6, 0.8), (100, math.nan), (1000, 0.2)], "none": []},
    log_x=True,
)
PARTS = ["First.\n\nSecond & last.", "## A heading", TABLE, PLOT, Grid("Grid", PICTURE, "note")]
FACTS = {"model": {"digest": "abc"}, "seeds": [1, 2], "undefined": math.inf, "nothing": None}


class Strict(HTMLParser):
    """Fails where tags are not nested, and notes attributes and text."""

    def __init__(self):
        super().__init__()
        self.open, self.attributes, self.text = [], [], []

    def handle_starttag(self, tag, attrs):
        self.attributes += [(tag, name, value) for name, value in attrs]
        assert len({name for name, _ in attrs}) == len(attrs)
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        assert self.open[-1] in ("svg", "g"), tag
        self.attributes += [(tag, name, value) for name, value in attrs]

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open and self.open[-1] != "style":
            self.text.append(data)


@pytest.fixture
def report(tmp_path):
    write_report(tmp_path / "out", HOSTILE, PARTS, facts=FACTS)
    return tmp_path / "out"


@pytest.fixture
def page(report):
    parser = Strict()
    parser.feed((report / "report.html").read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == []
    return parser


def test_the_page_is_well_formed_and_shows_texts_as_they_are(page):
    text = "".join(page.text)
    for words in (HOSTILE, "Second & last.", "A heading", "y & z", "steps <n>", "note"):
        assert words in text
    assert not any(tag == "b" and name != "style" for tag, name, _ in page.attributes)


def test_the_page_asks_no_machine_for_anything(report, page):
    loading = [(name, value) for _, name, value in page.attributes
               if name in ("src", "href", "srcset", "data", "xlink:href", "action")]  # fmt: skip
    assert loading
    assert all(value.startswith(("data:image/png;base64,", "#")) for _, value in loading)
    style = re.search(r"<style>(.*?)</style>", (report / "report.html").read_text(), re.S)[1]
    assert "url(" not in style
    assert "@import" not in style
    tags = {tag for tag, _, _ in page.attributes}
    assert not tags & {"script", "link", "iframe", "object", "base", "form"}


def test_links_inside_the_page_have_targets_and_names_are_single(tmp_path):
    parts = ["## Same", "## Same", replace(TABLE, title="Same"), PLOT, Grid("Same", PICTURE)]
    write_report(tmp_path, "t", parts, facts={})
    parser = Strict()
    parser.feed((tmp_path / "report.html").read_text())
    names = [value for _, name, value in parser.attributes if name == "id"]
    links = [value for tag, name, value in parser.attributes if (tag, name) == ("a", "href")]
    assert len(links) == 5
    assert len(set(names)) == len(names)
    assert {link.removeprefix("#") for link in links} <= set(names)


def test_json_gives_the_same_report_again(report, tmp_path):
    read = read_report(report)
    write_report(tmp_path / "again", read.title, read.parts, facts=read.facts)
    assert read.title == HOSTILE
    assert read.facts == FACTS
    assert read.parts[2].rows[0] == TABLE.rows[0]
    assert read.parts[2].rows[1] == TABLE.rows[1]
    assert read.parts[2].rows[3] == TABLE.rows[3]
    assert math.isnan(read.parts[2].rows[2][2])
    assert read.parts[3].series[HOSTILE][1] == (10, 0.7, 0.6, 0.8)
    assert read.parts[4].picture.tobytes() == PICTURE.tobytes()
    names = sorted(path.relative_to(report) for path in report.rglob("*") if path.is_file())
    assert [str(name) for name in names] == [
        "pictures/05-grid.png", "report.html", "report.json", "tables.md", "tables.tex",
    ]  # fmt: skip
    for name in names:
        assert (report / name).read_bytes() == (tmp_path / "again" / name).read_bytes(), name


def test_the_json_is_strict_and_holds_numbers_in_full(tmp_path):
    third = 1 / 3
    table = Table("t", ["x"], [[Interval(third, third / 2, math.nan)]])
    write_report(tmp_path, "t", [table], facts={"inf": math.inf})

    def refuse(name):
        raise AssertionError(name)

    data = json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse)
    assert data["parts"][0]["rows"][0][0]["value"] == third


def test_what_was_not_measured_is_said_in_every_form(report):
    for name in ("report.html", "tables.md", "tables.tex"):
        text = (report / name).read_text()
        assert "None" not in text.replace("None of", "")
        assert text.count("not measured") == 2
        assert text.count("undefined") >= 1


def test_an_interval_stands_in_brackets_and_its_bar_is_to_scale(tmp_path):
    rows = [["a", Interval(0.5, 0.25, 0.75)], ["b", Interval(0.1, 0.0, 0.2)]]
    write_report(tmp_path, "t", [Table("t", ["name", "score"], rows)], facts={})
    page = (tmp_path / "report.html").read_text()
    assert '0.500 <span class="range">[0.250, 0.750]</span>' in page
    assert 'style="left:25.0%;width:50.0%"' in page
    assert 'style="left:50.0%"' in page
    assert 'style="left:0.0%;width:20.0%"' in page


def test_bars_of_shares_have_one_scale_and_other_columns_their_own(tmp_path):
    row = [Interval(0.2, 0.1, 0.3), Interval(0.9, 0.8, 1.0), Interval(30, 20, 40)]
    write_report(tmp_path, "t", [Table("t", ["low", "high", "FID"], [row])], facts={})
    page = (tmp_path / "report.html").read_text()
    starts = [float(found) for found in re.findall(r'<i style="left:([\d.]+)%', page)]
    assert starts[:2] == [10.0, 80.0]
    assert starts[2] == pytest.approx(100 * 0.06 / 1.12, abs=0.06)


def test_shares_of_another_format_have_their_own_scale(tmp_path):
    row = [Interval(0.02, 0.01, 0.03), Interval(0.6, 0.4, 0.8)]
    table = Table("t", ["effect", "share"], [row], "", {"effect": ".4f", "share": ".0%"})
    write_report(tmp_path, "t", [table], facts={})
    page = (tmp_path / "report.html").read_text()
    starts = [float(found) for found in re.findall(r'<i style="left:([\d.]+)%', page)]
    assert starts == [pytest.approx(100 * 0.06 / 1.12, abs=0.06), 40.0]


def test_effects_of_one_kind_have_one_scale_too(tmp_path):
    rows = [[Interval(-0.3, -0.4, -0.2), Interval(0.2, 0.0, 0.4)],
            [Interval(0.1, 0.0, 0.2), Interval(-0.2, -0.3, -0.1)]]  # fmt: skip
    write_report(tmp_path, "t", [Table("t", ["a", "b"], rows)], facts={})
    page = (tmp_path / "report.html").read_text()
    zeros = re.findall(r'<s style="left:([\d.]+)%', page)
    assert zeros == ["50.0"] * 4


def test_a_bar_shows_where_nothing_lies(tmp_path):
    column = [Interval(-1.0, -2.0, 0.0), Interval(2.0, 1.0, 2.0)]
    rows = [[interval, Interval(5.0, 4.0, 6.0)] for interval in column]
    write_report(tmp_path, "t", [Table("t", ["effect", "FID"], rows)], facts={})
    page = (tmp_path / "report.html").read_text()
    zeros = [float(found) for found in re.findall(r'<s style="left:([\d.]+)%', page)]
    assert zeros == [50.0, 50.0]


def test_a_footnote_is_said_once_and_cells_that_share_it_share_its_mark(tmp_path):
    rows = [[Marked(1.0, "why"), Marked(2.0, "other")], [Marked(3.0, "why"), None]]
    write_report(tmp_path, "t", [Table("t", ["x", "y"], rows)], facts={})
    text = (tmp_path / "tables.md").read_text()
    assert "| 1.000 † | 2.000 ‡ |" in text
    assert "| 3.000 † | not measured |" in text
    assert text.count("why") == 1
    assert "† why" in text
    assert (tmp_path / "report.html").read_text().count("<sup>†</sup>") == 3


def test_a_table_without_rows_and_a_plot_without_points_are_shown(tmp_path):
    parts = [Table("t", ["x", "y"], []), Plot("p", "x", "y", {"a": [(0, math.nan)]})]
    write_report(tmp_path, "t", parts, facts={})
    assert "no points" in (tmp_path / "report.html").read_text()
    assert "| x | y |" in (tmp_path / "tables.md").read_text()


def test_rows_of_another_length_and_unknown_formats_are_refused():
    with pytest.raises(UserInputError, match="expected 2 cells in every row, found 1 in row 2"):
        Table("t", ["x", "y"], [[1, 2], [3]])
    with pytest.raises(UserInputError, match="found one for 'z'"):
        Table("t", ["x"], [[1]], "", {"z": ".2f"})
    with pytest.raises(UserInputError, match=r"such as \.2f"):
        Table("t", ["x"], [[1]], "", {"x": "wrong"})
    with pytest.raises(UserInputError, match="every x above 0"):
        Plot("p", "x", "y", {"a": [(0, 1)]}, log_x=True)


def test_a_file_in_the_way_and_a_strange_json_are_told(tmp_path):
    (tmp_path / "file").write_text("{}")
    with pytest.raises(UserInputError, match="found a file"):
        write_report(tmp_path / "file", "t", [], facts={})
    with pytest.raises(UserInputError, match=r"expected a report\.json"):
        read_report(tmp_path / "file")
    with pytest.raises(UserInputError, match="No such file"):
        read_report(tmp_path)
