"""What a claim says of sizes is a condition of it: a run of others is not told by it."""

import re

import pytest
from synthetic import make_records

from report.claims.check import NOT_MEASURED, judge
from report.claims.claim import Claim, read_claims

# What follows from settings, told by the sentence.
FOLLOWS = {
    "of whole windows": lambda told: told["train_steps"] - told["first_steps"],
    "symbols": lambda told: (told["length"] - 2) // 2,  # a separator before each copy
    "pixels a side, in three colours": lambda told: (told["length"] // 3) ** 0.5,
    "four": lambda told: {4: "four"}[told["batch"]],
}
# What is no size: equations, tables and figures, what the paper says, numbers of a type's name.
NO_SIZES = r"\(paper: [^)]*\)|\(4 is linear\)|\(?(eq\.|Table|Figure) \d+\)?|float\d+"
# Attention evaluated with another than it was trained with: the buckets are of the evaluation.
OF_THE_EVALUATION = {"in buckets of 32 full attention under LSH-1": {"32"}}


def sizes_in(text):
    """Return the numbers of a sentence, without commas."""
    found = re.findall(r"\d[\d,.]*\d|\d", re.sub(NO_SIZES, "", text))
    words = [word for word in ("four",) if re.search(rf"\b{word}\b", text)]
    return {number.replace(",", "") for number in found} | set(words)


def conditions_of(claim):
    """Return what the numbers of a claim's sentences may be."""
    found = {str(v) for told in (claim.of, claim.against, claim.where) for v in told.values()}
    for follows in FOLLOWS.values():
        try:
            found.add(f"{follows(claim.of)}".removesuffix(".0"))
        except (KeyError, TypeError):
            continue
    return found | OF_THE_EVALUATION.get(claim.name, set())


@pytest.mark.parametrize("claim", read_claims(), ids=lambda claim: claim.name)
def test_every_size_that_a_claim_tells_is_a_condition_of_it(claim):
    told = sizes_in(" ".join((claim.says, claim.asks, claim.alone)))
    assert told <= conditions_of(claim)


def planted(**settings):
    return Claim(
        name="planted",
        says="it is {value}",
        quantity="crossover",
        suite="sequence_length",
        of={"attention": "lsh", "n_rounds": 4, **settings},
        against={"attention": "sdpa", "reversible": False, **settings},
        at_least=0,
    )


@pytest.fixture(scope="module")
def records():
    return make_records()


def test_lines_of_other_sizes_are_not_told(records):
    sizes = {name: records[0]["settings"][name] for name in ("n_layers", "d_model")}
    (found,) = judge([planted(**sizes)], records)
    assert found.value != NOT_MEASURED
    (found,) = judge([planted(**{**sizes, "d_model": 2 * sizes["d_model"]})], records)
    assert found.value == NOT_MEASURED
    assert "d_model" in found.reason


def test_tokens_are_those_of_all_sequences_of_a_call(records):
    (length,) = {r["settings"]["length"] for r in records[:1]}
    claim = Claim(
        name="planted",
        says="it is {value}",
        quantity="time",
        suite="sequence_length",
        of={"attention": "lsh", "n_rounds": 4, "length": length, "tokens": 2 * length},
        at_least=0,
    )
    (found,) = judge([claim], records)
    assert found.value == NOT_MEASURED, "one sequence each"
    two = [{**r, "settings": {**r["settings"], "batch": 2}} for r in records]
    (found,) = judge([claim], two)
    assert found.value != NOT_MEASURED
