"""Tables as LaTeX in the style of booktabs."""

import re

from composer_pl.evaluation.report.cells import CellText, cell_texts, numeric_columns
from composer_pl.evaluation.report.parts import Table

PREAMBLE = "% Needs \\usepackage{booktabs} in the preamble.\n"
_ESCAPES = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}",
    "[": "{[}", "]": "{]}",  # after \\ a bracket would begin an argument
    "–": "--", "—": "---", "…": r"\dots{}", "−": "$-$", "×": r"$\times$", "±": r"$\pm$",
    "≤": r"$\leq$", "≥": r"$\geq$", "≈": r"$\approx$", "→": r"$\rightarrow$", "·": r"$\cdot$",
    "°": r"$^{\circ}$", "√": r"$\surd$", "α": r"$\alpha$", "σ": r"$\sigma$", "∞": r"$\infty$",
    "†": r"\dag{}", "‡": r"\ddag{}", "§": r"\S{}", "¶": r"\P{}",
}  # fmt: skip
_SPECIAL = re.compile("-(?=-)|" + "|".join(re.escape(character) for character in _ESCAPES))
_MINUS = re.compile(r"^-(?=[\d.])")


def escape_latex(text: str) -> str:
    """A text that LaTeX sets as it is, in one line."""
    return _SPECIAL.sub(
        lambda found: _ESCAPES.get(found[0], "-{}"),  # two hyphens would become a dash
        " ".join(text.split()),
    )


def table_latex(table: Table) -> str:
    """A `table` float with its title as the caption, note and footnotes beneath."""
    rows, footnotes = cell_texts(table)
    numeric = numeric_columns(rows, len(table.columns))
    label = re.sub(r"[^a-z0-9]+", "-", table.title.lower()).strip("-")
    beneath = [rf"\textsuperscript{{{escape_latex(mark)}}} {escape_latex(footnote)}"
               for mark, footnote in footnotes.items()]  # fmt: skip
    beneath += [escape_latex(table.note)] if table.note else []
    lines = [
        r"\begin{table}[tbp]",
        r"  \centering",
        rf"  \caption{{{escape_latex(table.title)}}}",
        rf"  \label{{tab:{label}}}",
        rf"  \begin{{tabular}}{{{''.join('r' if number else 'l' for number in numeric)}}}",
        r"    \toprule",
        _line([escape_latex(heading) for heading in table.columns]),
        r"    \midrule",
        *(_line([_cell(cell) for cell in row]) for row in rows),
        r"    \bottomrule",
        r"  \end{tabular}",
        *(rf"  \par\smallskip{{\footnotesize {text}\par}}" for text in beneath),
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _cell(cell: CellText) -> str:
    text = _number(cell.text) if cell.number else escape_latex(cell.text)
    if cell.low:
        text += rf" {{\scriptsize {{[}}{_number(cell.low)}, {_number(cell.high)}{{]}}}}"
    return text + (rf"\textsuperscript{{{escape_latex(cell.mark)}}}" if cell.mark else "")


def _number(text: str) -> str:
    """A hyphen before a number is a minus."""
    return escape_latex(_MINUS.sub("−", text))


def _line(cells: list[str]) -> str:
    return "    " + " & ".join(cells) + r" \\"
