"""Faults of training and evaluation."""

from mutants.fault import Fault

FILE = "suites/engine/measure/training.py"
TESTS = (
    "tests/engine/test_training_oracle.py",
    "tests/engine/test_evaluation_oracle.py",
    "tests/engine/test_quality.py",
    "tests/engine/test_golden_curve.py",
)
FAULTS = [
    Fault(
        FILE,
        "warm_up = (step + 1) / max(1, settings.warmup_steps)",
        "warm_up = step / max(1, settings.warmup_steps)",
        "the warm-up is off by one: the first step learns nothing",
    ),
    Fault(
        FILE,
        "max(1, settings.train_steps - settings.warmup_steps)\n",
        "max(1, settings.train_steps)\n",
        "the rate falls from the start, and never is at its peak",
    ),
    Fault(FILE, "    model.eval()\n", "", "evaluation draws dropout and new hashes"),
    Fault(
        FILE,
        "    model.train()\n    if not",
        "    if not",
        "after the first point of the curve the model is trained in evaluation mode",
    ),
    Fault(FILE, "nats / n_counted / math.log(2)", "nats / n_counted", "nats told as bits"),
    Fault(
        FILE,
        'cross_entropy(logits, targets, reduction="sum"))',
        "cross_entropy(logits, targets)) * tokens.numel()",
        "a mean of means over batches with unequal numbers of targets",
    ),
    Fault(
        FILE,
        "n_counted += len(targets)",
        "n_counted += tokens.numel()",
        "bits and accuracy are over targets that do not count",
    ),
    Fault(
        FILE,
        "settings.batch, seed)\n    yield",
        "settings.batch, 0)\n    yield",
        "all seeds train on the same whole windows",
    ),
    Fault(
        FILE,
        "clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)\n        optimizer.step()\n",
        "optimizer.step()\n        clip_grad_norm_(model.parameters(), MAX_GRADIENT_NORM)\n",
        "gradients are clipped when they have been used",
    ),
    Fault(
        FILE,
        "    other.load_state_dict(state)\n",
        "",
        "the table of rounds is of an untrained model",
    ),
]
