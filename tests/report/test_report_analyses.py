"""Tables and figures of analyses, and of suites of changes, say what was planted in the records."""

import copy
import re
from dataclasses import replace

import matplotlib.image
import numpy as np
import pytest
from synthetic import make_record, write_lines
from test_report_figures import words

from report.figures.angular_hashing import apart, near_and_far, shared_within
from report.figures.attention_patterns import shares, sorted_order, weights_of, within_chunks
from report.figures.of_suite import draw_suite
from report.findings import suite_finding
from report.page.page import write_report
from report.reading.analyses import analysed
from report.reading.changes import base_of, changes_of
from report.reading.gathering import gather
from report.reading.view import view_of
from report.tables.analyses_table import mass_table, past_only_table
from suites import attention_details, hash_rounds
from suites.base import Suite, one_at_a_time

CHANGE = {"bits_error": 0.001, "share_changed": 0.25, "largest_change": 0.5}
# Change of bits per dim with details of the cpu preset: the largest loss, the largest gain, none.
TRUE_CHANGES = {("chunks_before", 0): 0.08, ("logit_scale", 2.0): -0.05, ("rotation", "normal"): 0}


def analyses_of(n_rounds, seed):
    """Make what is known: rounds halve what is missed; the future counts for 0.01 / rounds."""
    mass = [1 - 0.5**r for r in range(1, n_rounds + 1)]
    change = {**CHANGE, "bits_change": 0.01 / n_rounds + 0.0001 * seed}
    return {
        "past only": {
            **change,
            "n_windows": 8,
            "n_positions": 256,
            "own_hash": {**change, "bits_change": 0.5},
        },
        "attention mass": {
            "n_windows": 4,
            "layers": [0, 1],
            "mass": [[x - 0.1 for x in mass], [x + 0.1 for x in mass]],
            "pairs": [[0.1 * x for x in mass]] * 2,
        },
    }


def head_of(seed, n=64):
    """Make a head whose attention is random, hashed by the drawing's own rules."""
    draw = np.random.default_rng(seed)
    vectors = draw.normal(size=(n, 2))
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    axes = [[[np.cos(a), np.sin(a)], [-np.sin(a), np.cos(a)]] for a in draw.uniform(0, 6, 3)]
    centres = [np.array([one, two, [-x for x in one], [-x for x in two]]) for one, two in axes]
    rows = [draw.dirichlet(np.ones(i)) for i in range(1, n)]
    return {
        "layer": 1,
        "head": 2,
        "tokens": [65] * n,
        "weights": [[round(float(w), 3) for w in row] for row in rows],
        "buckets": draw.integers(8, size=n).tolist(),
        "chunk_length": 16,
        "chunks_before": 1,
        "plane": vectors.round(4).tolist(),
        "kept": 0.75,
        "axes": [[[float(x) for x in r] for r in one] for one in axes],
        "plane_buckets": [(vectors @ c.T).argmax(axis=1).tolist() for c in centres],
    }


def records_of(suite, name, preset="cpu", n_seeds=3):
    draw = np.random.default_rng(3)
    return [
        make_record(case, [name], seed, draw)
        for case in suite.cases(preset)
        for seed in range(n_seeds)
    ]


@pytest.fixture(scope="module")
def rounds():
    """The cpu preset of hash_rounds with analyses of all LSH cases, and one head."""
    found = records_of(hash_rounds.SUITE, "hash_rounds")
    for record in found:
        n_rounds = record["settings"].get("n_rounds")
        if n_rounds:
            record["quality"]["analyses"] = analyses_of(n_rounds, record["seed"])
        if n_rounds == 4:
            record["quality"]["analyses"]["head"] = head_of(record["seed"])
    return found


@pytest.fixture(scope="module")
def details():
    """The cpu preset of attention_details, in which each change of bits per dim is known."""
    found = records_of(attention_details.SUITE, "attention_details")
    for record in found:
        s, quality = record["settings"], record["quality"]
        truth = sum(d for (key, value), d in TRUE_CHANGES.items() if s[key] == value)
        noise = np.random.default_rng([record["seed"], int(record["case"], 16)]).normal(0, 1e-3)
        quality["bits_per_dim"] = 3.0 + 0.02 * record["seed"] + truth + noise
        quality["analyses"] = {"attention mass": analyses_of(4, 0)["attention mass"]}
    return found


def test_the_tables_say_what_was_planted(rounds):
    view = view_of("hash_rounds", gather(rounds))
    table = past_only_table(view).set_index("model")
    assert list(table.index) == ["LSH-1", "LSH-2", "LSH-4", "LSH-8"]
    assert list(table["predictions changed (%)"]) == ["25.0 +- 0.0"] * 4
    assert list(table["largest change of a logit"]) == ["0.5"] * 4
    assert all(cell.startswith("+0.5000") for cell in table["bits per dim, hashed alone"])
    for n, cell in zip((1, 2, 4, 8), table["bits per dim, hashed as the whole"], strict=True):
        value, low, high = map(float, re.findall(r"[+-][\d.]+", cell))
        assert value == pytest.approx(0.01 / n + 0.0001, abs=1e-4)
        # Student's t of 8 windows
        assert (high - low) / 2 == pytest.approx(2.365 * 0.001, abs=1e-4)
    mass = mass_table(view).set_index("model")
    assert list(mass.columns) == [
        "within 1 round",
        *(f"within {r} rounds" for r in (2, 4, 8)),
        "pairs that met in any",
    ]
    assert list(mass.loc["LSH-4"]) == [
        "50.0 +- 0.0",
        "75.0 +- 0.0",
        "93.8 +- 0.0",
        "",
        "9.4 +- 0.0",
    ]
    assert mass.loc["LSH-8", "within 8 rounds"] == "99.6 +- 0.0"


def test_one_seed_has_the_interval_of_its_windows(rounds):
    view = view_of("hash_rounds", gather([r for r in rounds if r["seed"] == 0]))
    cell = past_only_table(view)["bits per dim, hashed as the whole"][0]
    assert cell == "+0.0100 (+0.0076 to +0.0124)"


def test_the_page_has_the_tables_and_the_figures(rounds, tmp_path):
    write_lines(tmp_path, rounds)
    write_report(tmp_path)
    page = (tmp_path / "index.html").read_text()
    for part in ("predicted from its prefix alone", "share of the true attention", "+0.5000"):
        assert part in page
    assert "predicted from its prefix alone" in (tmp_path / "table.md").read_text()
    for name in ("attention_mass", "attention_patterns", "angular_hashing"):
        picture = matplotlib.image.imread(tmp_path / "figures" / f"hash_rounds_{name}.png")
        assert picture[..., :3].std() > 0.02, "an empty picture"
        text = words(tmp_path / "figures" / f"hash_rounds_{name}.svg")
        for part in ("Test CPU", "commit 012345678"):
            assert part in text
    text = words(tmp_path / "figures" / "hash_rounds_attention_mass.svg")
    assert "LSH-8: pairs that met in any of 8 rounds hold 100 % of the true attention" in text
    assert "the first round holds 50 % with 5 %" in text


def test_figure_2_holds_what_is_true_of_the_head():
    head = head_of(5)
    weights = weights_of(head)
    n, buckets = 64, head["buckets"]
    order = sorted(range(n), key=lambda i: (buckets[i], i))
    assert list(sorted_order(buckets)) == order
    chunk = {position: at // 16 for at, position in enumerate(order)}
    near = within_chunks(head)
    mass = []
    for i in range(1, n):
        seen = [j for j in range(i) if (chunk[i] - chunk[j]) % 4 in (0, 1)]
        assert list(np.flatnonzero(near[i, :i])) == seen
        row = head["weights"][i - 1]
        mass.append(sum(max(row[j], 1e-6) for j in seen) / sum(max(w, 1e-6) for w in row))
    found = shares(weights, near & (weights > 0))
    assert found[0] == pytest.approx(100 * sum(mass) / len(mass), rel=1e-6)
    assert shares(weights, weights > 0) == (pytest.approx(100), pytest.approx(100))


def test_figure_1_holds_what_is_true_of_the_vectors():
    head = head_of(6)
    plane = np.array(head["plane"])
    angles = np.arctan2(plane[:, 1], plane[:, 0])
    same, n_near = 0, 0
    for i in range(64):
        for j in range(i):
            degrees = np.degrees(np.arccos(np.clip(plane[i] @ plane[j], -1, 1)))
            assert apart(angles, i, j) == pytest.approx(degrees, abs=0.6)
            if degrees < 30:
                n_near += 3
                same += sum(row[i] == row[j] for row in head["plane_buckets"])
    assert shared_within(head, 0, 30) == pytest.approx(100 * same / n_near, abs=2)
    assert shared_within(head, 90.5, 181) == 0, "a sector is 90 degrees wide"
    near, far = near_and_far(angles, np.array(head["plane_buckets"]))
    assert apart(angles, *near) == pytest.approx(15, abs=3)
    assert apart(angles, *far) >= 90


def test_a_suite_shows_the_analyses_that_it_or_all_its_cases_ask_for(rounds):
    """The base stands in other suites too, which did not ask; a user may ask for all cases."""
    shared = [dict(r, suites=["layers"]) for r in copy.deepcopy(rounds)]
    one = [r for r in shared if r["settings"].get("n_rounds") == 4]
    two = copy.deepcopy([*one, *(r for r in shared if r["settings"].get("n_rounds") == 8)])
    for record in two:
        record["quality"]["analyses"]["head"] = head_of(record["seed"])
    view = view_of("layers", gather(shared))
    assert analysed(view, "head") == []
    assert mass_table(view) is not None, "all have it"
    assert analysed(view_of("layers", gather(one)), "head") == [], "one case is no choice"
    assert len(analysed(view_of("layers", gather(two)), "head")) == 2
    assert len(analysed(view_of("hash_rounds", gather(rounds)), "head")) == 1
    for record in shared:
        if record["settings"].get("n_rounds") == 2:
            del record["quality"]["analyses"]
    view = view_of("layers", gather(shared))
    assert (mass_table(view), past_only_table(view)) == (None, None)


def test_changes_are_told_by_what_differs_from_the_base(details):
    cases = gather(details)
    base = base_of(cases)
    assert base.id == attention_details.SUITE.cases("cpu")[0].id
    names = [change.name for change in changes_of(cases)]
    assert names == [
        "bucket 16",
        "chunk 32",
        "look-back 0",
        "look-back 2",
        "across buckets",
        "across buckets, duplicates kept",
        "duplicates kept",
        "logit scale 0.177",
        "logit scale 2.0",
        "normal rotation",
    ]
    assert base_of(cases[::-1]).id == base.id


def test_the_table_of_mass_tells_changes_as_the_figure_does(details):
    cases = gather(details)
    table = mass_table(view_of("attention_details", cases))
    names = {change.name for change in changes_of(cases)}
    assert {*table["model"]} == {"base: LSH-4", *names}
    bare = copy.deepcopy(details)
    for record in bare:
        del record["quality"]["analyses"]
    assert mass_table(view_of("attention_details", gather(bare))) is None


def test_what_is_usual_is_told_where_it_is_the_change(details):
    """With "across buckets" as the base, the change back has a name too."""
    base = replace(attention_details.CPU_HALF, within_bucket=False)
    cases = one_at_a_time(base, within_bucket=[True], chunks_before=[0, 2])
    suite = Suite(question="?", varies="", presets={"cpu": cases})
    found = changes_of(gather(records_of(suite, "x")))
    assert [one.name for one in found] == ["look-back 0", "look-back 2", "within buckets"]


def test_the_finding_of_changes_is_true(details):
    view = view_of("attention_details", gather(details))
    text = suite_finding(view, "quality")
    assert re.match(r"Of 10 changes of LSH-4: 1 worse: look-back 0, 0\.0", text)
    counts = re.findall(r"(\d+) (?:worse|better|shows?) ", re.sub("[,:]", " ", text))
    assert sum(map(int, counts)) == 10
    low, high = map(float, re.search(r"look-back 0, .*?\((.*?) to (.*?)\)", text).groups())
    assert low < 0.08 < high
    assert "1 better: logit scale 2.0, 0.0" in text
    # two changes do change something
    assert text.endswith("; 8 show no visible difference")
    text = suite_finding(view, "memory")
    assert text.startswith("Of 10 changes of LSH-4")
    text = suite_finding(view, "time")
    assert re.search(r"1 better: chunk 32, 1\.\d+ \(.*?\) times faster", text)


def test_one_seed_finds_no_difference(details):
    """Without an interval nothing is said to be worse or better."""
    found = gather([r for r in details if r["seed"] == 0])
    text = suite_finding(view_of("attention_details", found), "quality")
    assert text == "Of 10 changes of LSH-4: 10 without an interval"


def test_changes_are_drawn_as_rows_and_not_over_an_axis(details, tmp_path):
    broken = copy.deepcopy(details)
    for record in broken:
        if record["settings"]["chunks_before"] == 2:
            record |= {"status": "crash", "reason": "x", "quality": None, "time": None}
    view = view_of("attention_details", gather(broken))
    paths = draw_suite(view, tmp_path)
    names = {path.name for path in paths}
    assert "attention_details_changes.png" in names
    assert not names & {f"attention_details_{m}.png" for m in ("time", "memory", "quality")}
    text = words(tmp_path / "attention_details_changes.svg")
    for part in ("look-back 0", "normal rotation", "crashed", "Base: LSH-4", "no visible"):
        assert part in text
    for part in ("less those of the base", "over that of the base", "attention met"):
        assert part in text
