"""Random pictures are drawn into files, and what is no picture must be refused in one sentence."""

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image

from suites.tasks import load_task


def assert_refused(folder: Path | None, problem: str) -> None:
    with pytest.raises(ValueError, match=problem) as error:
        load_task("imagenet64", folder and str(folder))
    message = str(error.value)
    for part in ("train_data_batch_*.npz", "val_data.npz", "REFORMER_DATA", "'photos64'"):
        assert part in message
    assert "\n" not in message


def draw_files(folder: Path, n: int, suffix: str = ".png") -> list[NDArray[np.uint8]]:
    """Draw random pictures of 64 x 64 in subfolders; returns them in the order of their paths."""
    pictures = np.random.default_rng(n).integers(0, 256, (n, 64, 64, 3)).astype(np.uint8)
    for i, picture in enumerate(pictures):
        file = folder / f"{i // 7}" / f"{i:03}{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(file)
    return list(pictures)
