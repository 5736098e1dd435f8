"""Faults of the report's statistics."""

from mutants.fault import Fault

FOLDER = "report/statistics"
TESTS = ("tests/report/test_report_statistics.py",)
FAULTS = [
    Fault(
        f"{FOLDER}/samples.py",
        "float(np.median(process))",
        "float(np.mean(process))",
        "outliers move the value of a process",
    ),
    Fault(
        f"{FOLDER}/seeds.py",
        "student_t(n - 1) * float",
        "student_t(n) * float",
        "one degree of freedom too many: three seeds look like four",
    ),
    Fault(
        f"{FOLDER}/seeds.py",
        "float(data.std(ddof=1)) / sqrt(n)",
        "float(data.std(ddof=1)) / n",
        "the interval over seeds is too narrow by the root of their number",
    ),
    Fault(
        f"{FOLDER}/intervals.py",
        "geometric_mean_of_medians(a) / geometric_mean_of_medians(b)",
        "geometric_mean_of_medians(b) / geometric_mean_of_medians(a)",
        "the ratio is inverted",
    ),
    Fault(
        f"{FOLDER}/intervals.py",
        "(1 / len(a) + 1 / len(b))",
        "(1 / (len(a) + len(b)))",
        "the interval of a ratio is too narrow by half",
    ),
    Fault(
        f"{FOLDER}/estimates.py",
        "float(special.stdtrit(df, TAILS[1])) if not isinf(df) else ",
        "",
        "normal quantiles for three processes: intervals of 95 % cover 80 %",
    ),
]
