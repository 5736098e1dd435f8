"""The share of pairs that met stands beside the attention that they hold, and is seen."""

import json
from itertools import pairwise
from pathlib import Path

import pytest
from readable import figure_drawn_by
from test_report_analyses import analyses_of

from report.figures import attention_mass
from report.reading.gathering import gather
from report.reading.view import view_of
from suites.engine.store.records import Record


def test_no_point_hides_another(
    records: list[Record], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    copies = [json.loads(json.dumps(r)) for r in records if "hash_rounds" in r["suites"]]
    for record in copies:
        if record["settings"]["attention"] == "lsh":
            rounds = record["settings"]["n_rounds"]
            record["quality"]["analyses"] = analyses_of(rounds, record["seed"])
    view = view_of("hash_rounds", gather(copies))
    figure = figure_drawn_by(attention_mass.draw_attention_mass, view, monkeypatch, tmp_path)
    firsts: dict[str, set[float]] = {}
    for line in figure.axes[0].get_lines():
        if line.get_marker() in set("vsoD") and len(line.get_xdata()):
            firsts.setdefault(line.get_marker(), set()).add(line.get_xdata()[0])
    assert len(firsts) == 4
    assert all(len(found) == 1 for found in firsts.values()), "a share stands under its mass"
    places = sorted(x for found in firsts.values() for x in found)
    assert min(b - a for a, b in pairwise(places)) > 0.08
