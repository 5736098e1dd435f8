"""What a person writes as KEY=VALUE is read here: `--where`, `--set` and `--data`. No torch."""

from collections.abc import Callable, Container, Iterable, Sequence
from typing import Any, get_args, get_type_hints

from reformer.checks import is_own, refuse_unknown
from suites.base import Case
from suites.settings import NEED_DATA, SETTINGS, TEXT_TASKS, Settings

HINTS = get_type_hints(Settings)
MOST = 2**63  # of numbers: more is a slip, and no integer of PyTorch


def condition(where: Iterable[str]) -> Callable[[Case], bool]:
    """Make a test of cases of "key=value" conditions.

    Values of one key are alternatives, keys must all hold. A setting without effect on a case, such
    as the rounds of a dense one, has no value. Raises ValueError on other forms and unknown keys.
    """
    wanted: dict[str, list[str]] = {}
    for text in where:
        key, value = split(text, "--where", "key=value", "length=1024")
        refuse_unknown(key, SETTINGS, "setting")
        wanted.setdefault(key, []).append(value)

    def keep(case: Case) -> bool:
        measured = case.settings.measured()
        return all(
            key in measured and any(equals_text(measured[key], value) for value in values)
            for key, values in wanted.items()
        )

    return keep


def unfulfilled(where: Sequence[str], kept: Sequence[Case]) -> str:
    """Say which conditions no kept case fulfils, and beside which others; "" if each has a case.

    kept: the cases that fulfil `where`.
    """
    idle = [text for text in where if not any(map(condition([text]), kept))]
    idle_keys = {text.partition("=")[0].strip() for text in idle}
    others = [text for text in where if text.partition("=")[0].strip() not in idle_keys]
    return " ".join([*idle, *(["together with", *others] if idle and others else [])])


def changes_of(texts: Iterable[str]) -> dict[str, Any]:
    """Read the settings and their new values of "--set KEY=VALUE ...".

    Raises ValueError on other forms, on unknown settings, on one given twice and on values of
    another type.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        key, value = split(text, "--set", "KEY=VALUE", "d_model=512")
        refuse_unknown(key, SETTINGS, "setting")
        refuse_second(key, changes, "--set")
        changes[key] = typed(value.strip(), HINTS[key], f"--set {text!r}: {key}")
    return changes


def typed(text: str, hint: Any, what: str) -> Any:
    """Read a value of the type that a setting declares. Raises ValueError if it is none."""
    alternatives = get_args(hint)
    if type(None) in alternatives:
        if text.lower() in ("none", ""):
            return None
        return typed(text, next(one for one in alternatives if one is not type(None)), what)
    if getattr(hint, "__origin__", None) is tuple:
        parts = [part.strip() for part in text.strip("()").split(",") if part.strip()]
        n_wanted = None if alternatives[-1] is Ellipsis else len(alternatives)
        if n_wanted not in (None, len(parts)):
            raise ValueError(f"{what} takes {n_wanted} values such as 128,512")
        return tuple(typed(part, alternatives[0], what) for part in parts)
    if hint is bool:
        if text.lower() not in ("true", "false"):
            raise ValueError(f"{what} must be true or false")
        return text.lower() == "true"
    try:
        value = hint(text)
        if hint is str or abs(value) < MOST:  # NaN is not
            return value
    except ValueError:
        pass
    words = {int: "a whole number", float: "a finite number"}
    raise ValueError(f"{what} must be {words[hint]}, smaller than 2^63")


def equals_text(value: Any, text: str) -> bool:
    """Return whether `text` is how a person writes `value`.

    Numbers count by value, true and false in any case, tuples are written 1,2.
    """
    text = text.strip()
    if isinstance(value, tuple):
        parts = text.strip("()").split(",") if text.strip("()") else []
        return len(parts) == len(value) and all(map(equals_text, value, parts))
    if isinstance(value, bool) or value is None:
        return str(value).lower() == text.lower()
    if isinstance(value, int | float):
        try:
            return float(text) == value
        except ValueError:
            return False
    return bool(value == text)


def data_paths(texts: Sequence[str], tasks: Iterable[str]) -> dict[str, str]:
    """Read the file of each task of "--data NAME=PATH ...".

    tasks: of the cases asked for. Raises ValueError on other forms, on one given twice and on tasks
    that no case asked for has.
    """
    paths: dict[str, str] = {}
    asked = sorted(set(tasks))
    for text in texts:
        name, path = split(text, "--data", "NAME=PATH", "enwik8=data/enwik8")
        if not path:
            raise ValueError(f"--data {text!r} names no file; write NAME=PATH")
        if name not in asked:
            legal = takers(asked, names={one.partition("=")[0].strip() for one in texts})
            if not legal:
                raise ValueError(
                    f"--data {text!r} has no effect: no case asked for takes data; leave it out"
                )
            refuse_unknown(name, legal, "task in --data")
        refuse_second(name, paths, "--data")
        paths[name] = path
    return paths


def takers(asked: Sequence[str], names: Container[str]) -> list[str]:
    """Return for which tasks --data may be given: one's own text takes the place of other texts.

    asked: the tasks of the cases asked for. names: what is given, after which `asked` are.
    """
    takes_text = "text" not in names and any(task in TEXT_TASKS for task in asked)
    found = [task for task in asked if task in NEED_DATA or is_own(task)]
    return sorted({*found, "text"}) if takes_text else found


def refuse_second(key: str, given: Container[str], option: str) -> None:
    """Raise ValueError if a key was given before: which of its values counts would be a guess."""
    if key in given:
        raise ValueError(
            f"{option} gives {key!r} twice; it has one value, so leave one of them out"
        )


def split(text: str, option: str, form: str, example: str) -> tuple[str, str]:
    """Split at the first "=". Raises ValueError if there is none."""
    key, equals, value = text.partition("=")
    if not equals:
        raise ValueError(f"{option} {text!r} is not of the form {form}, such as {example}")
    return key.strip(), value
