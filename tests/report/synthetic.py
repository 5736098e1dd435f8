"""Records are made whose truth is known: what was measured is drawn from stated formulas."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from suites.base import Case, grid, unique
from suites.engine.store.records import FORMAT, Record
from suites.labels import short_label
from suites.settings import METHOD_VERSION, Settings

MIB = 2**20
IDENTITY = {
    "machine": "Test CPU @ 2.00GHz, 2 cores, 16 GiB",
    "system": "Linux x86_64",
    "device": "cpu",
    "capability": "AVX512",
    "python": "3.11.2",
    "torch": "2.13.0",
    "numpy": "2.4.6",
    "threads": 2,
    "matmul_precision": "highest",
    "deterministic": False,
}
REFERENCE = {"order 0": 5.13, "order 1": 4.01, "order 2": 3.22}
BASE = Settings(train_steps=200, evaluate_every=50)
DENSE = replace(BASE, attention="sdpa", reversible=False)
FAILURES = {
    ("naive", 8192): ("oom", "out of memory: 8,589,934,592 bytes asked for"),
    ("memory_efficient", 8192): ("timeout", "not done after 60 s"),
    ("naive", 4096): ("crash", "killed by signal SIGSEGV; log: a | b"),
}


def true_step_ms(s: Settings) -> float:
    """Return the true time of a step in ms, which crosses for LSH-4 and sdpa.

    LSH is linear in length and rounds, dense attention has power 1.4; they cross at 512 * 2 ** 2.5.
    """
    if len(s.kinds) > 1:
        return mean_of_kinds(true_step_ms, s)
    layers = s.n_layers / 2
    if s.attention == "lsh":
        chunk = s.lsh().m
        return layers * 20 * (s.length / 512) * (0.4 + 0.15 * s.n_rounds) * (0.7 + 0.3 * chunk / 64)
    if s.attention == "local":
        return layers * 8 * (s.length / 512)
    slow = {"naive": 1.5, "memory_efficient": 1.3, "sdpa": 1.0}[s.attention]
    return layers * slow * 10 * (s.length / 512) ** 1.4


def true_rest_bytes(s: Settings) -> float:
    """Return the true activations in bytes.

    Reversible layers make them constant in layers; naive attention is quadratic in length.
    """
    if len(s.kinds) > 1:
        return mean_of_kinds(true_rest_bytes, s)
    per_layer = s.length * s.d_model * 64 * (1 + (s.length / 1024 if s.attention == "naive" else 0))
    if s.attention == "lsh":
        return per_layer * (1 + 0.5 * s.n_rounds)
    if s.reversible:
        return per_layer * (2 if s.attention == "local" else 4)
    return per_layer * s.n_layers * 1.2


def true_bits(s: Settings) -> float:
    """Return the true bits per dim.

    More rounds help less and less, longer context helps, and dense attention is best.
    """
    if len(s.kinds) > 1:
        return mean_of_kinds(true_bits, s)
    base = 3.0 + 0.15 * np.log2(8192 / s.length) - 0.03 * s.n_layers
    if s.attention == "local":
        return float(base + 0.1)
    if s.attention == "lsh":
        return float(base + 0.2 / s.n_rounds + 0.02 * abs(np.log2(s.bucket_size / 32)))
    return float(base)


def mean_of_kinds(truth: Callable[[Settings], float], s: Settings) -> float:
    """Return the mean over the layers of what is true of models of their kinds alone."""
    layers = [s.kinds[i % len(s.kinds)] for i in range(s.n_layers)]
    return float(np.mean([truth(replace(s, attention=kind, shared_qk=True)) for kind in layers]))


def suites() -> dict[str, list[Case]]:
    """Make the four suites, small, and attention_speed, as cases by name."""
    lengths = [512, 1024, 2048, 4096, 8192]
    dense = ["sdpa", "naive", "memory_efficient"]
    rounds = replace(BASE, evaluate_rounds=(1, 2, 4, 8, 0))
    attention = replace(BASE, subject="attention", measures=("time", "memory"))
    speed_lengths = [1024, 4096, 16384]
    speed = []
    for length in speed_lengths:
        for kind in ("lsh", "sdpa"):
            settings = replace(attention, attention=kind, length=length, batch=32768 // length)
            speed += grid(settings, n_rounds=[1, 4] if kind == "lsh" else [4])
    return {
        "sequence_length": [
            *grid(BASE, length=lengths, n_rounds=[2, 4]),
            *grid(DENSE, length=lengths, attention=dense),
        ],
        "hash_rounds": [*grid(rounds, n_rounds=[1, 2, 4, 8]), *grid(DENSE, length=[1024])],
        "bucket_size": [
            *grid(BASE, bucket_size=[16, 32, 64], chunk_length=[32, 64, 128]),
            *grid(DENSE, length=[1024]),
        ],
        "layers": [
            *grid(BASE, n_layers=[2, 4, 8]),
            *grid(DENSE, n_layers=[2, 4, 8]),
        ],
        "attention_speed": unique(speed),
    }


def make_record(
    case: Case, suites_of: list[str], seed: int, rng: np.random.Generator, slower: float = 1.0
) -> Record:
    """Make one record of a case and a seed, with noise.

    Processes differ by 0.5 %, samples by 1 %, seeds by 0.02 bits shared by all cases of a seed.
    """
    s = case.settings
    status, reason = FAILURES.get((s.attention, s.length), ("ok", ""))
    if case.skip:
        status, reason = "skipped", case.skip
    record: Record = {
        "format": FORMAT,
        "method": METHOD_VERSION,
        "case": case.id,
        "label": short_label(case.settings.measured()),
        "suites": suites_of,
        "seed": seed,
        "settings": s.measured(),
        "kernel": "blocked" if s.attention == "lsh" else "",
        "status": status,
        "reason": reason,
        "identity": IDENTITY,
        "code": {"commit": "0123456789abcdef", "dirty": False, "hash": "feedfeedfeed"},
        "started": "2026-01-01T00:00:00+00:00",
        "wall_s": 3.0,
    }
    if status != "ok":
        return record
    if seed == 0 and "time" in s.measures:
        record["time"] = make_time(s, rng, slower)
    if seed == 0 and "memory" in s.measures:
        record["memory"] = make_memory(s)
    if "quality" in s.measures:
        record["quality"] = make_quality(s, seed, rng)
    return record


def make_time(s: Settings, rng: np.random.Generator, slower: float = 1.0) -> dict[str, Any]:
    """Make the samples of at least three processes, 15 each."""
    processes = []
    for _ in range(max(3, s.processes)):
        step = true_step_ms(s) * slower * np.exp(rng.normal(0, 0.005) + rng.normal(0, 0.01, 15))
        parts = {
            "forward": 0.3 * step,
            "backward": 0.6 * step,
            "optimizer": 0.1 * step,
            "step": step,
        }
        processes.append(
            {
                "first_ms": {name: 3 * values[0] for name, values in parts.items()},
                "samples_ms": {name: [float(v) for v in values] for name, values in parts.items()},
                "steady": True,
                "stopped_by": "interval",
                "disturbed": False,
                "readings": {"load": 0.1},
            }
        )
    return {"processes": processes, "stopped_by": "interval"}


def make_memory(s: Settings) -> dict[str, Any]:
    """Make exact memory: the rest as stated, the process 10 % above live tensors."""
    rest, weights = true_rest_bytes(s), 4 * 12 * s.n_layers * s.d_model**2
    return {
        "peak_bytes": int(1.1 * rest) + 4 * weights,
        "live_peak_bytes": int(rest) + 4 * weights,
        "method": "vmhwm",
        "baseline_bytes": 300 * MIB,
        "weights_bytes": weights,
        "gradients_bytes": weights,
        "optimizer_bytes": 2 * weights,
        "rest_bytes": int(1.1 * rest),
        "live_rest_bytes": int(rest),
        "predicted_bytes": int(0.95 * rest) + 4 * weights,
    }


def make_quality(s: Settings, seed: int, rng: np.random.Generator) -> dict[str, Any]:
    """Make bits per dim of a seed, which moves all cases alike.

    The seed moves them by 0.02, which pairing cancels; each case differs by 0.003 more.
    """
    shared = np.random.default_rng(seed + 100).normal(0, 0.02)

    def at(bits: float) -> dict[str, float]:
        measured = float(bits + shared + rng.normal(0, 0.003))
        return {"bits_per_dim": measured, "accuracy": 1 - measured / 8}

    final = at(true_bits(s))
    steps = range(s.evaluate_every, s.train_steps + 1, s.evaluate_every) if s.evaluate_every else []
    curve = [[step, final["bits_per_dim"] + np.exp(-6 * step / s.train_steps)] for step in steps][
        :-1
    ]
    with_rounds = {
        "full" if r == 0 else str(r): at(true_bits(s) + (0.3 if r == 0 else 0.1 / r))
        for r in (s.evaluate_rounds if s.attention == "lsh" else ())
    }
    curve.append([s.train_steps, final["bits_per_dim"]])
    seed_s = true_step_ms(s) / 1e3 * (1 + 0.01 * seed)
    return {
        **final,
        "curve": curve,
        "curve_s": [step * seed_s for step, _ in curve],
        "train_curve": [[s.train_steps, final["bits_per_dim"]]],
        "evaluated_with": with_rounds,
        "heldout_tokens": s.heldout_tokens,
        "train_tokens": s.train_steps * s.batch * s.length,
        "data": {"name": "enwiki-head", "stand_in": True, "reference": REFERENCE},
    }


def make_records(seed: int = 0, n_seeds: int = 3, slower: float = 1.0) -> list[Record]:
    """Make a whole run: every case of every suite once, with the suites in which it stands."""
    rng = np.random.default_rng(seed)
    where: dict[str, list[str]] = {}
    members = suites()
    for name, found in members.items():
        for case in found:
            where.setdefault(case.id, []).append(name)
    return [
        make_record(case, where[case.id], s, rng, slower)
        for case in unique([case for found in members.values() for case in found])
        for s in range(n_seeds if "quality" in case.settings.measures else 1)
    ]


def write_lines(folder: Path, records: list[Record]) -> None:
    """Write records.jsonl as a finished run leaves it."""
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "records.jsonl").write_text(lines)
