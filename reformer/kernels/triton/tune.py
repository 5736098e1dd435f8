"""The tiles of a pass are tried on the GPU at its first large call, and remembered on disk.

They lie in tiles.json beside the native library, by card, versions, sources and shape, so that
later processes take the same ones, and give the same bits. Deleting the file tries them anew.
"""

import fcntl
import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from functools import cache
from hashlib import sha256
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

import torch
import triton
from torch import Tensor
from triton.errors import TritonError

from reformer.kernels.native.build import cache_folders
from reformer.kernels.triton.launch import is_captured, padded
from reformer.sorting import SortedRounds

REPEATS = 5
REGISTERS = 2**16  # of a multiprocessor
# A launch that has fewer tiles a multiprocessor says more of the host than of how they are cut.
FEWEST = 4


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


# By pass and bytes of an element. The first is taken where nothing can be tried: at 16 bits it
# spills no registers, and its forward products are wgmma where the GPU has that, which takes 64
# rows (tests/test_triton_compiled.py). Products of float32 in three passes keep three copies of
# their tiles: in the backward pass of wide heads only the last fits the 99 KiB of a smaller GPU.
CANDIDATES = {
    ("forward_round", 2): (
        Tiles(64, 32, 8),
        Tiles(64, 64, 8),
        Tiles(64, 64, 4),
        Tiles(64, 64, 4, stages=2),
        Tiles(64, 64, 4, registers=168),
        Tiles(64, 64, 4, stages=2, registers=128),
        Tiles(64, 128, 4, registers=168),
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
    ("backward_run", 2): (
        Tiles(64, 64, 8),
        Tiles(64, 64, 4),
        Tiles(64, 64, 8, registers=128),
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
        Tiles(16, 32, 4),
    ),
    ("backward_run", 4): (
        Tiles(32, 32, 8),
        Tiles(32, 32, 4),
    ),
}
_chosen: dict[str, Tiles] = {}
_of_small: dict[str, Tiles] = {}


def candidates(name: str, qk: Tensor, rounds: SortedRounds) -> list[Tiles]:
    """List the tiles to try for the pass of this name: none larger than a chunk and its window.

    In a run of chunks a chunk is a tile, of queries and of keys.
    """
    met_at_once = 1 if name == "backward_run" else rounds.chunks_before + 1
    window = met_at_once * rounds.chunk_length
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
    of: tuple[str, str],
    qk: Tensor,
    rounds: SortedRounds,
    prepare: Callable[[Tiles], Callable[[], None]],
) -> Tiles:
    """Return the tiles of a pass: remembered, or the fastest of the candidates.

    For a small call it is the first that the GPU has room for, whatever was remembered.

    of: the name of the pass, and the precision of its products. prepare: makes a function that
    launches some rounds with given tiles, enough for the GPU not to wait for the next one; what
    they write is of no matter. Raises ValueError where the GPU can take none of them.
    """
    tried = candidates(of[0], qk, rounds)
    if qk.device.type != "cuda":
        return tried[0]
    key = "; ".join(
        [
            *(*of, torch.cuda.get_device_name(qk.device), str(qk.dtype)),
            *(f"width {qk.shape[-1]}", f"chunk {rounds.chunk_length}"),
            *(f"{rounds.chunks_before} before", torch.__version__, triton.__version__, _sources()),
        ]
    )
    if _is_small(qk, tried[0]):
        if key not in _of_small:
            # a graph would launch the trials at each replay; no programs tell nothing
            if is_captured(qk) or qk.shape.numel() == 0:
                return tried[0]
            _of_small[key] = _first_that_fits(tried, prepare)
        return _of_small[key]
    if key not in _chosen:
        _chosen[key] = _read().get(key) or _keep(key, _fastest(tried, prepare))
    return _chosen[key]


def programs_at_once(like: Tensor, tiles: Tiles) -> int:
    """Count the programs that run at a time on the device of `like`, at the least.

    That is by their registers: if nothing limits them, as many as a thread can have.
    """
    return _n_processors(like) * max(1, REGISTERS // ((tiles.registers or 255) * 32 * tiles.warps))


def _n_processors(like: Tensor) -> int:
    if like.device.type == "cpu":  # whose interpreter runs one program after the other
        return 1
    return torch.cuda.get_device_properties(like.device).multi_processor_count


def _is_small(qk: Tensor, tiles: Tiles) -> bool:
    return qk.shape[:3].numel() < FEWEST * _n_processors(qk) * tiles.rows


def _first_that_fits(tried: list[Tiles], prepare: Callable[[Tiles], Callable[[], None]]) -> Tiles:
    for tiles in tried:
        with suppress(TritonError):
            prepare(tiles)()
            return tiles
    return _fastest(tried, prepare)  # which says why there is none


def _fastest(tried: list[Tiles], prepare: Callable[[Tiles], Callable[[], None]]) -> Tiles:
    took: dict[Tiles, float] = {}
    problem = ""
    for tiles in tried:
        try:
            took[tiles] = _ms(prepare(tiles))
        except TritonError as error:  # of a GPU that has no room for such tiles
            problem = f"{type(error).__name__}: {error}"
    if not took:
        raise ValueError(f'kernel "triton" cannot run on this GPU: {problem}; use "compiled"')
    return min(took, key=lambda tiles: took[tiles])


def _ms(run: Callable[[], None]) -> float:
    """Time what `run` launches, in ms, after a first call that compiles it.

    The shortest of several: what else the GPU does only lengthens it.
    """
    run()
    took = []
    for _ in range(REPEATS):
        start, end = (torch.cuda.Event(enable_timing=True) for _ in range(2))
        start.record()
        run()
        end.record()
        end.synchronize()
        took.append(start.elapsed_time(end))
    return min(took)


@cache
def _sources() -> str:
    """Tell this version of the kernels."""
    files = sorted(Path(__file__).parent.glob("*.py"))
    return sha256(b"".join(file.read_bytes() for file in files)).hexdigest()[:8]


def _paths() -> list[Path]:
    return [folder / "tiles.json" for folder in cache_folders()]


def _read() -> dict[str, Tiles]:
    """Read what earlier processes chose; what is damaged or unknown there does not count."""
    found: dict[str, Tiles] = {}
    for path in reversed(_paths()):
        for key, tiles in _entries(path).items():
            with suppress(TypeError):
                found[key] = Tiles(**tiles)
    return found


def _entries(path: Path) -> dict[str, Any]:
    with suppress(OSError, ValueError):
        entries = json.loads(path.read_text())
        return entries if isinstance(entries, dict) else {}
    return {}


def _keep(key: str, tiles: Tiles) -> Tiles:
    """Remember a choice, unless another process made one meanwhile; return the one that stands."""
    for path in _paths():
        with suppress(OSError), _locked(path):
            entries = _entries(path)
            standing = entries.setdefault(key, asdict(tiles))
            with NamedTemporaryFile("w", dir=path.parent, delete=False) as file:
                json.dump(entries, file, indent=1, sort_keys=True)
            Path(file.name).replace(path)
            with suppress(TypeError):
                return Tiles(**standing)
    return tiles


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_suffix(".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
