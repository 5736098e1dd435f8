"""The versions of published Reformers stand wherever their numbers do."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from synthetic import BASE, make_record, write_lines

from baselines.config import PEERS, package_of
from report.page.page import write_report
from suites.base import Case

VERSIONS = {"reformer-pytorch": "1.4.4", "reformer-pytorch-exact": "1.4.4", "transformers": "5.24"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory, records):
    found = tmp_path_factory.mktemp("peers")
    call = replace(BASE, subject="attention", measures=("time", "memory"), length=1024)
    timed = next(r["time"] for r in records if r.get("time"))
    lines = []
    for attention in ("lsh", *PEERS):
        settings = replace(call, attention=attention)
        # the synthetic run has no truth for peers: they fail, or take the time of another case
        case = Case(settings=settings, skip="" if attention == "lsh" else "planted")
        record = make_record(case, ["attention_length"], 0, np.random.default_rng(0))
        if case.skip:
            record |= {"status": "ok", "reason": "", "time": timed}
            record["versions"] = {attention: VERSIONS[attention]}
        lines.append(record)
    write_lines(found, lines)
    write_report(found)
    return found


def test_the_tables_have_the_version_beside_the_row(folder):
    frame = pd.read_csv(folder / "table.csv", dtype=str).set_index("attention")
    assert dict(frame["version"].dropna()) == VERSIONS
    rows = [line.split(" | ") for line in (folder / "table.md").read_text().splitlines()]
    head = next(row for row in rows if "version" in row)
    found = {
        row[0].strip("| "): row[head.index("version")] for row in rows if len(row) == len(head)
    }
    assert {name.split(",")[0]: version for name, version in found.items()} == {
        "model": "version",
        "LSH-4": "",
        **{f"{peer}-4": version for peer, version in VERSIONS.items()},
    }


def test_captions_and_page_name_the_versions(folder):
    page = (folder / "index.html").read_text()
    figure = (folder / "figures" / "attention_length_time.svg").read_text()
    for peer, version in VERSIONS.items():
        assert f"{package_of(peer)} {version}" in page
        assert f"<li>{peer} {version}, " in page
    caption = page.split('<p class="quiet">', 2)[1].split("</p>")[0]
    for text in (caption, figure.replace("</text>", "").replace("\n", "")):
        assert "reformer-pytorch 1.4.4" in text
    assert caption.count("reformer-pytorch 1.4.4") == 1
