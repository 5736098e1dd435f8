"""The floor of an attention call is the time that its matrix products alone would take.

They run at the rate of a matrix product in the very process that was timed, which its record keeps
(JobEntry in suites.engine.store.records): of one in float32 on the CPU, in the case's precision on
a GPU. There the floor is no lower than the time in which inputs and outputs are moved once.
"""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any, NamedTuple

from baselines.config import ATTENTIONS
from report.reading.cases import CaseResult, resolved, samples_of, tokens_at_once
from report.reading.series import USUAL_PRECISION
from suites.engine.store.records import Record

# Products of a pair of a query and a key: q . k and weight times v forward; backward q . k again,
# as no kernel here keeps all logits, and one each for the gradients of weights, v, q and k.
FORWARD, BACKWARD = 2, 5


class Floor(NamedTuple):
    """A floor of one process: the time in ms, and its share of the median step."""

    ms: float
    share: float


def pairs_of(settings: Mapping[str, Any]) -> int | None:
    """Count the pairs of a query and a key that an attention call computes, of one head.

    With chunks every query meets all keys of its window in every round: rounds * l * min(l, (1 +
    chunks before) * m); windows are computed whole, so products that masks make needless count as
    done. Dense attention is causal: l (l + 1) / 2, as a fused kernel leaves out what follows the
    diagonal. None for an attention that is not known here.
    """
    length = int(settings["length"])
    if settings.get("chunk_length"):
        window = (1 + settings.get("chunks_before", 1)) * settings["chunk_length"]
        return int(settings.get("n_rounds", 1) * length * min(length, window))
    return length * (length + 1) // 2 if settings.get("attention") in ATTENTIONS else None


def flop_of(settings: Mapping[str, Any], products: int = FORWARD + BACKWARD) -> int | None:
    """Count the floating-point operations of the matrix products of one attention call.

    2 * products * batch * heads * width * pairs, where heads * width is d_model.
    """
    pairs = pairs_of(settings)
    if pairs is None:
        return None
    return 2 * products * int(settings.get("batch", 1)) * int(settings["d_model"]) * pairs


def bytes_of(settings: Mapping[str, Any]) -> int:
    """Count the bytes of an attention call's inputs and outputs, each read or written once a pass.

    Forward q, k, v and the output; backward those, its gradient and three more, where shared
    queries and keys are one. They stay in a GPU's memory; more is moved by any kernel.
    """
    n_inputs = 2 if settings.get("chunk_length") else 3
    rows = (n_inputs + 1) + (2 * n_inputs + 2)
    numbers = tokens_at_once(settings) * int(settings["d_model"])
    return rows * numbers * (2 if settings.get("precision") == "bfloat16" else 4)


def floors_of(record: Record) -> list[Floor]:
    """Return the floor of each timed process of an attention call.

    There are none without the rates of every process, and in bfloat16 on the CPU, for which no rate
    is measured.
    """
    settings = resolved(record.get("settings") or {})
    precision = settings.get("precision", USUAL_PRECISION)
    on_cpu = (record.get("identity") or {}).get("device") == "cpu"
    if settings.get("subject") != "attention" or (on_cpu and precision != USUAL_PRECISION):
        return []
    flop, moved, processes = flop_of(settings), bytes_of(settings), samples_of(record, "step")
    rates = [
        (job.get("gflops"), job.get("copy_gbs"))
        for job in record.get("jobs") or []
        if job["kind"] == "time" and job["status"] == "ok" and not job.get("replaced")
    ]
    if flop is None or len(rates) != len(processes):
        return []
    floors = []
    for (gflops, copy_gbs), samples in zip(rates, processes, strict=True):
        if not gflops or not (on_cpu or copy_gbs):
            return []
        ms = flop / gflops / 1e6
        if copy_gbs:
            ms = max(ms, moved / copy_gbs / 1e6)
        floors.append(Floor(ms, ms / median(samples)))
    return floors


def floors_of_case(case: CaseResult) -> list[Floor]:
    """Return the floors of the timed processes of a case; see `floors_of`."""
    return next(filter(None, map(floors_of, case.records)), [])


def share_text(floors: Sequence[Floor]) -> str:
    """Tell the share of the floor from the lowest process to the highest: "61 to 67 %"."""
    if not floors:
        return ""
    shares = [100 * floor.share for floor in floors]
    low, high = f"{min(shares):.0f}", f"{max(shares):.0f}"
    return f"{low} %" if low == high else f"{low} to {high} %"
