"""Tables as LaTeX, with the cells that the page shows."""

from collections.abc import Sequence

import pandas as pd

from distilrank.cells import Column, cells

_LATEX = {
    **{character: rf"\{character}" for character in "&%$#_{}"},
    "\\": r"\textbackslash{}",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"$<$",
    ">": r"$>$",
    "×": r"$\times$",
    "−": r"$-$",
    "–": "--",
    "µ": r"$\mu$",
    "Δ": r"$\Delta$",
    "τ": r"$\tau$",
    "±": r"$\pm$",
    "▼": r"$\downarrow$",
    "▲": r"$\uparrow$",
    "…": r"\ldots{}",
}


def escape_latex(value: str) -> str:
    """``value`` as text LaTeX prints as it stands."""
    return "".join(_LATEX.get(character, character) for character in value)


def tabular(table: pd.DataFrame, columns: Sequence[Column]) -> str:
    """A booktabs ``tabular``; units stand under the headings. Needs ``\\usepackage{booktabs}``."""
    align = "".join("r" if column.numeric else "l" for column in columns)
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{{align}}}",
        "\\toprule",
        _latex_row([column.title for column in columns]),
    ]
    if any(column.unit for column in columns):
        lines.append(_latex_row([column.unit for column in columns]))
    lines.append("\\midrule")
    lines += [_latex_row(row) for row in cells(table, columns)]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", ""])


def _latex_row(row: Sequence[str]) -> str:
    return " & ".join(escape_latex(cell) for cell in row) + r" \\"
