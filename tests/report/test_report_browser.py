"""A browser opens the pages: tables sort and filter, the ablation view switches, links lead on."""

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.chrome.options import Options
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.by import By
from selenium.webdriver.support.ui import Select, WebDriverWait
from synthetic import make_records, write_lines

from report.page.page import write_overview, write_report
from report.page.svg import inline_svg
from suites.base import make_case
from suites.engine.store.plan import Entry, Plan
from suites.settings import Settings

CHROMIUM, DRIVER = shutil.which("chromium"), shutil.which("chromedriver")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM or not DRIVER, reason="needs chromium and chromedriver"),
]
HOSTILE = "<img src=x onerror=alert(1)></script><b>x"
LOG = "the words of the log"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Make two runs, one with a failure and its log and with hostile words, and all their pages."""
    folder = tmp_path_factory.mktemp("reference")
    records = make_records(seed=2)
    failed = next(record for record in records if record["status"] == "crash")
    failed["reason"] = HOSTILE
    for name, some in (("whole", records), ("partial", records[::5])):
        (folder / name).mkdir()
        write_lines(folder / name, some)
        (folder / name / "logs").mkdir()
        (folder / name / "logs" / f"{failed['case']}.txt").write_text(LOG)
    case = make_case(Settings(n_rounds=64))
    entries = {case.id: Entry(case=case, suites=("layers",))}
    plan = Plan(name="partial", preset="quick", seeds=[0], device="cpu", entries=entries)
    (folder / "partial" / "plan.json").write_text(json.dumps(plan.to_json()))
    write_overview([folder / "partial", folder / "whole"], folder / "index.html")
    return folder


@pytest.fixture(scope="module")
def browser(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Any]:
    options = Options()
    options.binary_location = str(CHROMIUM)
    home = tmp_path_factory.mktemp("chromium")
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", f"--user-data-dir={home}"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options, Service(str(DRIVER)))
    yield driver
    driver.quit()


def opened(browser: Any, path: Path) -> Any:
    """Open a page anew and wait for all of it: on a busy machine half of one was seen once."""
    browser.get("about:blank")
    browser.get_log("browser")
    browser.get_log("performance")
    browser.get(path.as_uri())
    state = "return document.readyState"
    WebDriverWait(browser, 30).until(lambda page: page.execute_script(state) == "complete")
    return browser


def requests_of(browser: Any) -> list[str]:
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    return [
        message["params"]["request"]["url"]
        for message in messages
        if message["method"] == "Network.requestWillBeSent"
    ]


def column(table: Any, i: int) -> list[str]:
    rows = table.find_elements(By.CSS_SELECTOR, "tbody tr")
    cells = [row.find_elements(By.TAG_NAME, "td")[i] for row in rows if row.is_displayed()]
    return [cell.text for cell in cells]


def table_of(browser: Any, name: str) -> Any:
    for summary in browser.find_elements(By.TAG_NAME, "summary"):
        details = summary.find_element(By.XPATH, "..")
        if details.get_attribute("open") is None:
            browser.execute_script("arguments[0].open = true", details)
    return browser.find_element(By.CSS_SELECTOR, f'table[data-name="{name}"]')


@pytest.mark.parametrize("page", ["index.html", "whole/index.html", "partial/index.html"])
def test_a_page_fetches_nothing_and_has_no_script_error(
    browser: Any, folder: Path, page: str
) -> None:
    opened(browser, folder / page)
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    assert requests_of(browser) == [(folder / page).as_uri()]
    ids = browser.execute_script("return [...document.querySelectorAll('[id]')].map(e => e.id)")
    assert len(ids) == len(set(ids)), "figures share no ids"
    assert (folder / page).stat().st_size < 5 * 2**20


def test_a_table_sorts_by_numbers_with_their_units(browser: Any, folder: Path) -> None:
    table = table_of(opened(browser, folder / "whole/index.html"), "sequence_length")
    heads = table.find_elements(By.CSS_SELECTOR, "th")
    at = [head.text for head in heads].index("whole step")
    button = heads[at].find_element(By.TAG_NAME, "button")

    def ms() -> list[float]:
        texts = [text for text in column(table, at) if text]
        return [float(text.split()[0].replace(",", "")) for text in texts]

    assert ms() != sorted(ms())
    button.click()
    assert ms() == sorted(ms())
    assert heads[at].get_attribute("aria-sort") == "ascending"
    button.click()
    assert ms() == sorted(ms(), reverse=True)
    assert "" not in column(table, at)[: len(ms())], "what was not measured comes last"


def test_a_table_filters_its_rows(browser: Any, folder: Path) -> None:
    table = table_of(opened(browser, folder / "whole/index.html"), "sequence_length")
    before = column(table, 0)
    wide = table.find_element(By.XPATH, "..")
    controls = wide.find_element(By.XPATH, "preceding-sibling::div[@class='controls'][1]")
    controls.find_element(By.TAG_NAME, "input").send_keys("lsh-4 512")
    after = column(table, 0)
    assert 0 < len(after) < len(before)
    assert all("LSH-4" in name for name in after)
    assert controls.text.startswith(f"{len(after)} of {len(before)} rows")


def test_the_ablation_view_switches_factor_and_base(browser: Any, folder: Path) -> None:
    opened(browser, folder / "whole/index.html")
    factor = Select(browser.find_element(By.ID, "factor"))
    view = browser.find_element(By.ID, "ablation")
    assert factor.first_selected_option.text == "n rounds"
    assert "(enwiki-head, training" in view.find_element(By.CLASS_NAME, "finding").text
    seen = set()
    for name in ("n rounds", "n layers", "bucket size"):
        factor.select_by_visible_text(name)
        assert view.find_element(By.CSS_SELECTOR, "th").text == name
        base = Select(browser.find_element(By.ID, "base"))
        for option in [option.text for option in base.options][:2]:
            base.select_by_visible_text(option)
            told = column(view.find_element(By.TAG_NAME, "table"), 0)
            assert f"{option} (base)" in told
            seen.add(view.text)
    assert len(seen) == 6
    assert view.find_elements(By.CSS_SELECTOR, "svg circle")


def test_a_failure_links_to_its_log_and_hostile_words_are_text(browser: Any, folder: Path) -> None:
    for page in ("index.html", "whole/index.html"):
        opened(browser, folder / page)
        table = browser.find_element(By.CSS_SELECTOR, 'table[data-name="failures"]')
        assert HOSTILE in table.text
        table.find_element(By.LINK_TEXT, "log").click()
        waited = WebDriverWait(browser, 30, ignored_exceptions=[StaleElementReferenceException])
        waited.until(lambda page: page.find_element(By.TAG_NAME, "body").text == LOG)


def test_a_quick_and_partial_run_says_what_it_is(browser: Any, folder: Path) -> None:
    opened(browser, folder / "partial/index.html")
    text = browser.find_element(By.TAG_NAME, "body").text
    assert "it says nothing about the Reformer" in text
    assert "Not measured yet: LSH-64, bucket 32" in text
    findings = [e.text for e in browser.find_elements(By.CLASS_NAME, "finding")]
    assert findings
    assert not any("bits per dim" in finding for finding in findings)


@pytest.mark.parametrize("width", [1280, 390])
def test_a_page_is_no_wider_than_its_window(browser: Any, folder: Path, width: int) -> None:
    browser.set_window_size(max(width, 500), 900)
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)
    for page in ("index.html", "whole/index.html"):
        opened(browser, folder / page)
        table_of(browser, "layers")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
    browser.execute_cdp_cmd("Emulation.clearDeviceMetricsOverride", {})


def test_a_figure_is_inline_with_ids_of_its_own(folder: Path) -> None:
    path = folder / "whole/figures/layers_time.svg"
    _, found, _ = inline_svg(path, 'a "name"')
    assert found.startswith("<svg")
    assert 'aria-label="a &quot;name&quot;"' in found
    assert 'id="whole-layers_time-' in found
    assert len(found) < path.stat().st_size


def test_a_finding_is_told_once_above_its_figure(browser: Any, folder: Path) -> None:
    """It is the figure's title, in words of the page, and no longer in the figure."""
    page = opened(browser, folder / "whole/index.html")
    figures = page.find_elements(By.CSS_SELECTOR, "body > figure")
    assert len(figures) > 10
    texts = [text for figure in figures for text in figure.find_elements(By.TAG_NAME, "text")]
    shown = [text.text for text in texts]
    findings = [figure.find_element(By.CLASS_NAME, "finding").text for figure in figures]
    assert all(findings)
    words = page.find_element(By.TAG_NAME, "body").text
    for finding in findings:
        assert words.count(finding) == findings.count(finding)
        assert not any(text and finding.startswith(text) for text in shown), finding
    for figure in figures:
        box = figure.find_element(By.TAG_NAME, "svg").rect
        caption = figure.find_element(By.CSS_SELECTOR, "p.quiet")
        assert "commit 012345678" in caption.text
        assert caption.rect["y"] >= box["y"] + box["height"]
        for text in figure.find_elements(By.TAG_NAME, "text"):
            assert box["y"] <= text.rect["y"]
            assert text.rect["y"] + text.rect["height"] <= box["y"] + box["height"] + 1
            assert "commit 0123" not in text.text


def test_a_run_reports_the_same_page_again(folder: Path) -> None:
    before = (folder / "whole/index.html").read_bytes()
    write_report(folder / "whole")
    assert (folder / "whole/index.html").read_bytes() == before


@pytest.mark.parametrize(("width", "beside"), [(1280, True), (390, False)])
def test_what_two_runs_found_stands_side_by_side(
    browser: Any, folder: Path, width: int, beside: bool
) -> None:
    browser.set_window_size(width, 900)
    page = opened(browser, folder / "index.html")
    groups = page.find_elements(By.CSS_SELECTOR, ".beside")
    assert groups
    for group in groups:
        one, other = (part.rect for part in group.find_elements(By.CSS_SELECTOR, "section"))
        assert (one["y"] == other["y"]) is beside
        assert (one["x"] < other["x"]) is beside
