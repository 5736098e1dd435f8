"""Every arrow between the files of the project points down: which file may import which."""

import sys
from fnmatch import fnmatch

import pytest
from source_files import OURS, PACKAGES, ROOT, imports, is_module, name_of, python_files

from suites.engine.code import MEASURED_CODE

CHECKS = ("reformer.checks",)
CONFIGS = ("reformer.config", "baselines.config")
PEERS = ("reformer_pytorch", "transformers")
DATA = ("numpy", "PIL")

# Which file may import what, besides the standard library. First the file, as a pattern (the first
# that fits counts), then the modules. A folder says where its code runs: measure inside a job's
# process, sweep around jobs, store keeps what they found; sweep reaches measure by name only.
ENGINE = "suites.engine"
TRAVELS = [f"{ENGINE}.{name}" for name in ("code", "failures", "host", "job")]
SETTINGS = [f"suites.{name}" for name in ("effects", "evaluations", "pairs", "settings")]
SUITE_WORDS = ["suites.base", "suites.labels", *SETTINGS]
SHARED_PARTS = [
    f"reformer.{name}"
    for name in (
        *("checks", "choices", "config", "eager", "reversible", "feed_forward", "positions"),
        "loss",
        *("language_model", "full_attention", "precision"),
    )
]
STATISTICS = ["report.statistics.*", "numpy", "scipy"]
READING = [
    *("report.reading.*", "report.text", f"{ENGINE}.store.records", *SUITE_WORDS),
    "reformer.checks",
]
ARROWS: dict[str, list[str]] = {
    "run_bench.py": [f"{ENGINE}.commands", "report.commands"],
    "reformer/__init__.py": ["reformer.*"],
    "reformer/checks.py": [],
    "reformer/config.py": ["reformer.checks"],
    "reformer/kernels/triton/*": ["torch", "triton", "triton.*", "reformer.*"],
    "reformer/sources.py": ["torch", "numpy", "reformer.hooks"],
    "reformer/*": ["torch", "reformer.*"],
    "baselines/__init__.py": ["baselines.*"],
    "baselines/config.py": ["reformer.checks", "reformer.config"],
    "baselines/peers/*": ["torch", *PEERS, "baselines.config", "baselines.peers.*", *SHARED_PARTS],
    "baselines/*": ["torch", "baselines.*", *SHARED_PARTS],
    "suites/effects.py": ["baselines.config", "reformer.checks"],
    "suites/evaluations.py": ["suites.effects"],
    "suites/pairs.py": ["reformer.checks"],
    "suites/settings.py": ["reformer.checks", *CONFIGS, *SETTINGS],
    "suites/labels.py": SETTINGS,
    "suites/base.py": ["suites.settings", "reformer.checks", *CONFIGS],
    "suites/tasks/*": [
        *("torch", *DATA, "suites.tasks", "suites.tasks.*", "suites.pairs", "reformer.checks"),
    ],
    "suites/engine/commands.py": [
        *(f"{ENGINE}.{room}.*" for room in ("sweep", "store")),
        *(f"{ENGINE}.terminal", *TRAVELS),
        *("suites.base", "suites.settings", "baselines.config", "reformer.checks"),
    ],
    "suites/engine/measure/*": [
        *("torch", "psutil", f"{ENGINE}.measure.*", *TRAVELS, *SETTINGS),
        *("suites.tasks", "reformer", "reformer.*", "baselines", "baselines.*"),
    ],
    "suites/engine/store/event_files.py": [
        *("tensorboard", f"{ENGINE}.store.records", *CHECKS),
    ],
    "suites/engine/store/*": [f"{ENGINE}.store.*", f"{ENGINE}.code", *SUITE_WORDS, *CHECKS],
    "suites/engine/sweep/executors/*": ["psutil", f"{ENGINE}.sweep.executors.*", *TRAVELS],
    "suites/engine/sweep/*": [
        *("rich", "scipy", "suites", f"{ENGINE}.sweep.*", f"{ENGINE}.store.*", *TRAVELS),
        f"{ENGINE}.terminal",
        *("suites.base", *SETTINGS, "reformer.checks", *CONFIGS),
    ],
    "suites/engine/terminal.py": ["rich"],
    "suites/engine/*": ["psutil", *TRAVELS, "suites.settings"],
    "suites/*": ["suites.base", "suites.presets", "suites.settings", "baselines.config"],
    "report/__init__.py": [],
    "report/commands.py": [
        *(f"report.{room}.*" for room in ("claims", "compare", "figures", "page")),
        *("report.tables.markup", f"{ENGINE}.store.runs", f"{ENGINE}.store.names"),
        f"{ENGINE}.terminal",
    ],
    "report/paper.py": [],
    "report/text.py": ["report.statistics.*"],
    "report/comparison.py": ["report.reading.*", "report.text", "report.statistics.*"],
    "report/extremes.py": [
        *("report.comparison", "report.reading.*", "report.text", "report.statistics.*"),
    ],
    "report/longest.py": [
        *("report.comparison", "report.reading.*", "report.text"),
    ],
    "report/findings.py": [
        *(
            "report.comparison",
            "report.extremes",
            "report.longest",
            "report.reading.*",
            "report.text",
        ),
        "report.statistics.*",
    ],
    "report/claims/*": [
        *("report.claims.*", *READING, "report.statistics.*", "pandas"),
    ],
    "report/statistics/*": STATISTICS,
    "report/reading/planned.py": [
        *("report.reading.cases", f"{ENGINE}.store.plan", f"{ENGINE}.store.records"),
    ],
    "report/reading/*": [*READING, "report.statistics.*", "baselines.config", "numpy"],
    "report/tables/*": [
        *(
            "report.tables.*",
            "report.comparison",
            "report.paper",
            *READING,
            "report.statistics.*",
            "numpy",
            "pandas",
        ),
        f"{ENGINE}.sweep.prediction",
    ],
    "report/compare/*": [
        *("report.compare.*", "report.tables.markup", "report.comparison", *READING),
        "report.statistics.*",
        *("numpy", "pandas", *CHECKS, f"{ENGINE}.terminal"),
    ],
    "report/figures/*": [
        *("report.figures.*", "report.tables.*", "report.compare.ablation", "report.findings"),
        *("report.paper", *READING, "report.statistics.*", "matplotlib", "numpy"),
        f"{ENGINE}.host",
    ],
    "report/page/*": [
        *("report.page.*", "report.claims.*", "report.compare.*", "report.figures.*"),
        *("report.tables.*", "report.findings", *READING),
        *("report.statistics.*", "baselines.config", "jinja2", "pandas"),
        *(f"{ENGINE}.store.plan", f"{ENGINE}.store.runs"),
    ],
}
# For each of them an import that would be wrong, in a file that is there.
PLANTED = {
    "run_bench.py": ("run_bench.py", "reformer.config"),
    "reformer/__init__.py": ("reformer/__init__.py", "torch"),
    "reformer/checks.py": ("reformer/checks.py", "reformer.config"),
    "reformer/config.py": ("reformer/config.py", "torch"),
    "reformer/kernels/triton/*": ("reformer/kernels/triton/tune.py", "suites.base"),
    "reformer/sources.py": ("reformer/sources.py", "reformer.recording"),
    "reformer/*": ("reformer/kernels/native/kernel.py", "suites.base"),
    "baselines/__init__.py": ("baselines/__init__.py", "reformer.config"),
    "baselines/config.py": ("baselines/config.py", "torch"),
    "baselines/peers/*": ("baselines/peers/transformers.py", "baselines.model"),
    "baselines/*": ("baselines/model.py", "reformer.lsh_attention"),
    "suites/effects.py": ("suites/effects.py", "suites.settings"),
    "suites/evaluations.py": ("suites/evaluations.py", "reformer.config"),
    "suites/pairs.py": ("suites/pairs.py", "suites.settings"),
    "suites/settings.py": ("suites/settings.py", "suites.base"),
    "suites/labels.py": ("suites/labels.py", "suites.engine.store.records"),
    "suites/base.py": ("suites/base.py", "torch"),
    "suites/tasks/*": ("suites/tasks/text.py", "suites.settings"),
    "suites/engine/commands.py": ("suites/engine/commands.py", "suites.engine.measure.worker"),
    "suites/engine/measure/*": ("suites/engine/measure/timing.py", "report.page"),
    "suites/engine/store/event_files.py": (
        "suites/engine/store/event_files.py",
        f"{ENGINE}.store.runs",
    ),
    "suites/engine/store/*": ("suites/engine/store/runs.py", "suites.engine.sweep.ledger"),
    "suites/engine/sweep/executors/*": (
        "suites/engine/sweep/executors/local.py",
        "suites.engine.store.runs",
    ),
    "suites/engine/sweep/*": ("suites/engine/sweep/scheduler.py", "suites.engine.measure.machine"),
    "suites/engine/terminal.py": ("suites/engine/terminal.py", "suites.settings"),
    "suites/engine/*": ("suites/engine/job.py", "suites.engine.store.records"),
    "suites/*": ("suites/layers.py", "suites.engine.measure.build"),
    "report/__init__.py": ("report/__init__.py", "report.text"),
    "report/commands.py": ("report/commands.py", "suites.engine.sweep.planning"),
    "report/paper.py": ("report/paper.py", "report.text"),
    "report/text.py": ("report/text.py", "report.reading.cases"),
    "report/comparison.py": ("report/comparison.py", "report.findings"),
    "report/extremes.py": ("report/extremes.py", "report.findings"),
    "report/claims/*": ("report/claims/claim.py", "report.page.page"),
    "report/longest.py": ("report/longest.py", "report.figures.style"),
    "report/findings.py": ("report/findings.py", "report.figures.style"),
    "report/statistics/*": ("report/statistics/noise.py", "report.reading.cases"),
    "report/reading/planned.py": ("report/reading/planned.py", "suites.engine.sweep.planning"),
    "report/reading/*": ("report/reading/cases.py", "report.findings"),
    "report/tables/*": ("report/tables/cases_table.py", "suites.engine.measure.memory"),
    "report/compare/*": ("report/compare/runs.py", "report.figures.style"),
    "report/figures/*": ("report/figures/style.py", "report.page.page"),
    "report/page/*": ("report/page/page.py", "torch"),
}

# Within reformer/ a file imports only from rows above its own (kernels/ also from each other).
FROM_BELOW = [
    ["checks", "eager", "autocast", "precision", "hooks"],
    ["config", "sources"],
    ["inputs"],
    ["hashing", "sorting", "full_attention", "positions", "reference", "gradients", "recording"],
    ["choices"],
    ["kernels", "loss"],
    ["rounds", "reversible"],
    ["operators"],
    ["lsh_attention"],
    ["feed_forward"],
    ["language_model"],
    ["model"],
]


def row_of(path):
    """The row of the table that counts for a file."""
    return next(pattern for pattern in ARROWS if fnmatch(name_of(path), pattern))


def is_allowed(path, module):
    """May this file import this module?"""
    if module.split(".")[0] in sys.stdlib_module_names:
        return True
    known = module if module.split(".")[0] in OURS else module.split(".")[0]
    return any(fnmatch(known, pattern) for pattern in ARROWS[row_of(path)])


def wrong_arrows(path, text=None):
    """What is wrong with the imports of a file, or of a file with that text in its place."""
    return [
        f"{name_of(path)}:{line} imports {module}; a file of {row_of(path)} imports only "
        f"{', '.join(ARROWS[row_of(path)]) or 'the standard library'}"
        for line, module in imports(path, text)
        if not is_allowed(path, module)
    ]


@pytest.mark.parametrize("path", python_files(*PACKAGES), ids=name_of)
def test_arrows_point_as_in_the_table(path):
    wrong = wrong_arrows(path)
    assert not wrong, "\n".join(wrong)


def test_every_row_of_the_table_is_used_and_has_its_wrong_arrow():
    assert {row_of(path) for path in python_files(*PACKAGES)} == set(ARROWS) == set(PLANTED)


@pytest.mark.parametrize("row", ARROWS)
def test_a_planted_wrong_arrow_is_seen(row):
    file, module = PLANTED[row]
    path = ROOT / file
    assert row_of(path) == row
    assert is_module(module) or module == "torch"
    planted = f"{path.read_text()}\n\ndef planted():\n    import {module}\n"
    assert [line for line in wrong_arrows(path, planted) if f"imports {module};" in line]


@pytest.mark.parametrize("text", ["import report.page", "from report import page"])
def test_both_forms_of_an_import_are_seen(text):
    assert wrong_arrows(ROOT / "suites/engine/measure/timing.py", text)


def test_a_file_of_the_core_imports_only_from_below():
    row_of = {name: row for row, names in enumerate(FROM_BELOW) for name in names}
    wrong = []
    for path in (ROOT / "reformer").rglob("*.py"):
        name = path.relative_to(ROOT / "reformer").with_suffix("").parts[0]
        if name == "__init__":
            continue
        for line, module in imports(path):
            if not module.startswith("reformer."):
                assert module != "reformer", f"{name_of(path)}:{line} imports the whole package"
                continue
            other = module.split(".")[1]
            inside = name == other == "kernels"
            if not inside and row_of[other] >= row_of[name]:
                wrong.append(f"{name_of(path)}:{line} imports {module}, which stands above it")
    assert not wrong, "\n".join(wrong)


def test_only_tests_import_the_reference():
    wrong = [
        f"{name_of(path)}:{line} imports the oracle, which is slow and for tests only"
        for path in python_files(*PACKAGES)
        for line, module in imports(path)
        if module == "reformer.reference"
    ]
    assert not wrong, "\n".join(wrong)


def test_all_that_decides_a_number_is_in_the_hash_of_the_code():
    """Beside it stands only what carries jobs and their failures to where they run."""
    hashed = [part.removesuffix(".py").replace("/", ".") for part in MEASURED_CODE]
    wrong = [
        f"{name_of(path)}:{line} imports {module}, which the hash of the code leaves out"
        for path in python_files(*PACKAGES)
        if name_of(path).startswith(MEASURED_CODE)
        for line, module in imports(path)
        if module.split(".")[0] in PACKAGES and not module.startswith((*hashed, *TRAVELS))
    ]
    assert not wrong, "\n".join(wrong)
