"""The figure of quality against cost shows few models, of which all is known, by short names."""

from dataclasses import replace

import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from readable import figure_drawn_by, require_readable
from synthetic import BASE, DENSE
from test_report_rivals import records_of

from report.compare.ablation import CROWD, compare_by
from report.figures import cost, style
from report.figures.style import own_settings

LOCAL = replace(BASE, attention="local")
ROUNDS = [replace(BASE, n_rounds=n) for n in (1, 2, 4, 8)]
SHARED = replace(DENSE, shared_qk=True, learning_rate=6e-3)


def without(records, *parts):
    return [{**record, **dict.fromkeys(parts)} for record in records]


def test_the_base_of_models_is_the_dense_one_of_which_most_is_known():
    """The usual one may have been trained at another learning rate only, and not timed."""
    known = records_of("hash_rounds", [*ROUNDS, replace(SHARED, reversible=True)])
    trained = without(records_of("hash_rounds", [SHARED]), "time", "memory")
    found = compare_by([*known, *trained], "attention")
    assert {one.base.settings["reversible"] for one in found.levels} == {True}
    found = compare_by([*known, *records_of("hash_rounds", [SHARED])], "attention")
    assert {one.base.settings["reversible"] for one in found.levels} == {False}, "all are known"


def test_a_group_that_no_figure_can_show_is_not_the_main_one(monkeypatch, tmp_path):
    rates = [0.001 * n for n in range(1, CROWD + 1)]
    crowd = records_of("learning_rate", [BASE, DENSE], learning_rate=rates)
    few = records_of("hash_rounds", [*ROUNDS, SHARED, LOCAL], length=[2048])
    found = compare_by([*crowd, *few], "attention")
    assert "length 2048" in found.levels[0].group
    sizes = {one.group: 0 for one in found.levels}
    for one in found.levels:
        sizes[one.group] += 1
    assert list(sizes.values()) == [6, 2 * CROWD]
    figure = figure_drawn_by(cost.write_ablation, found, monkeypatch, tmp_path)
    assert len(figure.axes[0].containers) == 6, "each model of the main group is a mark"


def test_a_group_that_was_trained_is_the_main_one():
    """Though one that was only timed has more levels."""
    timed = without(records_of("layers", [BASE], n_layers=[1, 2, 3, 4]), "quality")
    trained = records_of("layers", [DENSE], n_layers=[2, 4])
    for records in ([*timed, *trained], [*trained, *timed]):
        found = compare_by(records, "n_layers")
        assert [one.level for one in found.levels] == [2, 4, 1, 2, 3, 4]


@pytest.mark.parametrize("is_long", [False, True])
def test_a_long_name_of_the_base_stands_in_the_caption_alone(monkeypatch, tmp_path, is_long):
    dense = [SHARED, replace(SHARED, shared_qk=False)] if is_long else [SHARED]
    records = records_of("hash_rounds", [*ROUNDS, *dense, LOCAL])
    found = compare_by(records, "attention")
    figure = figure_drawn_by(cost.write_ablation, found, monkeypatch, tmp_path)
    labels = [axis.label for axes in figure.axes for axis in (axes.xaxis, axes.yaxis)]
    texts = [text for text in (*labels, *figure.texts) if text.get_text()]
    require_readable(figure, [*texts, *figure.legends[0].get_texts()])
    words = [" ".join(text.get_text().split()) for text in texts]
    told = "the base" if is_long else "dense sdpa"
    assert f"time of a training step / that of {told}" in words
    in_caption = any("The base is dense sdpa, shared QK. " in text for text in words)
    assert in_caption is is_long


@pytest.mark.parametrize("lost", [(), ("time",), ("time", "memory"), ("quality",)])
def test_a_figure_is_drawn_where_a_level_has_quality_and_a_cost(tmp_path, lost):
    records = without(records_of("hash_rounds", ROUNDS), *lost)
    found = compare_by(records, "n_rounds")
    drawn = {path.suffix for path in cost.write_ablation(found, tmp_path)}
    is_drawn = lost in ((), ("time",))
    assert drawn == {".md", ".csv"} | ({".png", ".svg", ".pdf"} if is_drawn else set())


@pytest.mark.parametrize("n_lines", [1, 4, 6])
def test_a_caption_of_many_lines_does_not_stand_on_the_axis(n_lines):
    with own_settings():
        figure, (axes,) = style.new_figure()
        axes.set_xlabel("training steps")
        style.add_words(figure, "A finding", " ".join(["words"] * 23 * n_lines))
        FigureCanvasAgg(figure).draw()
    caption = figure.texts[-1]
    assert caption.get_text().count("\n") + 1 == n_lines
    require_readable(figure, [axes.xaxis.label, *figure.texts])
