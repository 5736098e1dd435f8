"""Claims are judged by records whose truth is known, and a wrong one is found."""

import json
import re
from argparse import Namespace
from dataclasses import replace
from math import inf, nan

import pytest
from synthetic import (
    BASE,
    DENSE,
    make_records,
    true_bits,
    true_rest_bytes,
    true_step_ms,
)

import run_bench
from report import commands
from report.claims import claim as claims
from report.claims.answers import VERDICT, answers_table
from report.claims.check import Judgement, exit_code, judge, lines_of, records_under
from report.claims.claim import CLAIMS, Claim, read_claims
from report.statistics.estimates import Estimate

ROUNDS = {"attention": "lsh", "n_rounds": 4}
DENSE_TWIN = {"attention": "sdpa", "reversible": False}


def claim(quantity, of=ROUNDS, against=DENSE_TWIN, **entries):
    told = {"name": "planted", "says": "it is {value}", "suite": "sequence_length"}
    return Claim(**{**told, "quantity": quantity, "of": of, "against": against, **entries})


@pytest.fixture(scope="module")
def records():
    return make_records()


def at(length):
    return {**ROUNDS, "length": length}


LSH_4, SDPA = BASE, DENSE
TRUE_CROSSOVER = 512 * 2**2.5


def truth(quantity, length=2048):
    ours, dense = replace(LSH_4, length=length), replace(SDPA, length=length)
    return {
        "time": true_step_ms(ours),
        "times faster": true_step_ms(dense) / true_step_ms(ours),
        "times longer": true_step_ms(ours) / true_step_ms(dense),
        "memory": true_rest_bytes(ours),
        "times less memory": true_rest_bytes(dense) / true_rest_bytes(ours),
        "bits per dim": true_bits(ours),
        "bits per dim better": true_bits(dense) - true_bits(ours),
        "accuracy": 100 * (1 - true_bits(ours) / 8),
    }[quantity]


@pytest.mark.parametrize(
    "quantity",
    [
        "time",
        "times faster",
        "times longer",
        "memory",
        "times less memory",
        "bits per dim",
        "bits per dim better",
        "accuracy",
    ],
)
def test_the_quantity_of_two_cases_is_the_true_one(records, quantity):
    expected = truth(quantity)
    wide = 0.15 * abs(expected) + 0.01
    right = {"at_least": expected - wide, "at_most": expected + wide}
    [found] = judge([claim(quantity, of=at(2048), **right)], records)
    assert found.verdict == "holds", found
    assert found.found.value == pytest.approx(expected, abs=wide)
    for wrong in ({"at_least": expected + wide}, {"at_most": expected - wide}):
        [found] = judge([claim(quantity, of=at(2048), **wrong)], records)
        assert found.verdict == "fails", found


@pytest.mark.parametrize(
    ("quantity", "of", "low", "high"),
    [
        ("crossover", ROUNDS, 0.9 * TRUE_CROSSOVER, 1.1 * TRUE_CROSSOVER),
        ("exponent", DENSE_TWIN, 1.35, 1.45),
        ("exponent", ROUNDS, 0.95, 1.05),
    ],
)
def test_the_quantity_of_a_line_is_the_true_one(records, quantity, of, low, high):
    [found] = judge([claim(quantity, of=of, at_least=low, at_most=high)], records)
    assert found.verdict == "holds", found
    [found] = judge([claim(quantity, of=of, at_least=high)], records)
    assert found.verdict == "fails", found


@pytest.mark.parametrize(
    ("found", "verdict"),
    [
        (Estimate(2.0, 1.5, 2.5), "holds"),
        (Estimate(2.0, 1.0, 3.0), "holds"),
        (Estimate(2.0, 0.9, 2.5), "inconclusive"),
        (Estimate(2.0, 1.5, 3.1), "inconclusive"),
        (Estimate(0.5, 0.2, 0.9), "fails"),
        (Estimate(5.0, 3.1, inf), "fails"),
        (Estimate(2.0, nan, nan), "inconclusive"),
        (None, "inconclusive"),
    ],
)
def test_a_claim_holds_where_its_whole_interval_does(found, verdict):
    assert claim("time", at_least=1, at_most=3).verdict(found) == verdict


def test_the_paper_may_claim_what_does_not_hold_here():
    """The claim of README is then that it does not: the row of the table says that it differs."""
    ours = {"at_least": 1, "at_most": 3}
    told = claim("time", **ours, paper_at_most=0.9, asks="Is it less?", why="it is more")
    found = Judgement(told, Estimate(2.0, 1.5, 2.5))
    assert (found.verdict, found.answer) == ("holds", "differs")
    assert list(answers_table([found])[VERDICT]) == ["it is more"]
    told = replace(told, paper="less")
    assert list(answers_table([replace(found, claim=told)])[VERDICT]) == [
        "differs (at most 0.90 ms): it is more"
    ]
    assert Judgement(told, Estimate(0.8, 0.7, 0.89)).verdict == "fails"
    assert Judgement(told, Estimate(0.8, 0.7, 0.89)).answer == "holds"
    assert Judgement(claim("time", **ours), Estimate(2.0, 1.5, 2.5)).answer == "holds"
    with pytest.raises(ValueError, match="asks for at least 4 and at most 3"):
        claim("time", **ours, paper_at_least=4, paper_at_most=3)


def test_what_was_not_measured_is_inconclusive_and_says_so(records):
    [found] = judge([claim("time", of=at(77), at_least=1)], records)
    assert (found.verdict, exit_code([found])) == ("inconclusive", 2)
    [line] = lines_of([found])
    assert "not measured" in line
    assert "no case of sequence_length with attention lsh, n_rounds 4, length 77" in line


def test_a_claim_that_fits_several_cases_has_to_say_which(records):
    with pytest.raises(ValueError, match="claim 'planted': 5 cases of sequence_length have"):
        judge([claim("time", of=ROUNDS, at_least=1)], records)
    with pytest.raises(ValueError, match="claim 'planted': 2 lines of sequence_length have"):
        judge([claim("exponent", of={"attention": "lsh"}, at_least=1)], records)


def test_records_of_two_machines_are_judged_apart(records):
    other = make_records(seed=1, slower=3.0)
    for record in other:
        record["identity"] = {**record["identity"], "machine": "another"}
    limit = {"at_most": 1.5 * truth("time")}
    found = judge([claim("time", of=at(2048), **limit)], [*records, *other])
    assert [one.verdict for one in found] == ["holds", "fails"]
    assert exit_code(found) == 1
    unknown = judge([claim("time", of=at(77), **limit)], [*records, *other])
    one, first, _, two, second, _, nowhere, third = lines_of([*found, *unknown])
    assert [one[:20], two] == ["Measured on machine ", "Measured on machine another:"]
    assert [first[:6], second[:6], third[:13]] == ["holds:", "fails:", "inconclusive:"]
    assert nowhere == "Measured nowhere:"


def test_a_line_says_what_was_asked_and_what_becomes_of_the_papers_claim(records):
    told = claim("time", of=at(2048), at_least=0, asks="How long?", says="{value}")
    [line] = lines_of(judge([told], records))
    assert re.fullmatch(r"holds: How long\? [\d.]+ \+- [\d.]+ ms", line)
    [line] = lines_of(judge([replace(told, alone="How long is it?")], records))
    assert line.startswith("holds: How long is it? ")
    [line] = lines_of(judge([replace(told, paper="less", paper_at_most=0.5)], records))
    start, end = (
        "as claimed; the paper: differs: How long? ",
        " ms (the paper's bar: at most 0.50 ms)",
    )
    assert line.startswith(start) and line.endswith(end)


def test_the_table_of_answers_has_what_answers_the_paper(records):
    asked = {"asks": "From which length?", "paper": "1,024", "name": "crossover"}
    told = [
        claim("time", of=at(2048), at_least=0),
        claim("crossover", **asked, at_most=2 * TRUE_CROSSOVER),
        claim("exponent", **asked | {"name": "b"}, at_least=3, why="it is linear"),
    ]
    table = answers_table(judge(told, records))
    assert list(table["question"]) == ["From which length?"] * 2
    assert list(table[VERDICT]) == [
        f"holds (at most {2 * TRUE_CROSSOVER:,.0f})",
        "differs (at least 3.00): it is linear",
    ]
    assert re.fullmatch(r"it is [\d,]+ \([\d,]+ to [\d,]+\)", table["here"][0])


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[[claim]]\nname = 'a'", "claim 'a' in c.toml: .*missing"),
        (
            "[[claim]]\nnmae = 'a'",
            "unknown entry of a claim in c.toml 'nmae'; did you mean 'name'?",
        ),
        ("[[claim", "cannot read claims from "),
        ("{}{}", "two claims in c.toml have the name 'a'"),
        ("{}".replace("at_least = 1", ""), "claim 'a' has no condition"),
    ],
)
def test_a_broken_file_of_claims_is_refused(tmp_path, text, said):
    whole = (
        "[[claim]]\nname = 'a'\nsays = '{value}'\nquantity = 'time'\nsuite = 's'\nof = {}\n"
        "at_least = 1\n"
    )
    if said.endswith("no condition"):
        text, whole = whole.replace("at_least = 1\n", ""), ""
    path = tmp_path / "c.toml"
    path.write_text(text.replace("{}", whole) if whole else text)
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        read_claims(path)


def test_an_unknown_quantity_is_refused(records):
    with pytest.raises(ValueError, match="unknown quantity in claim 'planted' 'tme'"):
        judge([claim("tme", at_least=1)], records)


def test_the_command_judges_a_folder_of_runs(records, tmp_path, monkeypatch, capsys):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        some = records[:: 1 if name == "one" else 7]
        lines = "".join(json.dumps(record) + "\n" for record in some)
        (tmp_path / name / "records.jsonl").write_text(lines)
    planted = [claim("time", of=at(2048), at_least=0), claim("time", of=at(2048), at_most=0)]
    for n, code in ((1, 0), (2, 1)):
        monkeypatch.setattr(commands, "read_claims", lambda n=n: planted[:n])
        assert run_bench.main(["check", str(tmp_path)]) == code
        said = capsys.readouterr().out
        assert ("fails: " in said) == (code == 1)
    assert "claimed: at most 0" in said
    assert commands.check(Namespace(names=[str(tmp_path / "two")], table=True)) in (0, 1, 2)
    assert len(records_under([tmp_path])) > len(records)


def test_every_claim_of_the_project_is_understood_without_the_one_before():
    for told in read_claims(CLAIMS):
        for text in (told.question, told.says):
            assert not re.search(r"^(And|it) |\bthere\b|\b(than|what) it\b", text), text


def test_every_claim_of_the_project_holds_by_the_reference_results(capsys):
    """So README cannot say what the records do not: a wrong claim fails here, and so in CI."""
    assert read_claims(CLAIMS)
    assert run_bench.main(["check"]) == 0, capsys.readouterr().out
    assert claims.HOLDS in capsys.readouterr().out
