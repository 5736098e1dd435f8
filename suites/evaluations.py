"""A trained model is also evaluated with another attention, as in Table 2, and analysed. No torch.

The weights are the same: any model that shares queries and keys can attend in any of these ways.
"""

from typing import Any

from suites.effects import OURS, can_attend_otherwise

FULL = {"attention": "sdpa", "shared_qk": True, "unit_keys": True, "attend_self": False}
# What `evaluate_as` may hold. Full attention as trained with LSH: unit keys, no position attends to
# itself; "with itself" they do, and "standard" is q . q / sqrt(d) besides, as in any Transformer.
WAYS_OF_FULL = {
    "with itself": {**FULL, "attend_self": True},
    "standard": {**FULL, "attend_self": True, "unit_keys": False},
}
# The later semantics of the authors' code, with each number of rounds that is evaluated.
ACROSS = "across buckets"
ACROSS_BUCKETS = {"within_bucket": False, "correct_duplicates": False}
WAYS = (*WAYS_OF_FULL, ACROSS)

# What `analyses` may hold, and the attentions of which a model's layers must have one: how much the
# future moves earlier predictions; how much of the true attention the pairs that met hold; what one
# head does in a short stretch. suites.engine.measure.analyses says what each is.
ANALYSES: dict[str, tuple[str, ...]] = {
    "past only": (),  # any
    "attention mass": OURS,
    "head": ("lsh",),
}


def evaluations(s: Any) -> dict[str, dict[str, Any]]:
    """Return by name with what else the trained model of `s` (Settings) is evaluated.

    Each is the settings to change: "4" has 4 hash rounds, "full" is full attention. Trained across
    buckets, "4" is across buckets too. There are none where queries are not keys, or layers have
    other attention than LSH and full.
    """
    if not can_attend_otherwise(s):
        return {}
    found: dict[str, dict[str, Any]] = {}
    across = all(getattr(s, name) == value for name, value in ACROSS_BUCKETS.items())
    for n_rounds in s.evaluate_rounds:
        lsh = {"attention": "lsh", "n_rounds": n_rounds}
        found["full" if n_rounds == 0 else str(n_rounds)] = FULL if n_rounds == 0 else lsh
        if ACROSS in s.evaluate_as and n_rounds and not across:
            found[f"{n_rounds} {ACROSS}"] = lsh | ACROSS_BUCKETS
    ways = {f"full {way}": WAYS_OF_FULL[way] for way in s.evaluate_as if way in WAYS_OF_FULL}
    return found | ways


def analyses_of(s: Any) -> list[str]:
    """Return what is analysed in the trained model of `s` (Settings): what its layers allow."""
    return [name for name in s.analyses if not ANALYSES[name] or {*ANALYSES[name]} & {*s.kinds}]
