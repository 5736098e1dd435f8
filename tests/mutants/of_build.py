"""Faults of what is built from settings, and of the steps made of it."""

from mutants.fault import Fault

FILE = "suites/engine/measure/build.py"
STEPS = "suites/engine/measure/steps.py"
TESTS = (
    "tests/engine/test_steps.py",
    "tests/engine/test_training_oracle.py",
    "tests/engine/test_evaluation_oracle.py",
)
FAULTS = [
    Fault(FILE, "betas=ADAM_BETAS, weight_decay", "weight_decay", "Adam with PyTorch's own betas"),
    Fault(FILE, "weight_decay=0.0", "weight_decay=0.01", "weights decay, against what is said"),
    Fault(
        FILE,
        "config = settings.config(vocabulary, seed)\n    model",
        "config = settings.config(vocabulary)\n    model",
        "all seeds start from the same weights and draw the same hashes",
    ),
    Fault(
        FILE,
        "shape[-1] ** -0.5, False)",
        "1.0, False)",
        "dense attention is measured with logits eight times too large",
    ),
    Fault(
        STEPS,
        "return Step(parts, draw, list",
        "return Step(parts, lambda: None, list",
        "all timed steps have the same batch",
    ),
    Fault(
        STEPS,
        "        optimizer.zero_grad(set_to_none=not keep_gradients)\n",
        "",
        "gradients add up over the steps",
    ),
    Fault(
        STEPS,
        "        self.inputs[:] = whole\n",
        "",
        "after a short warm-up the memory of a million tokens is that of 4,096",
    ),
]
