"""This figure draws held-out bits per dim while models learn (paper, Figures 3 to 5 left).

The left panel is over training steps, the right one over the seconds that training took.
"""

from collections.abc import Mapping, Sequence
from math import inf, isnan
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.ticker import StrMethodFormatter

from report.figures.looks import LIGHTEST, MARKERS, Look, lighter, look_of, looks
from report.figures.style import GREY, add_legend, add_words, new_figure, save
from report.reading.captions import stand_in_text
from report.reading.cases import CaseResult
from report.reading.curves import curves_of, has_seconds, mean_curve
from report.reading.leads import lead_finding, trained_names
from report.reading.series import Series, View
from report.text import plural
from suites.engine.store.records import part_of

# More lines than this stand in panels of their own, by x, so many at most.
MAX_LINES, MAX_ROWS = 10, 4
# Settings of which each model is asked on its own, as in the paper's Figure 5 (left).
BY_MODEL = ("n_layers", "learning_rate")
# The first part of training is left out of the y axis: there all curves fall steeply.
LEFT_OUT = 0.2
Named = Sequence[tuple[str, CaseResult]]


def draw_learning_curves(view: View, folder: Path) -> list[Path]:
    """Draw the mean curve of each case with its interval, over steps and over training time."""
    rows = rows_of(view)
    timed = any(has_seconds(case) for named in rows.values() for _, case in named)
    n_columns = 2 if timed else 1
    height = 2.5 + 2.6 * len(rows)
    figure, panels = new_figure(n_columns, height, len(rows))
    figure.subplots_adjust(top=1 - 1.0 / height, bottom=1.35 / height, hspace=0.32, wspace=0.2)
    looks_of = looks_by_name(view, rows)
    for i, (at, named) in enumerate(rows.items()):
        axes, *further = panels[i * n_columns : (i + 1) * n_columns]
        draw_curves(axes, named, looks_of, over_time=False)
        axes.set_title(at, fontsize=10)
        axes.set_ylabel("held-out bits per dim")
        for other in further:
            draw_curves(other, named, looks_of, over_time=True)
            other.tick_params(labelleft=False)
    share_axes(panels, n_columns)
    panels[-n_columns].set_xlabel("training steps")
    if timed:
        panels[-1].set_xlabel("training time (s)")
    for name, look in looks_of.items():
        panels[0].plot([], [], **look.style, label=name)
    add_legend(figure, panels[0])
    cases = [case for named in rows.values() for _, case in named]
    add_words(figure, lead_finding(view), f"{view.caption} {curve_note(cases, timed)}")
    return save(figure, folder, f"{view.name}_curves")


def share_axes(panels: Sequence[Axes], n_columns: int) -> None:
    """Give all rows the same axes: titles compare what stands in different rows."""
    lowest, highest = zip(*(axes.get_ylim() for axes in panels), strict=True)
    for i in range(n_columns):
        first, last = zip(*(axes.get_xlim() for axes in panels[i::n_columns]), strict=True)
        for axes in panels[i::n_columns]:
            axes.set_ylim(min(lowest), max(highest))
            axes.set_xlim(min(first), max(last))


def rows_of(view: View) -> dict[str, list[tuple[str, CaseResult]]]:
    """Return the cases with their names by row of panels.

    There is a row for each model where a setting of BY_MODEL varies, else one row, or one for each
    x if there are many lines. What has no row of its own stands in the table.
    """
    found = trained_names(view)
    rows: dict[str, list[tuple[str, CaseResult]]] = {}
    if view.varies in BY_MODEL and not view.categories:
        for series in view.series:
            named = [(name, case) for name, _, case in found if case in series.cases]
            if len(named) > 1:
                rows[series.name] = named
    elif len(found) > MAX_LINES or view.varies == "length":
        for name, where, case in sorted(found, key=lambda one: place_of(view, one[2])):
            short = name.removesuffix(f", {where}") if where else name
            rows.setdefault(where, []).append((short, case))
    if not rows:
        return {"": [(name, case) for name, _, case in found]}
    chosen = list(rows)
    if len(rows) > MAX_ROWS and view.varies not in BY_MODEL:
        chosen = [chosen[0], chosen[len(chosen) // 2], chosen[-1]]
    return {at: rows[at] for at in chosen[:MAX_ROWS]}


def place_of(view: View, case: CaseResult) -> float:
    """Return the x of a case; one to which no x applies comes last."""
    x = next(x for series in view.series for x, one in series.points if one is case)
    return inf if isnan(x) else x


def looks_by_name(view: View, rows: Mapping[str, Named]) -> dict[str, Look]:
    """Choose a colour and a marker for each name: those of its variant.

    Where each row is of one x, they are those of its line in the other figures. Where each row is
    of one model, its last line has them, and those before run to lighter colours.
    """
    by_model = len(rows) > 1 and view.varies in BY_MODEL
    if len(rows) > 1 and view.varies and not by_model and not view.categories:
        lines = list(zip(view.series, looks(view.series), strict=True))
        return {
            name: next(look for line, look in lines if any(one is case for one in line.cases))
            for named in rows.values()
            for name, case in named
        }
    series = [
        [Series(name, case.kind, True, ((0.0, case),)) for name, case in named]
        for named in rows.values()
    ]
    if not by_model:
        found = {one.name: one for row in series for one in row}
        return dict(zip(found, looks(list(found.values())), strict=True))
    chosen: dict[str, Look] = {}
    for row in series:
        usual = look_of(row[-1])
        for i, one in enumerate(row):
            share = LIGHTEST * (1 - i / max(len(row) - 1, 1))
            paler, marker = lighter(usual.colour, share), MARKERS[i % len(MARKERS)]
            chosen[one.name] = usual._replace(colour=paler, marker=marker)
    return chosen


def draw_curves(axes: Axes, named: Named, looks_of: Mapping[str, Look], over_time: bool) -> None:
    """Draw mean curves, with their 95 % intervals over seeds as bands."""
    seen: list[float] = []
    for name, case in named:
        if over_time and not has_seconds(case):
            continue
        points = mean_curve(case)
        look = looks_of[name]
        xs = [point.seconds if over_time else point.step for point in points]
        axes.plot(
            xs,
            [point.bits.value for point in points],
            **look.style,
            linewidth=1.6,
            markersize=4,
        )
        if all(point.bits.has_interval for point in points):
            low, high = [p.bits.low for p in points], [p.bits.high for p in points]
            axes.fill_between(xs, low, high, color=look.colour, alpha=0.13, linewidth=0)
        seen += [p.bits.value for p in points if p.step >= LEFT_OUT * points[-1].step]
    axes.ticklabel_format(axis="y", useOffset=False)
    axes.xaxis.set_major_formatter(StrMethodFormatter("{x:,g}"))
    if seen:
        margin = 0.08 * (max(seen) - min(seen)) or 0.1
        axes.set_ylim(min(seen) - margin, max(seen) + margin)
    short = {case.settings.get("first_steps") or 0 for _, case in named}
    if len(short) == 1 and not over_time and (steps := short.pop()):
        axes.axvline(steps, color=GREY, linewidth=1, linestyle=":")


def spread_text(cases: Sequence[CaseResult]) -> str:
    """Say by how much the seconds of one model's trainings differ; "" where each has one.

    Nothing watches what else the machine does during a training.
    """
    ends = [[curve.seconds[-1] for curve in curves_of(c).values()] for c in cases if has_seconds(c)]
    spread = max((max(some) / min(some) for some in ends if len(some) > 1), default=None)
    return f", which differ by up to {spread:.2g} times" if spread else ""


def curve_note(cases: Sequence[CaseResult], timed: bool) -> str:
    """Say what lines, bands and seconds are."""
    records = [record for case in cases for record in case.records]
    n_seeds = max(len(curves_of(case)) for case in cases)
    words = ["One seed: no interval."] if n_seeds == 1 else ["Bands: 95 % intervals over seeds."]
    if any(case.settings.get("first_steps") for case in cases):
        words.append("Dotted: from short windows to whole ones.")
    if timed:
        threads = {int(part_of(record, "quality").get("threads") or 0) for record in records}
        with_threads = f" with {plural(max(threads), 'thread')}" if max(threads) else ""
        words.append(
            f"Seconds: each training's own{with_threads}, others beside it on a CPU, evaluations "
            f"not counted; mean over seeds{spread_text(cases)}. Rates decay over each one's own "
            "steps: at equal time the slower one has the higher rate still."
        )
    return " ".join(filter(None, [*words, stand_in_text(records)]))
