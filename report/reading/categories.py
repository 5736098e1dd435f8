"""A suite that varies words has names on its axis: the cases are categories, not numbers."""

from collections.abc import Mapping, Sequence

from report.reading.cases import CaseResult
from report.reading.series import KINDS, Series, distinguishing, name_by_settings
from suites.effects import DENSE_ONLY, HOW, LSH_ONLY
from suites.labels import MEANS, OF_MEANS, phrases, telling_apart
from suites.settings import SETTINGS

# Settings that only some of the models have, and the rate that suits each of them.
OF_SOME_MODELS = (*LSH_ONLY, *DENSE_ONLY, "learning_rate")
LAST = 10**9


def is_of_words(cases: Sequence[CaseResult], varies: str) -> bool:
    """Return whether a setting has words or switches as values in these cases."""
    return any(isinstance(case.settings.get(varies), str | bool) for case in cases)


def category_lines(
    cases: Sequence[CaseResult], named_by: Sequence[str], places: Mapping[str, int]
) -> tuple[tuple[Series, ...], tuple[str, ...]]:
    """Arrange cases as categories, one line for each size at which they were measured.

    named_by: the settings that name a category. places: of cases in their suite, by id. Returns the
    lines, whose x is the place of a category, and the names of the categories in order.
    """
    words = [name for name in named_by if name not in OF_MEANS]
    means = [MEANS] if {*named_by} & {*OF_MEANS} else []
    keys = [key for key in distinguishing(cases) if key in words] + means
    order = {kind: i for i, kind in enumerate(KINDS)}

    def place(case: CaseResult) -> tuple[int, int, str]:
        return places.get(case.id, LAST), order[case.kind], names[id(case)]

    names = {id(case): name_by_settings(case, keys) for case in cases}
    ordered = sorted(cases, key=place)
    categories = tuple(dict.fromkeys(names[id(case)] for case in ordered))
    sizes: dict[tuple[object, ...], list[CaseResult]] = {}
    free = {*HOW, *named_by, *OF_SOME_MODELS}
    fixed = [key for key in SETTINGS if key not in free]
    for case in ordered:
        key = (case.mark, *(case.settings.get(name) for name in fixed))
        sizes.setdefault(key, []).append(case)
    lines = []
    for members, name in zip(sizes.values(), _size_names(list(sizes.values()), fixed), strict=True):
        points = sorted(
            ((float(categories.index(names[id(case)])), case) for case in members),
            key=lambda point: point[0],
        )
        lines.append(Series(name, "categories", True, tuple(points)))
    return tuple(lines), categories


def _size_names(sizes: Sequence[Sequence[CaseResult]], fixed: Sequence[str]) -> list[str]:
    """Name sizes by few settings that tell them apart."""
    firsts = [members[0].settings for members in sizes]
    chosen = telling_apart(firsts, fixed)
    ordered = [name for name in SETTINGS if name in chosen]
    marks = [members[0].mark for members in sizes]
    return [
        ", ".join([*phrases(s, ordered), *([mark] if mark else [])])
        for s, mark in zip(firsts, marks, strict=True)
    ]
