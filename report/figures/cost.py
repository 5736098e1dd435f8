"""This figure draws quality against cost: what each level of a setting buys and costs."""

from collections.abc import Callable, Sequence
from math import nan
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from report.compare.ablation import Ablation, Level
from report.figures.drawing import error_bars
from report.figures.looks import Look, looks
from report.figures.style import (
    GREY,
    add_legend,
    add_words,
    new_figure,
    own_settings,
    save,
)
from report.reading.captions import caption_of
from report.reading.judged import judged_of
from report.reading.series import Series
from report.statistics.estimates import Estimate
from report.text import STATUS_TEXT

# More groups than this stand only in the table.
MAX_GROUPS = 4
# What an axis has room for; the name of a longer base stands in the caption.
LONGEST_NAME = 14
Cost = Callable[[Level], Estimate | None]


def write_ablation(found: Ablation, folder: Path) -> list[Path]:
    """Write compare_by_FACTOR.md and .csv and, if there is one, its figure; return their paths.

    There is one where a level beside the base has quality and a cost.
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = f"compare_by_{found.factor}"
    paths = [folder / f"{name}.md", folder / f"{name}.csv"]
    paths[0].write_text(found.markdown(), encoding="utf-8")
    found.table().to_csv(paths[1], index=False)
    if any(is_drawn(level) for level in found.levels if level.case is not level.base):
        with own_settings():
            paths += draw_cost(found, folder, name)
    return paths


def draw_cost(found: Ablation, folder: Path, name: str) -> list[Path]:
    """Draw the change in quality over time and over memory, a path per group of levels.

    Dense cases are single marks.
    """
    figure, (by_time, by_memory) = new_figure(2, height=5.2)
    bases = {one.group: one for one in found.levels if one.case is one.base}
    base = bases[found.levels[0].group].name
    judged = judged_of(bases[found.levels[0].group].case)
    # another base has another origin, and another task perhaps another unit
    alike = [g for g, one in bases.items() if one.name == base and judged_of(one.case) is judged]
    groups = alike[: 1 if found.factor == "attention" else MAX_GROUPS]  # models are a mark each
    drawn = lines_of(found, groups)
    for axes, cost in ((by_time, time_cost), (by_memory, memory_cost)):
        for i, (label, levels, look) in enumerate(drawn):
            draw_path(axes, levels, cost, look, label, named=i == 0 and len(levels) > 1)
        for line in (axes.axhline, axes.axvline):
            line(0 if line == axes.axhline else 1, color=GREY, linewidth=1, linestyle=":")
        axes.margins(0.18, 0.14)
        axes.xaxis.set_major_locator(MaxNLocator(6))
    better = "higher" if judged.higher_is_better else "lower"
    told = base if len(base) <= LONGEST_NAME else "the base"
    by_time.set_ylabel(f"{judged.head} less that of {told}\n({better} is better)")
    by_time.set_xlabel(f"time of a training step / that of {told}")
    by_memory.set_xlabel(f"activations / those of {told}")
    add_legend(figure, by_time)
    left_out = " More groups stand in the table." if len(bases) > len(groups) else ""
    of_base = "" if told == base else f"The base is {base}. "
    note = (
        f"{of_base}Each mark is a level: further left is cheaper, {better} is better. "
        "Bars: 95 % intervals, vertical over seeds paired with the base's, horizontal over "
        f"processes; memory is measured once.{left_out}{failed_levels_text(found)}"
    )
    caption = f"{caption_of([level.case for level in found.levels])} {note}"
    add_words(figure, found.finding(), caption)
    return save(figure, folder, name)


def lines_of(found: Ablation, groups: Sequence[str]) -> list[tuple[str, Sequence[Level], Look]]:
    """Return the paths of groups and the single marks, with their names and looks.

    Models have no order: where they are the levels, each is a mark.
    """
    of_groups = {g: [one for one in found.levels if one.group == g] for g in groups}
    marks = [other for other in found.others if other.group == groups[0]]
    if found.factor == "attention":
        alone = [(one.name, [one]) for one in of_groups[groups[0]]]
    else:
        alone = [(g or found.factor.replace("_", " "), of_groups[g]) for g in groups]
    named = [
        (name, levels)
        for name, levels in (*alone, *((one.name, [one]) for one in marks))
        if any(map(is_drawn, levels))
    ]
    # of groups that look alike the first has the usual look
    series = [
        Series("-" * i, levels[0].case.kind, True, tuple((nan, one.case) for one in levels))
        for i, (_, levels) in enumerate(named)
    ]
    return [(*one, look) for one, look in zip(named, looks(series), strict=True)]


def is_drawn(level: Level) -> bool:
    """Has a level both quality and a cost?"""
    return bool(level.score_change and (time_cost(level) or memory_cost(level)))


def time_cost(level: Level) -> Estimate | None:
    """Return the time of a step over that of the base; the base is 1 without an interval."""
    return Estimate(1.0) if level.case is level.base and level.case.time() else level.time_ratio


def memory_cost(level: Level) -> Estimate | None:
    """Return the activations over those of the base."""
    ratio = level.memory_ratio
    return None if ratio is None else Estimate(ratio)


def draw_path(
    axes: Axes, levels: Sequence[Level], cost: Cost, look: Look, label: str, named: bool
) -> None:
    """Draw the levels of a group, joined in their order, with their names if `named`."""
    gap = Estimate(nan)
    points = [(c, b, one) for one in levels if (c := cost(one)) and (b := one.score_change)]
    if not points:
        return
    known = {id(one): (c, b) for c, b, one in points}
    # no line crosses a level that failed
    path = [
        known.get(id(one), (gap, gap)) for one in levels if id(one) in known or one.case.failure[0]
    ]
    axes.errorbar(
        [c.value for c, _ in path],
        [b.value for _, b in path],
        xerr=error_bars([c for c, _ in path]),
        yerr=error_bars([b for _, b in path]),
        **look.style,
        markersize=7,
        capsize=3,
        linewidth=1.8,
        label=label,
    )
    for cost_of, bits, one in points if named else ():
        axes.annotate(
            one.name,
            (cost_of.value, bits.value),
            xytext=(8, 6),
            textcoords="offset points",
            fontsize=9,
            color=look.colour,
        )


def failed_levels_text(found: Ablation) -> str:
    """Name the levels that failed; "" if none did."""
    lost = [
        f"{one.name} {STATUS_TEXT[one.case.failure[0]]}"
        for one in found.levels
        if one.case.failure[0]
    ]
    return f" Not drawn: {', '.join(lost)}." if lost else ""
