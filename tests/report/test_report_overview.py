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
from report.page import answers
from report.page.page import BANNER, write_overview
from report.reading.cases import resolved
from suites.base import make_case
from suites.engine.store import runs
from suites.engine.store.plan import Entry, Plan
from suites.engine.store.records import Record
from suites.settings import Settings

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
    monkeypatch.setattr(answers, "read_claims", lambda: [claim])
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
    heads = [text.index(f"<h3>{name}: Test CPU") for name in ("before", "after")]
    assert [text.count(ASKED, *part) for part in ((0, heads[0]), heads, (heads[1],))] == [0, 1, 1]


def test_the_overview_tells_of_each_run_where_when_and_whether_it_is_finished(
    home: Path, some: list[Record]
) -> None:
    planned = make_case(Settings(n_rounds=64))
    entries = {planned.id: Entry(case=planned, suites=("layers",))}
    plan = Plan(name="after", preset="cpu", seeds=[0], device="cpu", entries=entries)
    (home / "there/after/plan.json").write_text(json.dumps(plan.to_json()))
    runs = [home / "here/before", home / "there/after"]
    write_overview(runs, home / "index.html")
    text = (home / "index.html").read_text()
    top, method = text[: text.index("Answers</h2>")], text[text.index('<h2 id="method"') :]
    machine = "Test CPU @ 2.00GHz, 2 cores, 16 GiB, cpu, 2 threads, torch 2.13.0"
    assert f"before</a>: {machine}. No plan tells whether it is finished." in top
    short = "NOT FINISHED: of 1 planned cases 1 are not measured."
    assert f"after</a>: {machine}. {short}" in top
    before, after = (method.index(f"<h3>{run.name}</h3>") for run in runs)
    for start, end in ((before, after), (after, len(method))):
        assert "a difference not seen may still be there" in method[start:end]
    assert "NOT FINISHED: of 1 planned cases 1 are not measured: LSH-64" in method[after:]
    own = (home / "there/after/index.html").read_text()
    assert f'<p class="banner">{short} Method says which.</p>' in own
    plan.entries.clear()
    (home / "there/after/plan.json").write_text(json.dumps(plan.to_json()))
    write_overview(runs, home / "index.html")
    assert f"after</a>: {machine}. Finished." in (home / "index.html").read_text()


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
    assert (home / "index.html").read_text().count(f"{ASKED} <strong>") == 2


def test_claims_that_answer_no_question_are_folded_only_below_others(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (asked,) = answers.read_claims()
    told = replace(asked, asks="", says="it takes {value}")
    for claims, folded in (([asked, told], True), ([told], False)):
        monkeypatch.setattr(answers, "read_claims", lambda claims=claims: claims)
        write_overview([home / "here/before", home / "there/after"], home / "index.html")
        text = (home / "index.html").read_text()
        assert ("more claims, judged the same way" in text) is folded


def test_every_answer_has_its_verdict_with_the_bar(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (asked,) = answers.read_claims()
    asked = replace(asked, alone="How long does it take?")
    told = replace(asked, name="b", asks="", alone="", says="it takes {value}", at_least=1e9)
    monkeypatch.setattr(answers, "read_claims", lambda: [asked, told])
    write_overview([home / "here/before", home / "there/after"], home / "index.html")
    text = (home / "index.html").read_text()
    assert text.count('<span class="holds">Holds (at least 0.00 ms).</span>') == 2
    assert text.count("How long does it take? <strong>") == 2 and ASKED not in text
    assert text.count('<span class="differs">Differs (at least 1,000,000,000 ms).</span>') == 2


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
