"""Settings and cases are named for people, so that no two cases of a run have the same name.

No torch.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from suites.effects import HOW
from suites.settings import SETTINGS

PHRASES = {
    "bucket_size": "bucket {}",
    "chunk_length": "chunk {}",
    "chunks_before": "look-back {}",
    "length": "length {}",
    "batch": "batch {}",
    "d_model": "width {}",
    "ff_chunks": "{} ff chunks",
    "precision": "{}",
    "task": "{}",
    "rotation": "{} rotation",
    "positions_start": "positions from {}",
    "kernel": "kernel {}",
    "optimizer": "{}",
}
COUNTED = {"n_rounds": "round", "n_layers": "layer", "n_pairs": "pair"}
# Off and on.
SWITCHES = {
    "shared_qk": ("separate Q and K", "shared QK"),
    "within_bucket": ("across buckets", "within buckets"),
    "correct_duplicates": ("duplicates kept", "duplicates corrected"),
    "unit_keys": ("raw keys", "unit keys"),
    "attend_self": ("not to itself", "attends to itself"),
    "tie_embeddings": ("embeddings of their own", "tied embeddings"),
    "cuda_graph": ("launched by the host", "CUDA graphs"),
}
# What is usual goes without saying where several settings are told.
USUAL = {"within_bucket": True, "correct_duplicates": True, "unit_keys": True}
USUAL |= {"attend_self": False, "tie_embeddings": False, "cuda_graph": False}

# With what layers save memory, whatever their attention; told in one phrase as the key MEANS.
MEANS = "means"
OF_MEANS = ("reversible", "ff_chunks", "loss_chunks")

IN_THE_LABEL = (
    *("attention", "n_rounds", "bucket_size", "chunk_length"),
    *("length", "batch", "n_layers", "subject", "precision", "cuda_graph"),
)

NOT_IN_THE_LABEL = tuple(key for key in SETTINGS if key not in (*HOW, *IN_THE_LABEL))

Values = Mapping[str, Any]


def phrase(key: str, value: object) -> str:
    """Say a setting and its value in words; "" for what is usual."""
    return "" if key in USUAL and USUAL[key] is value else level_phrase(key, value)


def level_phrase(key: str, value: object) -> str:
    """Say a setting and its value in words, also where it is usual."""
    if isinstance(value, bool):
        word = key.replace("_", " ")
        return SWITCHES.get(key, (f"not {word}", word))[value]
    if key == "subject":
        return "attention alone" if value == "attention" else "training"
    if key in COUNTED:
        return f"{value} {COUNTED[key]}" + ("" if value == 1 else "s")
    if isinstance(value, tuple | list) and key not in PHRASES:
        value = " and ".join(map(str, value)) or "none"
    return PHRASES.get(key, key.replace("_", " ") + " {}").format(value)


def phrases(s: Values, keys: Iterable[str]) -> list[str]:
    """Say the settings `keys`, and MEANS, in words where a case has them, leaving out the usual."""
    words = [
        means_text(s) if key == MEANS else phrase(key, s[key])
        for key in keys
        if key == MEANS or key in s
    ]
    return [word for word in words if word]


def means_text(s: Values) -> str:
    """Say with what the layers of a model save memory; "" for one attention call."""
    if not all(key in s for key in OF_MEANS):
        return ""
    chunked = "chunked" if s["ff_chunks"] > 1 or s["loss_chunks"] > 1 else ""
    found = ("reversible" if s["reversible"] else "", chunked)
    return " and ".join(word for word in found if word) or "ordinary layers"


def with_means(keys: Sequence[str], cases: Iterable[tuple[object, Values]]) -> list[str]:
    """Put MEANS in the place of OF_MEANS in `keys`, if its phrase tells as much of the cases.

    cases: their settings, each with what tells it already, such as its x in a figure.
    """
    found: dict[tuple[object, str], set[tuple[object, ...]]] = {}
    for told, s in cases:
        means = tuple(s.get(key) for key in OF_MEANS)
        found.setdefault((told, means_text(s)), set()).add(means)
    is_told = len({text for _, text in found}) > 1 and all(len(one) == 1 for one in found.values())
    if not is_told or not {*keys} & {*OF_MEANS}:
        return list(keys)
    return [*(key for key in keys if key not in OF_MEANS), MEANS]


def short_label(s: Values) -> str:
    """Name a case by its model and by what usually tells two cases apart.

    s: the settings with an effect (Settings.measured).
    """
    model = str(s["attention"])
    hashing = "bucket {bucket_size}, chunk {chunk_length}"
    if "n_rounds" in s:
        model = f"{model.replace('lsh', 'LSH')}-{s['n_rounds']}, {hashing.format(**s)}"
    elif model == "local":
        model = f"local, chunk {s['chunk_length']}"
    elif "bucket_size" in s:
        model = f"{model}, evaluated with {hashing.format(**s)}"
    size = f"length {s['length']}" + (f" x {s['batch']}" if s.get("batch", 1) > 1 else "")
    alone = s.get("subject") == "attention"
    what = "attention alone" if alone else phrase("n_layers", s["n_layers"])
    half = "" if s.get("precision", "float32") == "float32" else f", {s['precision']}"
    graphs = ", CUDA graphs" if s.get("cuda_graph") else ""
    return f"{model}, {size}, {what}{half}{graphs}"


def labels(cases: Sequence[Values], told: Sequence[Collection[str]] = ()) -> list[str]:
    """Name each of several cases by its short label and by what tells those of equal label apart.

    told: for each case the settings that its name tells in any case. A case without settings, such
    as a benchmark of a part, has the name "".
    """
    short = [short_label(s) if s else "" for s in cases]
    groups: dict[str, list[Values]] = {}
    for label, s in zip(short, cases, strict=True):
        groups.setdefault(label, []).append(s)
    # once for the group: of many cases that differ in one setting, each case would ask all others
    telling = {
        label: with_means(telling_apart(alike), [("", other) for other in alike])
        for label, alike in groups.items()
    }
    found = []
    for i, (label, s) in enumerate(zip(short, cases, strict=True)):
        chosen, always = telling[label], told[i] if told else ()
        named = [key for key in SETTINGS if key in s and key in (*always, *chosen)]
        words = [level_phrase(key, s[key]) for key in named]
        means = [means_text(s)] if MEANS in chosen else []
        found.append(", ".join([label, *words, *means]))
    return found


def telling_apart(alike: Sequence[Values], keys: Sequence[str] = NOT_IN_THE_LABEL) -> list[str]:
    """Choose few of the settings `keys` that tell cases apart as well as all of them do.

    One after the other is taken that tells the most of them, the first of equal ones.
    """

    def n_told(chosen: Sequence[str]) -> int:
        return len({tuple(repr(s.get(key)) for key in chosen) for s in alike})

    chosen: list[str] = []
    while n_told(chosen) < n_told(keys):
        chosen.append(max(keys, key=lambda key: n_told([*chosen, key])))
    return chosen
