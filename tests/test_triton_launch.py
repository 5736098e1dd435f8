"""What was compiled is launched again by addresses, for tensors that it was compiled for."""

from types import SimpleNamespace

import pytest
import torch

from reformer.kernels import triton

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(
    bool(triton.unavailable(CPU)), reason=f"triton: {triton.unavailable(CPU)}"
)
STREAM = 7
GRID = (5, 1, 1)
NUMBERS = (3, 0.5)
CONSTANTS = [{"ROUND": 0, "CAUSAL": True}, {"ROUND": 1, "CAUSAL": True}]


class Compiled:
    """A stand-in for what Triton compiled, which keeps what it is launched with."""

    function, packed_metadata = "function", "metadata"

    def __init__(self):
        self.launched = []

    def run(self, *arguments):
        self.launched.append(arguments)


class Kernel:
    """A stand-in for a kernel, which keeps what it is compiled for."""

    def __init__(self):
        self.compiled, self.given = [], []

    def __getitem__(self, grid):
        def compile_and_launch(*arguments, **options):
            self.given.append((grid, arguments, options))
            self.compiled.append(Compiled())
            return self.compiled[-1]

        return compile_and_launch


@pytest.fixture
def launched(monkeypatch):
    """Return a function that launches on tensors, and the stand-in that it launches."""
    from reformer.kernels.triton import launch

    driver = SimpleNamespace(active=SimpleNamespace(get_current_stream=lambda index: STREAM))
    monkeypatch.setattr(launch.triton.runtime, "driver", driver)
    monkeypatch.setattr(launch, "_prepared", {})
    kernel = Kernel()

    def prepare():
        return launch.Launches(kernel, GRID[0], NUMBERS, CONSTANTS, {"num_warps": 4})

    return lambda *tensors, last: launch.launch(("key",), prepare, tensors, last), kernel


def test_the_first_launch_compiles_each_set_of_constants(launched):
    launch, kernel = launched
    x, y = torch.randn(2, 16)
    launch(x, y, last=9)
    expected = [(GRID, (x, y, *NUMBERS, 9), {**one, "num_warps": 4}) for one in CONSTANTS]
    assert [(grid, options) for grid, _, options in kernel.given] == [
        (grid, options) for grid, _, options in expected
    ]
    for (_, found, _), (_, given, _) in zip(kernel.given, expected, strict=True):
        assert all(a is b for a, b in zip(found[:2], given[:2], strict=True))
        assert found[2:] == given[2:]


def test_later_launches_pass_the_addresses_and_numbers_of_their_own(launched):
    launch, kernel = launched
    launch(*torch.randn(2, 16), last=9)
    x, y = torch.randn(2, 16)
    launch(x, y, last=11)
    assert len(kernel.given) == len(CONSTANTS)
    for one, constants in zip(kernel.compiled, CONSTANTS, strict=True):
        how = (*GRID, STREAM, "function", "metadata", None, None, None)
        addresses = (x.data_ptr(), y.data_ptr())
        assert one.launched == [(*how, *addresses, *NUMBERS, 11, *constants.values())]


@pytest.mark.parametrize(
    ("other", "is_new"),
    [
        (torch.randn(16), False),
        (torch.randn(32)[4:20], False),
        (torch.randn(17)[1:], True),
        (torch.randn(16, dtype=torch.float64), True),
    ],
    ids=["another one", "16 bytes further", "4 bytes further", "another dtype"],
)
def test_it_compiles_anew_for_another_dtype_or_alignment(launched, other, is_new):
    """Triton reads 16 bytes at once where an address allows it."""
    launch, kernel = launched
    first = torch.randn(16)
    launch(first, first, last=9)
    launch(first, other, last=9)
    assert len(kernel.given) == len(CONSTANTS) * (1 + is_new)
