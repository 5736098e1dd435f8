"""The paper's bounds on memory and time are computed at the sizes that were measured."""

from collections.abc import Sequence

from report import paper
from report.reading.cases import CaseResult
from report.reading.series import Series
from report.statistics.scaling import scaling
from suites.labels import means_text

# By the kind of a model and what its layers have (suites.labels.means_text): its row in Table 3.
ROWS_OF_TABLE_3 = {
    ("dense", "ordinary layers"): "Transformer",
    ("dense", "reversible"): "Reversible Transformer",
    ("dense", "reversible and chunked"): "Chunked reversible Transformer",
    ("reformer", "ordinary layers"): "LSH Transformer",
    ("reformer", "reversible and chunked"): "Reformer",
}
ROWS_OF_TABLE_1 = {
    "naive": "scaled dot product",
    "sdpa": "scaled dot product",
    "memory_efficient": "memory-efficient",
    "lsh": "LSH attention",
}


def row_in_paper(case: CaseResult) -> str:
    """Name the row of the paper's Table 1 or 3 that a case is of; "" if of none."""
    if case.settings.get("subject") == "attention":
        return ROWS_OF_TABLE_1.get(str(case.settings["attention"]), "")
    return ROWS_OF_TABLE_3.get((case.kind, means_text(case.settings)), "")


def bound_of(case: CaseResult, measure: str) -> float | None:
    """Return what the paper prints of "time" or "memory" at the sizes of a case, in its units."""
    row = row_in_paper(case)
    bounds = (paper.TABLE_1 | paper.TABLE_3).get(row)
    return bounds[measure](sizes_of(case)) if bounds else None


def sizes_of(case: CaseResult) -> dict[str, float]:
    """Return the sizes that the bounds are made of; what a case has not is 0, or 1 of a count."""
    s = case.settings
    chunk = s.get("chunk_length") or 0
    return {
        "b": s.get("batch", 1),
        "h": s["n_heads"],
        "l": s["length"],
        "n": s.get("n_layers", 1),
        "r": s.get("n_rounds", 1),
        "d_k": s["d_model"] / s["n_heads"],
        "d": s["d_model"],
        "f": s.get("d_ff", 0),
        "c": (4 * chunk) ** 2,
    }


def printed_exponent(line: Series, measure: str, measured: Sequence[float]) -> float | None:
    """Return the power with which the bound grows over the x that were measured, by regression."""
    found = [(x, bound_of(case, measure)) for x, case in line.points if x in measured]
    known = [(x, bound) for x, bound in found if bound]
    fitted = scaling([x for x, _ in known], [[[bound]] for _, bound in known])
    return fitted.exponent.value if fitted else None
