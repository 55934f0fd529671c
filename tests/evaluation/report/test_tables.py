"""Tables in Markdown and LaTeX say what was written, whatever the characters."""

import re

import pytest

from composer_pl.evaluation.intervals import Interval
from composer_pl.evaluation.measurement import Measurement
from composer_pl.evaluation.report import (
    Marked,
    Table,
    measured_cell,
    table_latex,
    table_markdown,
    write_report,
)
from composer_pl.evaluation.report.cells import automatic_format
from composer_pl.evaluation.report.latex import escape_latex
from composer_pl.evaluation.report.markdown import escape_markdown

SPECIAL = "|*_`<>[]\\~&#$"


def split_row(line):
    """The cells of a row as GitHub splits it: at bars without a backslash before them."""
    return [cell.strip() for cell in re.split(r"(?<!\\)\|", line.strip())[1:-1]]


def test_markdown_cells_hold_any_character_and_stay_one_cell():
    row = [f"a{character}b" for character in SPECIAL] + ["two\nlines"]
    text = table_markdown(Table("t", [f"c{i}" for i in range(len(row))], [row]))
    cells = split_row(text.splitlines()[4])
    assert [re.sub(r"\\(.)", r"\1", cell) for cell in cells] == [*row[:-1], "two lines"]
    assert all(f"\\{character}" in cell for character, cell in zip(SPECIAL, cells, strict=False))


def test_markdown_aligns_numbers_right():
    text = table_markdown(Table("t", ["name", "n"], [["a", 1000]]))
    assert text == "### t\n\n| name | n |\n| :-- | --: |\n| a | 1,000 |\n"


def test_a_column_of_which_nothing_was_measured_is_aligned_as_numbers_are():
    rows = [["a", None, "", None, "x"], ["b", None, 1.0, "", None]]
    text = table_markdown(Table("t", ["name", "x", "y", "z", "text"], rows))
    assert text.splitlines()[3] == "| :-- | --: | --: | --: | :-- |"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("100% of $x_1$ & #2", r"100\% of \$x\_1\$ \& \#2"),
        ("{a}\\b~c^d", r"\{a\}\textbackslash{}b\textasciitilde{}c\textasciicircum{}d"),
        ("a < b > c", r"a \textless{} b \textgreater{} c"),
        ("--ckpt ---", "-{}-ckpt -{}-{}-"),
        ("[0, 1]", "{[}0, 1{]}"),
        ("3 × 2 ± 1 – x", r"3 $\times$ 2 $\pm$ 1 -- x"),
        ("two\nlines", "two lines"),
        ("β-VAE, Σ", r"$\beta$-VAE, $\Sigma$"),
        ("é ß Ü", "é ß Ü"),
        (
            "中 ł ð \U0001f600 \x07",
            "{[}U+4E2D{]} {[}U+0142{]} {[}U+00F0{]} {[}U+1F600{]} {[}U+0007{]}",
        ),
        ("“a” ‘b’", "``a'' `b'"),
    ],
)
def test_latex_escapes(text, expected):
    assert escape_latex(text) == expected


def test_latex_is_a_booktabs_float_with_balanced_braces():
    rows = [["[a]", Interval(-0.5, -0.75, 0.25)], ["b", Marked(0.5, "a {brace} of 5%")]]
    text = table_latex(Table("A title_1", ["name", "score"], rows, "A note & more."))
    lines = [line.strip() for line in text.splitlines()]
    assert lines[0] == r"\begin{table}[tbp]"
    assert lines[2:7] == [
        r"\caption{A title\_1}", r"\label{tab:a-title-1}", r"\smallskip",
        r"\resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        r"\begin{tabular}{lr}",
    ]  # fmt: skip
    assert lines[7:11] == [
        r"\toprule", r"name & score \\", r"\midrule",
        r"{[}a{]} & $-$0.500 {\scriptsize {[}$-$0.750, 0.250{]}} \\",
    ]  # fmt: skip
    assert lines[11:14] == [
        r"b & 0.500\textsuperscript{$\dagger$} \\", r"\bottomrule", r"\end{tabular}}",
    ]  # fmt: skip
    assert r"\textsuperscript{$\dagger$} a \{brace\} of 5\%" in text
    bare = re.sub(r"\\[{}]", "", text)
    assert bare.count("{") == bare.count("}")


def test_intervals_of_a_wide_latex_table_stand_below_their_numbers():
    """Twelve of them side by side were shrunk until nobody could read them."""
    cell = Interval(0.5, 0.25, 0.75)
    narrow, wide = (
        table_latex(Table("t", [f"c{i}" for i in range(count)], [[cell] * count]))
        for count in (3, 12)
    )
    assert narrow.count(r"0.500 {\scriptsize {[}0.250, 0.750{]}}") == 3
    below = r"\begin{tabular}[t]{@{}r@{}}0.500\\[-2pt]{\scriptsize {[}0.250, 0.750{]}}\end{tabular}"
    assert wide.count(below) == 12
    assert wide.count(r"\\ \addlinespace[2pt]") == 1
    assert r"\addlinespace" not in narrow


def test_latex_headings_are_no_wider_than_their_cells_need(tmp_path):
    """Eight columns with headings in one line each were twice as wide as a page."""
    columns = ["given", "CLIP score, the model's own CLIP", "a heading over long cells & more"]
    rows = [["x", 0.5, "words that are as long as their heading"]]
    lines = table_latex(Table("t", columns, rows)).splitlines()
    broken = r"\begin{tabular}[b]{@{}r@{}}CLIP score,\\the model's\\own CLIP\end{tabular}"
    assert lines[8].strip() == rf"given & {broken} & a heading over long cells \& more \\"
    write_report(tmp_path, "t", [Table("t", columns, rows)], facts={})
    assert (
        (tmp_path / "tables.tex")
        .read_text()
        .startswith("% Needs \\usepackage{booktabs,graphicx} in the preamble.\n")
    )


@pytest.mark.parametrize(
    ("column", "expected"),
    [
        ((1000, 2), ","),
        ((0.5, None, "text"), ",.3f"),
        ((Interval(13.4, 13, 14), 9.2), ",.2f"),
        ((123.4,), ",.1f"),
        ((12345.6,), ",.0f"),
        ((0.0012, -0.0003), ".2e"),
        ((0.0, 0.0), ",.3f"),
        ((float("nan"), float("inf"), 0.5), ",.3f"),
    ],
)
def test_decimals_follow_the_largest_number(column, expected):
    assert automatic_format(column) == expected


def test_escaping_keeps_plain_words():
    assert escape_markdown("Plain words, 3.5 (x)") == "Plain words, 3.5 (x)"
    assert escape_latex("Plain words, 3.5 (x)") == "Plain words, 3.5 (x)"


def test_a_number_that_is_not_of_its_protocol_is_marked():
    numbers = {"protocol": "p", "measure": "m", "value": 1.0, "interval": "none", "count": 2}
    ends = {"low": 0.5, "high": 1.5}
    assert measured_cell(None) is None
    assert measured_cell(Measurement(**numbers, of_protocol=True)) == 1.0
    inside = measured_cell(Measurement(**numbers, **ends, of_protocol=True))
    assert inside == Interval(1.0, 0.5, 1.5)
    outside = measured_cell(Measurement(**numbers, **ends, of_protocol=False), "too few")
    assert outside == Marked(Interval(1.0, 0.5, 1.5), "too few")
