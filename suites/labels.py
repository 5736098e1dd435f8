"""Settings and cases are named for people, so that no two cases of a run have the same name.

No torch.
"""

from collections.abc import Collection, Mapping, Sequence
from typing import Any

from suites.settings import HOW, SETTINGS

PHRASES = {
    "bucket_size": "bucket {}",
    "chunk_length": "chunk {}",
    "chunks_before": "look-back {}",
    "length": "length {}",
    "batch": "batch {}",
    "n_layers": "{} layers",
    "d_model": "width {}",
    "ff_chunks": "{} ff chunks",
    "precision": "{}",
    "task": "{}",
    "kernel": "kernel {}",
    "optimizer": "{}",
}
# Off and on; what is usual goes without saying.
SWITCHES = {
    "shared_qk": ("", "shared QK"),
    "within_bucket": ("across buckets", ""),
    "correct_duplicates": ("duplicates kept", ""),
}

IN_THE_LABEL = (
    *("attention", "n_rounds", "bucket_size", "chunk_length"),
    *("length", "batch", "n_layers", "subject", "precision"),
)

Values = Mapping[str, Any]


def phrase(key: str, value: object) -> str:
    """Say a setting and its value in words; "" for what is usual."""
    if isinstance(value, bool):
        word = key.replace("_", " ")
        return SWITCHES.get(key, (f"not {word}", word))[value]
    if key == "subject":
        return "attention alone" if value == "attention" else "training"
    if key == "n_rounds":
        return f"{value} round" + ("" if value == 1 else "s")
    return PHRASES.get(key, key.replace("_", " ") + " {}").format(value)


def short_label(s: Values) -> str:
    """Name a case by its model and by what usually tells two cases apart.

    s: the settings with an effect (Settings.measured).
    """
    model = str(s["attention"])
    if "n_rounds" in s:
        name = "LSH" if model == "lsh" else model
        model = f"{name}-{s['n_rounds']}, bucket {s['bucket_size']}, chunk {s['chunk_length']}"
    size = f"length {s['length']}" + (f" x {s['batch']}" if s.get("batch", 1) > 1 else "")
    alone = s.get("subject") == "attention"
    what = "attention alone" if alone else f"{s['n_layers']} layers"
    half = "" if s.get("precision", "float32") == "float32" else f", {s['precision']}"
    return f"{model}, {size}, {what}{half}"


def labels(cases: Sequence[Values], told: Sequence[Collection[str]] = ()) -> list[str]:
    """Name each of several cases by its short label and by the settings in which equal ones differ.

    told: for each case the settings that its name tells in any case. A case without settings, such
    as a benchmark of a part, has the name "".
    """
    short = [short_label(s) if s else "" for s in cases]
    groups: dict[str, list[Values]] = {}
    for label, s in zip(short, cases, strict=True):
        groups.setdefault(label, []).append(s)
    found = []
    for i, (label, s) in enumerate(zip(short, cases, strict=True)):
        alike, always = groups[label], told[i] if told else ()
        differing = [
            key
            for key in SETTINGS
            if key in s
            and key not in (*HOW, *IN_THE_LABEL)
            and (key in always or any(other.get(key) != s[key] for other in alike))
        ]
        words = [phrase(key, s[key]) or f"{key} {s[key]}" for key in differing]
        found.append(", ".join([label, *words]))
    return found
