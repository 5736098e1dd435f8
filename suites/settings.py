"""Settings decide what one case measures; which of them have an effect on it: effects.py.

No torch. A misspelt setting is an error that names the nearest legal one.
"""

import hashlib
import json
from dataclasses import asdict, dataclass, fields, replace
from math import gcd
from typing import Any

from baselines.config import ATTENTIONS, PEERS, DenseConfig
from reformer.checks import (
    is_own,
    make_plain,
    refuse_each_unknown,
    refuse_unknown,
    require,
    require_integer,
    require_positive,
    require_positive_numbers,
    require_switches,
)
from reformer.config import LayerAttention, LSHConfig, ModelConfig, ReformerConfig
from suites.effects import (
    DENSE_ONLY,
    HOW,
    IN_PATTERNS,
    OURS,
    hashes_in_evaluation,
    kinds_of,
    shortest_pattern,
    without_effect,
)
from suites.evaluations import ANALYSES, WAYS
from suites.pairs import require_pairs_fit

# Raised whenever a change of the code changes what a number means; CHANGELOG.md says what changed.
METHOD_VERSION = 4

MEASURES = ("time", "memory", "quality")
TASKS = ("enwiki-head", "enwik8", "duplication", "recall", "text", "photos64", "imagenet64")
TEXT_TASKS = ("enwiki-head", "enwik8", "text")
BY_ACCURACY = ("duplication", "recall")  # judged by it, others by bits per dim
NEED_DATA = ("enwik8", "text", "imagenet64")
# Their name alone does not say what they hold: it is the user's, or up to the decoder of photos.
OF_VERSIONS = ("text", "photos64", "imagenet64")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """Settings hold everything that decides what one case measures.

    They are flat, so that suites, `--where` and `--set` can name each. A default is part of the
    measuring method: a case's id holds only what differs from the defaults, so that a new setting
    changes no id, and another default would give two measurements one. ValueError if illegal.
    """

    task: str = "enwiki-head"  # one of TASKS, or "package.module:function" (suites.tasks)
    n_pairs: int = 8  # in each sequence of the task "recall"
    # the model
    # of OURS, ATTENTIONS or PEERS, "package.module:function", or a pattern of layers: "local+lsh"
    attention: str = "lsh"
    length: int = 1024
    batch: int = 1
    d_model: int = 256
    d_ff: int = 1024
    n_heads: int = 4
    n_layers: int = 2
    n_rounds: int = 4
    bucket_size: int = 32
    chunk_length: int | None = None
    chunks_before: int = 1
    within_bucket: bool = True
    correct_duplicates: bool = True
    logit_scale: float = 1.0
    factorize_hash: bool = True
    rotation: str = "orthonormal"
    kernel: str = "auto"
    shared_qk: bool = False
    unit_keys: bool = True  # of full attention with shared QK, as in LSH attention
    attend_self: bool = False  # the same
    reversible: bool = True
    ff_chunks: int = 1
    loss_chunks: int = 1
    dropout: float = 0.0
    axial_positions: tuple[int, int] | None = None
    embedding_std: float = 1.0  # at the start; smaller for the task "duplication"
    positions_start: str = "sinusoids"  # or "normal", with the deviation embedding_std
    tie_embeddings: bool = False  # the output layer's weight is that of the token embeddings
    precision: str = "float32"  # or "bfloat16": a model under autocast, a call on such inputs
    # what is measured, and how
    subject: str = "model"  # a whole training step, or "attention": one attention call
    cuda_graph: bool = False  # replayed from CUDA graphs: what a GPU takes without the host
    measures: tuple[str, ...] = MEASURES
    time_budget_s: float = 2.0  # per process
    processes: int = 3  # at least; more until the 95 % interval of the median is `within` this
    within: float = 0.1  # share of it, or there are max_processes (never fewer than processes)
    max_processes: int = 10
    # training, for quality
    train_steps: int = 100
    first_steps: int = 0  # so many of the train_steps, the first, use short windows:
    first_length: int = 64  # their length; their positions are random
    first_batch: int = 8  # windows a step
    optimizer: str = "adamw"  # or "adafactor"
    learning_rate: float = 2e-3
    warmup_steps: int = 20
    heldout_tokens: int = 16384
    evaluate_every: int = 0  # steps between points of the learning curve; 0: only at the end
    evaluate_rounds: tuple[int, ...] = ()  # evaluate also with these rounds; 0: full attention
    evaluate_as: tuple[str, ...] = ()  # and in these ways (evaluations.WAYS)
    analyses: tuple[str, ...] = ()  # what else is looked at (evaluations.ANALYSES)

    def __post_init__(self) -> None:
        make_plain(self)
        require_switches(self, *(f.name for f in fields(self) if f.type is bool))
        self._require_attention()
        if not is_own(self.task):
            refuse_unknown(self.task, TASKS, "task")
        refuse_unknown(self.precision, ("float32", "bfloat16"), "precision")
        refuse_unknown(self.subject, ("model", "attention"), "subject")
        refuse_unknown(self.optimizer, ("adamw", "adafactor"), "optimizer")
        require(self.measures != (), f"measures is empty; it is one or more of {MEASURES}")
        refuse_each_unknown(self.measures, MEASURES, "measure")
        refuse_each_unknown(self.evaluate_as, WAYS, "way to evaluate")
        refuse_each_unknown(self.analyses, ANALYSES, "analysis")
        require(
            "quality" not in self.measures or self.can_train,
            f"measures has 'quality'; a {self.subject} of {self.attention!r} is not trained here",
        )
        require(
            not self.cuda_graph or self.subject == "model" or self.measures == ("time",),
            f"measures is {self.measures}; of a call in CUDA graphs only the time is, ('time',)",
        )
        require_positive(self, "batch", "processes", "train_steps", "first_length", "first_batch")
        require_positive(self, "heldout_tokens", "max_processes", "n_pairs")
        if self.chunk_length is not None:
            require_positive(self, "chunk_length")  # 0 would have the id of the default
        require_positive_numbers(self, "within", "learning_rate", "time_budget_s")
        require_integer("warmup_steps", self.warmup_steps, 0)
        require_integer("evaluate_every", self.evaluate_every, 0)
        for n_rounds in self.evaluate_rounds:
            require_integer("evaluate_rounds", n_rounds, 0)
        require(
            0 <= self.first_steps <= self.train_steps,
            f"first_steps is {self.first_steps}; it must be in [0, train_steps {self.train_steps}]",
        )
        require(
            self.first_steps == 0 or self.first_length <= self.length,
            f"first_length {self.first_length} is longer than length {self.length}",
        )
        if self.task == "recall":
            require_pairs_fit(self.n_pairs, self.first_length if self.first_steps else self.length)

    def _require_attention(self) -> None:
        if is_own(self.attention):
            return
        kinds = self.kinds
        if len(kinds) == 1:
            refuse_unknown(self.attention, (*OURS, *ATTENTIONS, *PEERS), "attention")
            return
        for kind in kinds:
            refuse_unknown(kind, IN_PATTERNS, f"attention in the pattern {self.attention!r}")
        require(
            self.subject == "model",
            f"attention is {self.attention!r}; a pattern is of a model's layers, not of one call",
        )
        pattern = shortest_pattern(kinds, self.n_layers)
        require(
            pattern == self.attention,
            f"attention {self.attention!r} over {self.n_layers} layers is {pattern!r}; say that",
        )

    @property
    def kinds(self) -> tuple[str, ...]:
        """Return the attentions of the layers, which take turns; one where all have the same."""
        return kinds_of(self.attention)

    @property
    def is_dense(self) -> bool:
        """Return whether all layers have full attention, or the user's own."""
        return self.kinds[0] not in (*OURS, *PEERS) and len(self.kinds) == 1

    @property
    def in_chunks(self) -> bool:
        """Return whether shared QK attend within chunks in some layers: LSH, a peer's or local."""
        return not self.is_dense

    @property
    def can_train(self) -> bool:
        """Return whether there is a model of ours to train."""
        return self.subject == "model" and self.attention not in PEERS

    @property
    def id(self) -> str:
        """Return a hash of what is measured: the method version and the `identifying` settings."""
        content = {"method": METHOD_VERSION, "settings": self.identifying()}
        return hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()[:12]

    def identifying(self) -> dict[str, Any]:
        """Return the settings that the id is made of, by name.

        They are those with an effect that differ from the defaults and say what, not how, is
        measured.
        """
        measured = self.measured()
        size = measured.get("bucket_size", DEFAULTS["bucket_size"])
        usual = DEFAULTS | {"chunk_length": 2 * size}
        return {
            name: float(value) if isinstance(usual[name], float) else value
            for name, value in measured.items()
            if name not in HOW and value != usual[name]
        }

    def joined(self, other: "Settings") -> "Settings":
        """Join two settings of one case: measured in all ways and as often as either asks for."""
        assert self.id == other.id, "only settings of one case can be joined"
        return replace(
            other if hashes_in_evaluation(other) else self,
            measures=tuple(m for m in MEASURES if m in (*self.measures, *other.measures)),
            time_budget_s=max(self.time_budget_s, other.time_budget_s),
            processes=max(self.processes, other.processes),
            within=min(self.within, other.within),
            max_processes=max(self.max_processes, other.max_processes),
            evaluate_every=gcd(self.evaluate_every, other.evaluate_every),
            evaluate_rounds=tuple(dict.fromkeys((*self.evaluate_rounds, *other.evaluate_rounds))),
            evaluate_as=tuple(dict.fromkeys((*self.evaluate_as, *other.evaluate_as))),
            analyses=tuple(dict.fromkeys((*self.analyses, *other.analyses))),
        )

    def measured(self) -> dict[str, Any]:
        """Return the settings with an effect on a case: on model, training, and measuring.

        Whether it is trained or only timed is no difference: both are the same case.
        """
        unused = without_effect(self)
        settings = asdict(self) | {"chunk_length": self.chunk_length or 2 * self.bucket_size}
        if self.attention in PEERS and self.attention != "transformers":
            settings["bucket_size"] = settings["chunk_length"]  # its bucket is its chunk
        return {name: value for name, value in settings.items() if name not in unused}

    def lsh(self) -> LSHConfig:
        """Return the config of LSH or local attention. Raises ValueError if it is impossible.

        Of a pattern that has both it is that of LSH attention.
        """
        is_local = "lsh" not in self.kinds and "local" in self.kinds
        return self._within_chunks("local" if is_local else "lsh")

    def _within_chunks(self, kind: str) -> LSHConfig:
        names = [f.name for f in fields(LSHConfig) if f.name != "causal"]
        if kind == "local":
            return LSHConfig(
                n_rounds=1,
                bucket_size=self.length,
                chunk_length=self.chunk_length or 2 * self.bucket_size,
                chunks_before=self.chunks_before,
                logit_scale=self.logit_scale,
            )
        return LSHConfig(**{name: getattr(self, name) for name in names})

    def config(self, vocabulary: int, seed: int = 0) -> ReformerConfig | DenseConfig:
        """Return the config of the model. Raises ValueError if the combination is impossible."""
        shared = self._shared(vocabulary, seed)
        if self.in_chunks:
            layers: tuple[LayerAttention, ...] = tuple(
                "dense" if kind == "sdpa" else self._within_chunks(kind) for kind in self.kinds
            )
            attention = layers if len(layers) > 1 else layers[0]
            return ReformerConfig(attention=attention, kernel=self.kernel, **shared)
        return DenseConfig(
            attention=self.attention,
            logit_scale=self.logit_scale,
            **{name: getattr(self, name) for name in DENSE_ONLY},
            **shared,
        )

    def _shared(self, vocabulary: int, seed: int) -> dict[str, Any]:
        names = {f.name for f in fields(ModelConfig)} - {"vocabulary", "seed"}
        own = {"vocabulary": vocabulary, "seed": seed}
        return own | {name: getattr(self, name) for name in names}


SETTINGS = tuple(f.name for f in fields(Settings))
DEFAULTS = asdict(Settings())


def change(base: Settings, **changes: Any) -> Settings:
    """Change some settings of `base`.

    Raises ValueError on illegal values, and on an unknown setting, naming the nearest.
    """
    for name in changes:
        refuse_unknown(name, SETTINGS, "setting")
    return replace(base, **changes)
