"""Tables as LaTeX in the style of booktabs.

They compile with pdflatex and the two packages of `PREAMBLE`, whatever the characters. Headings are
broken into lines; intervals stand below their numbers where the table would be wider than the text;
what is still wider is made smaller as a whole.
"""

import re
import textwrap

from composer_pl.evaluation.report.cells import CellText, cell_texts, numeric_columns
from composer_pl.evaluation.report.parts import Table

PREAMBLE = "% Needs \\usepackage{booktabs,graphicx} in the preamble.\n"
_GREEK = {
    letter: rf"$\{name}$"
    for letters, names in (
        ("αβγδεζηθικλμνξπρστυφχψω", "alpha beta gamma delta epsilon zeta eta theta iota kappa "
         "lambda mu nu xi pi rho sigma tau upsilon phi chi psi omega"),
        ("ΓΔΘΛΞΠΣΦΨΩ", "Gamma Delta Theta Lambda Xi Pi Sigma Phi Psi Omega"),
    )
    for letter, name in zip(letters, names.split(), strict=True)
}  # fmt: skip
_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "[": "{[}", "]": "{]}",  # after \\ a bracket would begin an argument
    "–": "--", "—": "---", "…": r"\dots{}", "−": "$-$", "×": r"$\times$", "±": r"$\pm$",
    "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$", "→": r"$\rightarrow$", "·": r"$\cdot$",
    "°": r"$^{\circ}$", "√": r"$\surd$", "∞": r"$\infty$", "µ": r"$\mu$",
    "†": r"$\dagger$", "‡": r"$\ddagger$", "§": r"\S{}", "¶": r"\P{}",
    "“": "``", "”": "''", "‘": "`", "’": "'", "„": '"', **_GREEK,
}  # fmt: skip
# What pdflatex sets as it is with nothing loaded: ASCII, and Latin letters with accents.
_SPECIAL = re.compile(
    "-(?=-)|"
    + "|".join(re.escape(character) for character in _ESCAPES)
    + "|[^\x20-\x7eÀ-ÏÑ-ÖØ-Ýß-ïñ-öø-ýÿ]"
)
_HEADING = 12  # characters of a heading's line where the cells beneath are no longer
_TEXT = 70  # characters across a page's text
_SMALL = 0.7  # width of an interval's characters
_MINUS = re.compile(r"^-(?=[\d.])")


def escape_latex(text: str) -> str:
    """A text that LaTeX sets as it is, in one line; a character that it lacks as its number."""
    return _SPECIAL.sub(lambda found: _escaped(found[0]), " ".join(text.split()))


def _escaped(character: str) -> str:
    if character == "-":  # two of them would become a dash
        return "-{}"
    return _ESCAPES.get(character) or f"{{[}}U+{ord(character):04X}{{]}}"


def table_latex(table: Table) -> str:
    """A `table` float with its title as the caption, note and footnotes beneath."""
    rows, footnotes = cell_texts(table)
    numeric = numeric_columns(rows, len(table.columns))
    stacked = _width(rows) > _TEXT
    label = re.sub(r"[^a-z0-9]+", "-", table.title.lower()).strip("-")
    beneath = [rf"\textsuperscript{{{escape_latex(mark)}}} {escape_latex(footnote)}"
               for mark, footnote in footnotes.items()]  # fmt: skip
    beneath += [escape_latex(table.note)] if table.note else []
    lines = [
        r"\begin{table}[tbp]",
        r"  \centering",
        rf"  \caption{{{escape_latex(table.title)}}}",
        rf"  \label{{tab:{label}}}",
        r"  \smallskip",
        r"  \resizebox{\ifdim\width>\linewidth\linewidth\else\width\fi}{!}{%",
        rf"  \begin{{tabular}}{{{''.join('r' if number else 'l' for number in numeric)}}}",
        r"    \toprule",
        _line(
            [
                _heading(heading, [row[i] for row in rows], right=numeric[i])
                for i, heading in enumerate(table.columns)
            ]
        ),
        r"    \midrule",
        *(
            _line([_cell(cell, stacked=stacked) for cell in row])
            + (r" \addlinespace[2pt]" if stacked else "")
            for row in rows
        ),
        r"    \bottomrule",
        r"  \end{tabular}}",
        *(rf"  \par\smallskip{{\footnotesize {text}\par}}" for text in beneath),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _heading(text: str, cells: list[CellText], *, right: bool) -> str:
    """A heading in lines about as long as the cells beneath it."""
    wide = max([_HEADING, *(len(cell.text) for cell in cells)])
    words = textwrap.wrap(" ".join(text.split()), wide, break_on_hyphens=False)
    lines = [escape_latex(line) for line in words]
    return (
        _lines(lines, place="b", side="r" if right else "l") if len(lines) > 1 else "".join(lines)
    )


def _width(rows: list[list[CellText]]) -> float:
    """Characters across a table with intervals beside their numbers."""
    widths = [
        max(len(cell.text) + _SMALL * len(cell.plain.removeprefix(cell.text)) for cell in column)
        for column in zip(*rows, strict=True)
    ]
    return sum(widths) + 2 * len(widths)


def _cell(cell: CellText, *, stacked: bool) -> str:
    text = _number(cell.text) if cell.number else escape_latex(cell.text)
    mark = rf"\textsuperscript{{{escape_latex(cell.mark)}}}" if cell.mark else ""
    if not cell.low:
        return text + mark
    spread = rf"{{\scriptsize {{[}}{_number(cell.low)}, {_number(cell.high)}{{]}}}}"
    return (
        _lines([text + mark, spread], place="t", side="r") if stacked else f"{text} {spread}{mark}"
    )


def _lines(lines: list[str], *, place: str, side: str) -> str:
    """Lines as one cell, of which the first (`t`) or last (`b`) stands on the row's line."""
    broken = (r"\\[-2pt]" if place == "t" else r"\\").join(lines)
    return rf"\begin{{tabular}}[{place}]{{@{{}}{side}@{{}}}}{broken}\end{{tabular}}"


def _number(text: str) -> str:
    """A hyphen before a number is a minus."""
    return escape_latex(_MINUS.sub("−", text))


def _line(cells: list[str]) -> str:
    return "    " + " & ".join(cells) + r" \\"
