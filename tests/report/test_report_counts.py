"""Where models do not beat counts of bytes, their page says so, and of LSH attention why."""

import pytest

from report.page.caveats import caveats, trivial_model_caveats
from report.reading.gathering import gather

COUNTS = {"order 1": 3.97, "order 2": 3.4, "order 4": 3.18}


@pytest.fixture
def trained(records):
    """Return what makes a record of LSH with so many rounds, bits per dim and count models."""

    def make(n_rounds, bits, reference=COUNTS):
        record = next(
            one
            for one in records
            if "hash_rounds" in one["suites"]
            and one.get("quality")
            and one["settings"].get("n_rounds") == n_rounds
        )
        data = {**record["quality"]["data"], "reference": reference}
        return {**record, "quality": {**record["quality"], "bits_per_dim": bits, "data": data}}

    return make


def test_why_few_rounds_do_not_beat_counts_is_told_where_others_do(trained):
    one, four = trained(1, 3.32), trained(4, 2.81)
    (told,) = trivial_model_caveats(gather([one, four]))
    assert told.startswith("LSH-1")
    assert "3.320 bits per dim, no better than counts of the four bytes before (3.18)" in told
    assert told in caveats([one, four], gather([one, four]))
    met = {"mass": [[0.25]], "pairs": [[0.1]]}
    one["quality"]["analyses"] = {"attention mass": met}
    (told,) = trivial_model_caveats(gather([one, four]))
    assert "its buckets, which held 25 % of its attention weight;" in told
    (told,) = trivial_model_caveats(gather([one, trained(4, 3.4)]))
    assert "no model is below counts of the four bytes before (3.18 bits per dim)" in told
    assert trivial_model_caveats(gather([trained(1, 3.1), four])) == []


def test_records_without_counts_of_long_contexts_say_little(trained):
    """Counts of three bytes are below every model of text in the records of 2026."""
    reference = {"order 1": 3.97, "order 2": 3.18}
    (told,) = trivial_model_caveats(gather([trained(4, 2.8, reference)]))
    assert "made without them: to be below those of two says little" in told
