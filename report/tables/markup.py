"""Tables for people have no empty columns; they are written as Markdown, for papers as LaTeX."""

import re

import pandas as pd

LATEX_SPECIAL = {c: f"\\{c}" for c in "&%$#_{}"} | {"+-": "$\\pm$"}


def without_empty(table: pd.DataFrame) -> pd.DataFrame:
    """Leave out the columns of a table for people in which nothing stands."""
    return table.replace("", None).dropna(axis=1, how="all").astype(object).fillna("")


def to_markdown(table: pd.DataFrame) -> str:
    """Write a table as Markdown; a bar inside a cell is escaped."""
    rows = [list(map(str, table.columns)), *(list(map(str, row)) for row in table.to_numpy())]
    rows = [[cell.replace("|", "\\|").replace("\n", " ") for cell in row] for row in rows]
    lines = ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join([lines[0], "|" + "---|" * len(rows[0]), *lines[1:]]) + "\n"


def to_latex(table: pd.DataFrame, caption: str, label: str) -> str:
    """Write a table as LaTeX (booktabs, graphicx), no wider than the text.

    Text is escaped, and +- becomes a sign.
    """
    rows = [[_latex(str(cell)) for cell in row] for row in table.to_numpy()]
    head = [_latex(str(name)) for name in table.columns]
    body = "\n".join(" & ".join(row) + r" \\" for row in rows)
    return (
        "\\begin{table}\n\\centering\n\\small\n\\caption{" + _latex(caption) + "}\n"
        "\\label{" + re.sub(r"[^A-Za-z0-9:-]", "-", label) + "}\n"
        "\\resizebox{\\ifdim\\width>\\linewidth\\linewidth\\else\\width\\fi}{!}{%\n"
        "\\begin{tabular}{l" + "r" * (len(head) - 1) + "}\n\\toprule\n"
        f"{' & '.join(head)} \\\\\n\\midrule\n{body}\n\\bottomrule\n"
        "\\end{tabular}}\n\\end{table}\n"
    )


def _latex(text: str) -> str:
    text = text.replace("\\", "/").replace("~", " ").replace("^", " ")
    for plain, escaped in LATEX_SPECIAL.items():
        # the sign is put in last: its own dollars stay
        text = text.replace(plain, escaped)
    return text
