"""This figure draws how much of the true attention the pairs hold that LSH let meet, by round."""

from pathlib import Path

from report.figures.drawing import error_bars
from report.figures.looks import looks
from report.figures.style import GREY, add_legend, add_words, new_figure, save
from report.reading.analyses import analysed, by_rounds, most_rounds
from report.reading.series import View, level, name_among
from report.text import plural

DODGE = 0.09  # between lines, of the distance between rounds: no marker hides another


def draw_attention_mass(view: View, folder: Path) -> list[Path]:
    """Draw a line per trained model over the rounds that count, and one of the pairs that met."""
    cases = analysed(view, "attention mass")
    figure, (axes,) = new_figure()
    lines = [level(name_among(case, cases), case) for case in cases]
    for i, (case, look) in enumerate(zip(cases, looks(lines), strict=True)):
        mass, pairs = by_rounds(case, "mass"), by_rounds(case, "pairs")
        xs = [r + DODGE * (i - (len(cases) - 1) / 2) for r in range(1, len(mass) + 1)]
        axes.errorbar(
            xs,
            [e.value for e in mass],
            yerr=error_bars(mass),
            capsize=3,
            linewidth=1.8,
            **look.style,
            label=f"trained with {lines[i].name}",
        )
        shares = [e.value for e in pairs]
        (drawn,) = axes.plot(xs, shares, **look._replace(line=":", fill="full").style, markersize=5)
        drawn.set(markerfacecolor="white", zorder=5)
    axes.plot(
        [],
        [],
        ":",
        color=GREY,
        label="share of all pairs that met: what keys picked blindly hold",
    )
    longest = max(len(by_rounds(case, "mass")) for case in cases)
    axes.set_xticks(range(1, longest + 1))
    axes.set_xlim(0.5, longest + 0.5)
    axes.set_ylim(0, 104)
    axes.set_xlabel("hash rounds that count")
    axes.set_ylabel("share of the true attention met (%)")
    add_legend(figure, axes)
    caption = (
        f"{view.caption} True attention: full, over unit keys, the position itself left out. Means "
        "over positions, heads and layers of trained models on held-out windows. Bars: 95 % "
        "intervals over seeds."
    )
    add_words(figure, mass_finding(view), caption)
    return save(figure, folder, f"{view.name}_attention_mass")


def mass_finding(view: View) -> str:
    """Say what the model with most rounds met, in all its rounds and in the first."""
    cases = analysed(view, "attention mass")
    case = most_rounds(cases)
    mass, pairs = by_rounds(case, "mass"), by_rounds(case, "pairs")
    text = (
        f"{name_among(case, cases)}: pairs that met in any of {plural(len(mass), 'round')} hold "
        f"{mass[-1].value:.0f} % of the true attention and are {pairs[-1].value:.0f} % of all pairs"
    )
    if len(mass) == 1:
        return text
    return f"{text}; the first round holds {mass[0].value:.0f} % with {pairs[0].value:.0f} %"
