"""Every setting has its effect on what the engine builds and runs, and none where it has none."""

import functools
import math
from dataclasses import fields, replace
from typing import Any

import pytest
from changes import same
from effects import BASES, ROWS, WITHOUT_ROW, Row
from seeing import see

from baselines.config import PEERS, package_of
from suites.settings import SETTINGS, Settings

# They count on what their rows change of the base alone: its task, and that it has short windows.
ON_CHANGED_BASES = {"n_pairs", "first_length", "first_batch"}


def prepared(settings: Settings, row: Row) -> Settings:
    counts = {name: row.on[name] for name in ("task", "first_steps") if name in row.on}
    return replace(settings, **counts)


CASES = [
    (base, row)
    for row in ROWS
    for base, settings in BASES.items()
    if base in row.bases
    and row.name in prepared(settings, row).measured()
    and base not in WITHOUT_ROW.get(row.name, {})
    and row.value != getattr(settings, row.name)
]
MEMORY = {"measures": ("memory",)}
see_once = functools.cache(see)


def settings_of(base: str, **changes: Any) -> Settings:
    settings = replace(BASES[base], **changes)
    if settings.attention in PEERS:
        pytest.importorskip(package_of(settings.attention).replace("-", "_"))
    return settings


@pytest.mark.parametrize(
    ("base", "row"), CASES, ids=[f"{base}-{row.name}-{row.value}" for base, row in CASES]
)
def test_a_setting_has_its_effect_on_what_runs(base: str, row: Row) -> None:
    before = see_once(settings_of(base, **row.on))
    after = see_once(settings_of(base, **row.on | {row.name: row.value}))
    changes = {name: check for name, check in row.changes.items() if name in {*before, *after}}
    assert changes
    for name, check in changes.items():
        assert check(before[name], after[name]), f"{name}: {before[name]} {after[name]}"
    for name in row.keeps:
        if name in before and name in after:
            assert same(before[name], after[name]), f"{name}: {before[name]} {after[name]}"
    if "windows" in after:
        assert after["train tokens"] == sum(map(math.prod, after["windows"]))


@pytest.mark.parametrize(
    ("base", "changes"),
    [*((base, {}) for base in BASES), ("lsh model", MEMORY), ("dense call", MEMORY)],
    ids=str,
)
def test_what_does_not_count_has_no_effect(base: str, changes: dict[str, Any]) -> None:
    """The settings that Settings.measured leaves out of this case are all changed at once."""
    other = {row.name: row.value for row in reversed(ROWS)}
    settings = settings_of(base, **changes)
    unused = {name for name in SETTINGS if name not in settings.measured()}
    before = see_once(settings)
    after = see_once(replace(settings, **{name: other[name] for name in unused}))
    assert [name for name in before if not same(before[name], after[name])] == []


def test_every_setting_has_its_row() -> None:
    """It has one on every base where it counts, but for what the table names and explains."""
    assert {row.name for row in ROWS} == {f.name for f in fields(Settings)}
    for base, settings in BASES.items():
        tested = {row.name for name, row in CASES if name == base} - ON_CHANGED_BASES
        excused = {name for name, bases in WITHOUT_ROW.items() if base in bases}
        assert tested == set(settings.measured()) - excused, base


def test_what_the_rows_name_is_seen() -> None:
    named = {name for row in ROWS for name in (*row.changes, *row.keeps)}
    assert named <= set(see_once(BASES["lsh model"]))
