"""What `--data` takes: files of the tasks that the cases asked for have."""

import pytest

from suites.engine.sweep.key_values import data_paths


def test_data_paths_belong_to_a_task_of_the_plan() -> None:
    assert data_paths(["enwik8=a=b"], ["enwik8"]) == {"enwik8": "a=b"}
    with pytest.raises(ValueError, match="did you mean 'enwik8'"):
        data_paths(["enwik9=x"], ["enwik8"])
    for text, said in (("enwik8", "not of the form NAME=PATH"), ("enwik8=", "names no file")):
        with pytest.raises(ValueError, match=said):
            data_paths([text], ["enwik8"])
    with pytest.raises(ValueError, match="--data gives 'text' twice"):
        data_paths(["text=A", "text=B"], ["text"])


@pytest.mark.parametrize(
    ("given", "tasks", "said"),
    [
        ("tex=A", ["enwiki-head", "recall"], "'tex'; did you mean 'text'? legal: text$"),
        ("tex=A", ["enwik8", "my:own"], "'text'? legal: enwik8, my:own, text$"),
        # --set task=enwik8
        ("text=A", ["enwik8"], "unknown task in --data 'text'; legal: enwik8$"),
        ("text=A", ["duplication"], "'text=A' has no effect: no case asked for takes data"),
        ("text=A", [], "'text=A' has no effect: no case asked for takes data"),
    ],
)
def test_what_data_may_be_given_is_what_cases_take(given: str, tasks: list[str], said: str) -> None:
    with pytest.raises(ValueError, match=said.replace("?", r"\?")):
        data_paths([given], tasks)
