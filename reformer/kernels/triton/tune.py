"""The tiles of a pass are tried on the GPU at its first call there, and remembered on disk.

They lie in tiles.json beside the native library, by card, versions and shape, so that every later
process takes the same ones, and gives the same bits. Deleting the file tries them anew.
"""

import json
from collections.abc import Callable
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from tempfile import NamedTemporaryFile

import torch
import triton
from torch import Tensor

from reformer.kernels.native.build import cache_folders
from reformer.kernels.triton.launch import padded
from reformer.sorting import SortedRounds

REPEATS = 5


@dataclass(frozen=True, slots=True)
class Tiles:
    """How the work of a round is cut."""

    rows: int  # of a tile of queries, and of keys that are looked at
    met: int  # rows that it meets at a time
    warps: int
    stages: int = 1  # of loads that are under way while one is worked on
    registers: int = 0  # of a thread at most; 0 for as many as there are

    def options(self) -> dict[str, int]:
        """Return what Triton calls them, but for the blocks."""
        options = {"num_warps": self.warps, "num_stages": self.stages}
        return options | ({"maxnreg": self.registers} if self.registers else {})


# By pass and bytes of an element. The first is taken where nothing can be tried: it spills no
# registers (tests/test_triton_compiled.py). Products of float32 in three passes keep three copies.
CANDIDATES = {
    ("forward_round", 2): (
        Tiles(64, 64, 8),
        Tiles(64, 64, 4),
        Tiles(64, 64, 4, stages=2),
        Tiles(64, 64, 4, registers=168),
        Tiles(64, 128, 8, registers=128),
        Tiles(32, 64, 4, registers=128),
    ),
    ("backward_round", 2): (
        Tiles(32, 64, 8),
        Tiles(64, 64, 4),
        Tiles(64, 64, 8),
        Tiles(64, 64, 8, registers=128),
        Tiles(64, 32, 4, registers=168),
        Tiles(32, 64, 4, registers=168),
    ),
    ("forward_round", 4): (
        Tiles(32, 32, 4),
        Tiles(32, 64, 4),
        Tiles(64, 32, 8),
        Tiles(64, 64, 8),
    ),
    ("backward_round", 4): (
        Tiles(32, 32, 8),
        Tiles(32, 32, 4),
        Tiles(32, 64, 8),
        Tiles(64, 32, 8),
    ),
}
_chosen: dict[str, Tiles] = {}


def candidates(name: str, qk: Tensor, rounds: SortedRounds) -> list[Tiles]:
    """List the tiles to try for the pass of this name: none larger than a chunk and its window."""
    window = (rounds.chunks_before + 1) * rounds.chunk_length
    found = (
        Tiles(
            min(tiles.rows, padded(rounds.chunk_length)),
            min(tiles.met, padded(window)),
            *(tiles.warps, tiles.stages, tiles.registers),
        )
        for tiles in CANDIDATES[name, qk.dtype.itemsize]
    )
    return list(dict.fromkeys(found))


def tiles_of(
    name: str, qk: Tensor, rounds: SortedRounds, prepare: Callable[[Tiles], Callable[[], None]]
) -> Tiles:
    """Return the tiles of the pass of this name: remembered, or the fastest of the candidates.

    prepare: makes a function that launches some rounds with given tiles, enough for the GPU not to
    wait for the next one; what they write is of no matter.
    """
    if qk.device.type != "cuda":
        return candidates(name, qk, rounds)[0]
    key = "-".join(
        [
            *(name, torch.cuda.get_device_name(qk.device), torch.__version__, triton.__version__),
            *(str(qk.dtype), f"width {qk.shape[-1]}", f"chunk {rounds.chunk_length}"),
            f"{rounds.chunks_before} before",
        ]
    )
    if key not in _chosen:
        _chosen.update(_read())
    if key not in _chosen:
        took = {tiles: _ms(prepare(tiles)) for tiles in candidates(name, qk, rounds)}
        _chosen[key] = min(took, key=lambda tiles: took[tiles])
        _write(_chosen | _read())
    return _chosen[key]


def _ms(run: Callable[[], None]) -> float:
    """Time what `run` launches, in ms; infinite if the GPU has not the room for such tiles."""
    try:
        run()
    except triton.runtime.errors.OutOfResources:
        return float("inf")
    took = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        took.append(start.elapsed_time(end))
    return median(took)


def _paths() -> list[Path]:
    return [folder / "tiles.json" for folder in cache_folders()]


def _read() -> dict[str, Tiles]:
    """Read what earlier processes chose; nothing where there is no such file, or a damaged one."""
    for path in _paths():
        with suppress(OSError, ValueError, TypeError, AttributeError):
            return {key: Tiles(**tiles) for key, tiles in json.loads(path.read_text()).items()}
    return {}


def _write(chosen: dict[str, Tiles]) -> None:
    """Keep what was chosen, all of it or nothing, in the first folder that can be written to."""
    text = json.dumps({key: asdict(tiles) for key, tiles in sorted(chosen.items())}, indent=1)
    for path in _paths():
        with suppress(OSError):
            path.parent.mkdir(parents=True, exist_ok=True)
            with NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
                file.write(text)
            Path(file.name).replace(path)
            return
