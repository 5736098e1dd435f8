"""Claims on analyses of trained models are judged by what was planted in the records."""

import pytest
from test_report_analyses import analyses_of, records_of

from report.claims.check import judge
from report.claims.claim import Claim
from suites import hash_rounds


@pytest.mark.parametrize(
    ("quantity", "n_rounds", "truth"),
    [
        ("bits per dim of later tokens", 1, 0.01 + 0.0001),
        ("bits per dim of later tokens", 4, 0.01 / 4 + 0.0001),
        ("attention met", 2, 75.0),
    ],
)
def test_claims_are_judged_by_what_was_planted(quantity, n_rounds, truth):
    records = records_of(hash_rounds.SUITE, "hash_rounds")
    of = {"attention": "lsh", "n_rounds": n_rounds}
    told = {"name": "planted", "says": "{value}", "suite": "hash_rounds", "of": of}
    [without] = judge([Claim(**told, quantity=quantity, at_least=0)], records)
    assert without.reason == "its cases have no such measure"
    for record in records:
        if record["settings"].get("n_rounds"):
            found = analyses_of(record["settings"]["n_rounds"], record["seed"])
            record["quality"]["analyses"] = found
    [judged] = judge([Claim(**told, quantity=quantity, at_least=0)], records)
    assert judged.found.value == pytest.approx(truth)
    assert judged.found.low <= truth <= judged.found.high
