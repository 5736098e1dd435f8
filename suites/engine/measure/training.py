"""A model is trained from its settings and evaluated on held-out data, in bits per dim.

The schedule is the same for every model: linear warm-up, then linear decay to zero; optionally the
first part of the steps on short windows at random positions, which teaches what is local at a
fraction of the time.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from time import perf_counter
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import cross_entropy
from torch.nn.utils import clip_grad_norm_

from baselines.peers import PeerModel
from reformer.language_model import LanguageModel
from reformer.loss import IGNORED
from suites.engine.failures import Diverged
from suites.engine.measure.analyses import analyse
from suites.engine.measure.build import build_model, build_optimizer
from suites.evaluations import evaluations
from suites.settings import Settings, change
from suites.tasks import Task, load_task

MAX_GRADIENT_NORM = 1.0
# The training curve has at most so many points, whatever the number of steps.
TRAIN_CURVE_POINTS = 100

Batch = tuple[Tensor, Tensor]


def train_and_evaluate(
    settings: Settings, seed: int, device: torch.device | str, data_path: str | None = None
) -> dict[str, Any]:
    """Train and evaluate a model, and return the `quality` part of a record.

    Raises Diverged if a loss is not finite.
    """
    task = load_task(settings.task, data_path, n_pairs=settings.n_pairs)
    model = build_model(settings, task.vocabulary, seed, device)
    train_losses: list[float] = []
    curve: list[tuple[int, float]] = []
    curve_s: list[float] = []
    trained_s, started = 0.0, perf_counter()
    found: dict[str, float] = {}
    every = settings.evaluate_every or settings.train_steps
    for step in train(model, task, settings, seed, train_losses):
        trained_s += perf_counter() - started
        if step % every == 0 or step == settings.train_steps:
            found = evaluate(model, task, settings)
            curve.append((step, found["bits_per_dim"]))
            curve_s.append(trained_s)
        started = perf_counter()
    return {
        **found,
        "curve": curve,
        "curve_s": curve_s,
        "train_curve": thin_out(train_losses),
        "evaluated_with": {
            name: evaluate_with(model, change(settings, **changes), task, seed)
            for name, changes in evaluations(settings).items()
        },
        "analyses": analyse(model, heldout_batches(task, settings), settings),
        "train_tokens": settings.first_steps * settings.first_batch * settings.first_length
        + (settings.train_steps - settings.first_steps) * settings.batch * settings.length,
        "data": {
            **task.describe(),
            "reference": task.heldout_reference(
                settings.length,
                sum(tokens.numel() for tokens, _ in heldout_batches(task, settings)),
            ),
        },
    }


def train(
    model: LanguageModel, task: Task, settings: Settings, seed: int, losses: list[float]
) -> Iterator[int]:
    """Train in place, yielding after each step the number of steps done.

    losses: each step's loss in nats is appended to it. Raises Diverged if one is not finite.
    """
    optimizer = build_optimizer(settings, model)
    model.train()
    places = torch.Generator().manual_seed(seed)
    # a window begins a row where positions have rows and columns
    columns = settings.axial_positions[1] if settings.axial_positions else 1
    for step, (tokens, targets) in enumerate(schedule_batches(task, settings, seed)):
        n_places = (settings.length - tokens.shape[-1]) // columns + 1
        first_position = columns * int(torch.randint(n_places, (), generator=places))
        for group in optimizer.param_groups:
            group["lr"] = settings.learning_rate * learning_rate_factor(step, settings)
        loss = step_loss(model, (tokens, targets), settings, first_position=first_position)
        losses.append(float(loss.detach()))
        if not math.isfinite(losses[-1]):
            raise Diverged(f"the training loss was {losses[-1]} at step {step + 1}")
        loss.backward()
        clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)
        optimizer.step()
        optimizer.zero_grad()
        yield step + 1


def step_loss(
    model: LanguageModel | PeerModel, batch: Sequence[Tensor], settings: Settings, **where: int
) -> Tensor:
    """Compute the loss of one batch in nats, in the settings' precision, on the model's device.

    where: `first_position`, which models of ours take (LanguageModel.loss).
    """
    device = next(model.parameters()).device
    tokens, targets = (tensor.to(device) for tensor in batch)
    with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
        return model.loss(tokens, targets, **where)


def schedule_batches(task: Task, settings: Settings, seed: int) -> Iterator[Batch]:
    """Yield the batches of all training steps: short windows first if the settings say so."""
    if settings.first_steps:  # else a task need not have such windows
        short = task.train_batches(settings.first_length, settings.first_batch, seed)
        yield from itertools.islice(short, settings.first_steps)
    whole = task.train_batches(settings.length, settings.batch, seed)
    yield from itertools.islice(whole, settings.train_steps - settings.first_steps)


def learning_rate_factor(step: int, settings: Settings) -> float:
    """Return the share of the peak learning rate: linear warm-up to 1, then linear decay to 0."""
    warm_up = (step + 1) / max(1, settings.warmup_steps)
    decay = (settings.train_steps - step) / max(1, settings.train_steps - settings.warmup_steps)
    return min(1.0, warm_up, decay)


@torch.no_grad()
def evaluate(model: LanguageModel, task: Task, settings: Settings) -> dict[str, float]:
    """Compute bits per dim and next-symbol accuracy over the held-out tokens.

    Leaves the model in training mode. Raises Diverged if the loss is not finite.
    """
    device = next(model.parameters()).device
    model.eval()
    nats, n_correct, n_counted = 0.0, 0, 0
    for tokens, targets in heldout_batches(task, settings):
        counted = targets != IGNORED
        tokens, targets = tokens.to(device), targets[counted].to(device)
        with torch.autocast(device.type, torch.bfloat16, enabled=settings.precision == "bfloat16"):
            logits = model.head(model.hidden(tokens)[counted.to(device)]).float()
        nats += float(cross_entropy(logits, targets, reduction="sum"))
        n_correct += int((logits.argmax(dim=-1) == targets).sum())
        n_counted += len(targets)
    model.train()
    if not math.isfinite(nats):
        raise Diverged(f"the held-out loss was {nats}")
    return {
        "bits_per_dim": nats / n_counted / math.log(2),
        "accuracy": n_correct / n_counted,
        "heldout_tokens": n_counted,
    }


def heldout_batches(task: Task, settings: Settings) -> Iterator[Batch]:
    """Yield what every model is evaluated on, in whole windows.

    They hold fewer tokens than the settings ask for where the held-out part is that short.
    """
    return task.heldout_batches(settings.length, settings.batch, settings.heldout_tokens)


def evaluate_with(
    model: LanguageModel, settings: Settings, task: Task, seed: int
) -> dict[str, float]:
    """Evaluate the weights of a model with the attention of other settings (paper, table 2).

    Of LSH attention its bucket_size and chunk_length stand beside: a dense model has none.
    """
    other = with_attention(model, settings, task.vocabulary, seed)
    found = evaluate(other, task, settings)
    if settings.in_chunks:
        found |= {"bucket_size": settings.bucket_size, "chunk_length": settings.lsh().m}
    return found


def with_attention(
    model: LanguageModel, settings: Settings, vocabulary: int, seed: int
) -> LanguageModel:
    """Build the model of other settings with the weights of this one, both with shared QK."""
    other = build_model(settings, vocabulary, seed, next(model.parameters()).device)
    names = (".to_q.", ".to_qk.") if settings.in_chunks else (".to_qk.", ".to_q.")
    state = {name.replace(*names): weight for name, weight in model.state_dict().items()}
    other.load_state_dict(state)
    return other


def thin_out(losses: list[float]) -> list[tuple[int, float]]:
    """Average the training losses, given in nats, to at most TRAIN_CURVE_POINTS points.

    A point is (step, mean bits per dim since the point before).
    """
    width = -(-len(losses) // TRAIN_CURVE_POINTS)
    pieces = [losses[start : start + width] for start in range(0, len(losses), width)]
    steps = [min((i + 1) * width, len(losses)) for i in range(len(pieces))]
    bits = [sum(piece) / len(piece) / math.log(2) for piece in pieces]
    return list(zip(steps, bits, strict=True))
