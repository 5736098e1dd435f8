"""Faults of the report's statistics."""

from mutants.fault import Fault

FOLDER = "report/statistics"
TESTS = (
    "tests/report/test_report_statistics.py",
    "tests/report/test_report_verdicts.py",
    "tests/report/test_report_paired.py",
)
FAULTS = [
    Fault(
        f"{FOLDER}/samples.py",
        "float(median(process))",
        "float(np.mean(process))",
        "outliers move the value of a process",
    ),
    Fault(
        f"{FOLDER}/seeds.py",
        "** 2).sum()), n - 1, prior)",
        "** 2).sum()), n, prior)",
        "one degree of freedom too many: three seeds look like four",
    ),
    Fault(
        f"{FOLDER}/seeds.py",
        "error = sqrt(known.variance / n)",
        "error = sqrt(known.variance) / n",
        "the interval over seeds is too narrow by the root of their number",
    ),
    Fault(
        f"{FOLDER}/intervals.py",
        "geometric_mean_of_medians(a) / geometric_mean_of_medians(b)",
        "geometric_mean_of_medians(b) / geometric_mean_of_medians(a)",
        "the ratio is inverted",
    ),
    Fault(
        f"{FOLDER}/noise.py",
        "total, spread = terms.sum(axis=-1), (terms**2 / df).sum(axis=-1)",
        "total, spread = terms.sum(axis=-1), (terms**2 / df.sum()).sum(axis=-1)",
        "the degrees of freedom of both sides are added though one side has all the noise",
    ),
    Fault(
        f"{FOLDER}/estimates.py",
        "float(special.stdtrit(df, TAILS[1])) if not isinf(df) else ",
        "",
        "normal quantiles for three processes: intervals of 95 % cover 80 %",
    ),
    Fault(
        f"{FOLDER}/holm.py",
        "level / (len(order) - rank)",
        "level",
        "over a hundred cases something always looks worse",
    ),
]
