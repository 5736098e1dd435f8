"""A page answers in sentences: each run tells what its records say of the claims."""

from collections.abc import Sequence

from report.claims.check import Judgement, judge
from report.claims.claim import read_claims
from suites.engine.store.records import Record


def answers(records: Sequence[Record]) -> list[dict[str, str]]:
    """Return the claims that the records can judge, in words."""
    return [
        {
            "asks": one.claim.question,
            "sentence": sentence_of(one),
            "verdict": one.answer,
            "bar": one.bar,
            "paper": one.claim.paper,
            "why": sentence_case(one.claim.why),
        }
        for one in judge(read_claims(), records, strict=False)
        if one.found is not None
    ]


def sentence_of(one: Judgement) -> str:
    """Say a claim as a sentence of its own."""
    return sentence_case(one.sentence.rstrip(".")) + "."


def sentence_case(text: str) -> str:
    """Write the first letter large and leave the others as they are."""
    return text[:1].upper() + text[1:]
