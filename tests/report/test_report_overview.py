"""Several runs get one page: each run answers for itself, and none is lost or told twice."""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from synthetic import make_records, write_lines

import run_bench
from report import commands
from report.claims.claim import Claim
from report.page import page
from report.page.page import BANNER, write_overview
from report.reading.cases import resolved
from suites.engine.store import runs
from suites.engine.store.plan import Plan
from suites.engine.store.records import Record

ASKED = "How long does the planted call take?"


@pytest.fixture(scope="module")
def some() -> list[Record]:
    """Make the records of one suite."""
    return [one for one in make_records(seed=2) if "attention_speed" in one["suites"]]


@pytest.fixture
def home(tmp_path: Path, some: list[Record], monkeypatch: pytest.MonkeyPatch) -> Path:
    """Make two runs of the same cases in different places, and a claim; no folder of runs."""
    for place, name in (("here", "before"), ("there", "after")):
        (tmp_path / place / name).mkdir(parents=True)
        write_lines(tmp_path / place / name, some)
    for module in (runs, commands):
        monkeypatch.setattr(module, "RUNS", tmp_path / "no" / "such")
    timed = next(one for one in some if one["time"] and one["status"] == "ok")
    wanted = {k: v for k, v in resolved(timed["settings"]).items() if k != "d_model"}
    words: dict[str, Any] = {"suite": "attention_speed", "quantity": "time", "says": "{value}"}
    claim = Claim(name="planted", asks=ASKED, of=wanted, at_least=0, **words)
    monkeypatch.setattr(page, "read_claims", lambda: [claim])
    return tmp_path


def test_runs_named_together_get_one_page_in_the_folder_of_runs(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    one, other = (str(home / place) for place in ("here/before", "there/after"))
    assert run_bench.main(["report", one, other, one]) == 0
    assert capsys.readouterr().out.endswith("open " + str(home / "no/such/index.html") + "\n")
    text = (home / "no/such/index.html").read_text()
    assert text.count('<section id="') == 2
    assert 'href="../../here/before/index.html"' in text
    assert f"{ASKED} <strong>before: " in text and f"{ASKED} <strong>after: " in text


def test_a_run_of_other_sizes_beside_it_leaves_the_answers_as_they_are(
    home: Path, some: list[Record]
) -> None:
    """Pooled, two cases would fit a claim that tells all settings but the width."""
    wide: list[Any] = json.loads(json.dumps(some))
    for record in wide:
        record["case"] = record["case"][::-1]
        record["settings"]["d_model"] *= 2
    write_lines(home / "there/after", wide)
    write_overview([home / "here/before", home / "there/after"], home / "index.html")
    assert f"{ASKED} <strong>before: " in (home / "index.html").read_text()


def test_claims_that_answer_no_question_are_folded_only_below_others(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (asked,) = page.read_claims()
    told = replace(asked, asks="", says="it takes {value}")
    for claims, folded in (([asked, told], True), ([told], False)):
        monkeypatch.setattr(page, "read_claims", lambda claims=claims: claims)
        write_overview([home / "here/before", home / "there/after"], home / "index.html")
        text = (home / "index.html").read_text()
        assert ("more claims, judged the same way" in text) is folded


def test_a_quick_run_answers_nothing(home: Path) -> None:
    plan = Plan(name="after", preset="quick", seeds=[0], device="cpu", entries={})
    (home / "there/after/plan.json").write_text(json.dumps(plan.to_json()))
    write_overview([home / "here/before", home / "there/after"], home / "index.html")
    text = (home / "index.html").read_text()
    assert BANNER in text
    assert text.count(ASKED) == 1


def test_two_runs_of_one_name_are_refused(home: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (home / "there/after").rename(home / "there/before")
    assert run_bench.main(["report", str(home / "here/before"), str(home / "there/before")]) == 2
    assert "two of the runs have the name 'before'" in capsys.readouterr().err
