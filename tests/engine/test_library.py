"""A sweep has one native kernel: built at the probe, and no other in any of its jobs."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from reformer.kernels import native
from reformer.kernels.native import build
from suites.engine.job import Job, Question
from suites.engine.measure import worker
from suites.engine.measure.probe import probe
from suites.settings import Settings

pytestmark = pytest.mark.skipif(bool(native.unavailable()), reason=native.unavailable())


@pytest.fixture
def unpinned(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Leave this process as it was: with the library that its sources give."""
    monkeypatch.setattr(build, "_pinned", [])

    def forget() -> None:
        build.load.cache_clear()
        native.unavailable.cache_clear()

    forget()
    yield
    monkeypatch.undo()
    forget()


def test_the_probe_says_which_library_its_sources_give() -> None:
    threads = torch.get_num_threads()
    found = probe(Question(device="cpu"))
    torch.set_num_threads(threads)
    assert Path(found["library"]) == build.library()
    assert found["identity"]["compiler"] == build.compiler_version()


@pytest.mark.usefixtures("unpinned")
def test_a_job_uses_the_library_of_its_sweep_whatever_became_of_the_sources(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    of_sweep = tmp_path / "of-the-sweep.so"
    shutil.copy(build.library(), of_sweep)
    monkeypatch.setattr(build, "FLAGS", (*build.FLAGS, "-DEDITED_MEANWHILE"))
    monkeypatch.setattr(build, "_compile", lambda *_: pytest.fail("compiled another library"))
    worker.use_library(of_sweep)
    assert build.load()._name == str(of_sweep)


@pytest.mark.usefixtures("unpinned")
def test_a_library_that_is_gone_is_not_built_again(tmp_path: Path) -> None:
    job = Job(
        case_id="x",
        kind="time",
        index=0,
        seed=0,
        settings=Settings(subject="attention", measures=("time",)),
        device="cpu",
        library=str(tmp_path / "gone.so"),
    )
    with pytest.raises(RuntimeError, match=r"kernel of this sweep is gone: .*; start again"):
        worker.run_job(job)
