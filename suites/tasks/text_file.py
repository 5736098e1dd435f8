"""The task `text` is the user's own text: any file, its bytes as tokens, split 90 / 5 / 5 %."""

import numpy as np

from suites.tasks.files import expanded, sha256, split_sizes
from suites.tasks.text import TextTask

HOW_TO_GIVE = "give a file with --data text=FILE; the embedded task 'enwiki-head' needs no file"


def load_text(path: str | None) -> TextTask:
    """Read the text in a file. Raises ValueError if there is none, or if it is empty."""
    if path is None:
        raise ValueError(f"task 'text' needs a file; {HOW_TO_GIVE}")
    file = expanded(path)
    try:
        content = file.read_bytes()
    except OSError as error:
        raise ValueError(
            f"cannot read the text in {file} ({error.strerror}); {HOW_TO_GIVE}"
        ) from error
    if not content:
        raise ValueError(f"the text in {file} is empty; {HOW_TO_GIVE}")
    return TextTask(
        name="text",
        data=np.frombuffer(content, dtype=np.uint8),
        splits=split_sizes(len(content)),
        sha256=sha256(content),
        stand_in=False,
        source=file.name,
    )
