"""Tiles are tried once, and what was chosen stands for every later process."""

import json
from types import SimpleNamespace

import pytest
import torch

from reformer.kernels import triton
from reformer.sorting import SortedRounds

CPU = torch.device("cpu")
pytestmark = pytest.mark.skipif(
    bool(triton.unavailable(CPU)), reason=f"triton: {triton.unavailable(CPU)}"
)
PLACES = torch.zeros(1, 1, 1, 128, dtype=torch.int32)
ROUNDS = SortedRounds(PLACES, PLACES, 64, 1, within_bucket=True, valid_length=128)
OF = ("forward_round", "ieee")


def call_of(n_positions):
    """A stand-in for queries on a GPU."""
    device, shape = torch.device("cuda"), torch.Size((1, 4, n_positions, 64))
    return SimpleNamespace(device=device, dtype=torch.bfloat16, shape=shape)


LARGE, SMALL = call_of(2**16), call_of(128)


class Trial:
    """A trial knows what each of the tiles takes, or how it fails, and what was asked."""

    def __init__(self, tune, monkeypatch, took):
        self.asked = []
        tune._chosen.clear()
        tune._of_small.clear()
        monkeypatch.setattr(tune, "_ms", lambda run: run())

        def prepare(tiles):
            self.asked.append(tiles)

            def run():
                if isinstance(took(tiles), Exception):
                    raise took(tiles)
                return took(tiles)

            return run

        self.choose = lambda call=LARGE, of=OF: tune.tiles_of(of, call, ROUNDS, prepare)


@pytest.fixture
def tune(monkeypatch, tmp_path):
    from reformer.kernels.triton import tune

    monkeypatch.setattr(torch.cuda, "get_device_name", lambda _: "a card")
    properties = SimpleNamespace(multi_processor_count=132)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: properties)
    monkeypatch.setattr(tune, "cache_folders", lambda: iter([tmp_path / "a", tmp_path / "b"]))
    monkeypatch.setattr(tune, "is_captured", lambda _: False)
    yield tune
    tune._chosen.clear()
    tune._of_small.clear()


def rank(tune, best):
    """Make one of the candidates the fastest, and the others the slower the later."""
    all_ = tune.candidates(OF[0], LARGE, ROUNDS)
    return lambda tiles: 0.5 if tiles == all_[best] else 1.0 + all_.index(tiles)


def test_the_fastest_is_chosen_once_and_remembered(tune, monkeypatch):
    all_ = tune.candidates(OF[0], LARGE, ROUNDS)
    first = Trial(tune, monkeypatch, rank(tune, 2))
    assert first.choose() == first.choose() == all_[2]
    assert first.asked == all_
    later = Trial(tune, monkeypatch, rank(tune, 1))  # another process, in which it would differ
    assert later.choose() == all_[2]
    assert later.asked == []
    assert later.choose(of=("forward_round", "tf32")) == all_[1], "another precision, another key"


def test_a_choice_that_another_process_made_meanwhile_stands(tune, monkeypatch):
    all_ = tune.candidates(OF[0], LARGE, ROUNDS)
    mine = Trial(tune, monkeypatch, rank(tune, 3))
    read = tune._read
    monkeypatch.setattr(tune, "_read", dict)  # it had not yet been written
    assert mine.choose() == all_[3]
    other = Trial(tune, monkeypatch, rank(tune, 1))
    assert other.choose() == all_[3]
    monkeypatch.setattr(tune, "_read", read)
    assert list(tune._read().values()) == [all_[3]]


def full():
    from triton.runtime.errors import OutOfResources

    return OutOfResources(200_000, 100_000, "shared memory")


def test_a_small_call_takes_the_first_that_fits_and_decides_nothing_for_others(tune, monkeypatch):
    all_ = tune.candidates(OF[0], LARGE, ROUNDS)
    trial = Trial(tune, monkeypatch, rank(tune, 2))
    assert trial.choose(SMALL) == trial.choose(SMALL) == all_[0]
    assert trial.asked == [all_[0]]
    assert trial.choose() == all_[2]
    tight = Trial(tune, monkeypatch, lambda tiles: full() if tiles in all_[:2] else 1.0)
    assert tight.choose(SMALL) == tight.choose(SMALL) == all_[2]
    assert tight.asked == all_[:3]
    tune._paths()[0].unlink()
    none = Trial(tune, monkeypatch, lambda tiles: full())
    with pytest.raises(ValueError, match=r'cannot run on this GPU: .*shared memory.*"compiled"'):
        none.choose(SMALL)
    assert tune._read() == {}


@pytest.mark.parametrize(("captured", "n_positions"), [(True, 128), (False, 0)])
def test_a_small_call_that_a_graph_records_or_an_empty_one_is_not_tried(
    tune, monkeypatch, captured, n_positions
):
    all_ = tune.candidates(OF[0], LARGE, ROUNDS)
    trial = Trial(tune, monkeypatch, lambda tiles: full() if tiles == all_[0] else 1.0)
    monkeypatch.setattr(tune, "is_captured", lambda _: captured)
    assert trial.choose(call_of(n_positions)) == all_[0]
    assert trial.asked == []
    monkeypatch.setattr(tune, "is_captured", lambda _: False)
    assert trial.choose(SMALL) == all_[1]


def test_tiles_for_which_there_is_no_room_are_left_out(tune, monkeypatch):
    all_ = tune.candidates(OF[0], LARGE, ROUNDS)
    some = Trial(tune, monkeypatch, lambda tiles: 1.0 if tiles == all_[-1] else full())
    assert some.choose() == all_[-1]
    none = Trial(tune, monkeypatch, lambda tiles: full())
    tune._paths()[0].unlink()
    with pytest.raises(ValueError, match=r'cannot run on this GPU: .*shared memory.*"compiled"'):
        none.choose()
    assert tune._read() == {}


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"a": {"rows": 1}}', '{"a": 3}', '{"a": {"b": 1}}']
)
def test_a_damaged_file_does_not_count(tune, monkeypatch, text):
    path = tune._paths()[0]
    path.parent.mkdir()
    path.write_text(text)
    assert Trial(tune, monkeypatch, rank(tune, 1)).choose()
    kept = json.loads(path.read_text())
    assert len([key for key in kept if "forward_round" in key]) == 1


def test_where_nothing_can_be_written_it_is_chosen_for_this_process(tune, monkeypatch, tmp_path):
    (tmp_path / "file").write_text("")
    monkeypatch.setattr(tune, "cache_folders", lambda: iter([tmp_path / "file" / "folder"]))
    trial = Trial(tune, monkeypatch, rank(tune, 1))
    assert trial.choose() == trial.choose()
    assert len(trial.asked) == len(tune.candidates(OF[0], LARGE, ROUNDS))
