"""What cannot record us is refused in a sentence, and no pointer of a fake tensor is taken."""

import re

import pytest
import torch
from attention_oracle import kernel_params, outputs_and_gradients, random_inputs
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.fx.experimental.proxy_tensor import make_fx
from torch.testing._internal.two_tensor import TwoTensor

from reformer import LSHConfig, Reformer, ReformerConfig, hash_buckets, lsh_attention
from reformer.kernels import native, pick
from reformer.loss import chunked_cross_entropy
from reformer.rounds import attend_rounds, hash_and_sort

# of PyTorch itself: what it imports to compile, and that torch.jit is old
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
LSH = LSHConfig(n_rounds=2, bucket_size=8)
TOKENS = torch.randint(64, (2, 64), generator=torch.Generator().manual_seed(0))
SMALL = (1, 2, 64, 8)
needs_native = pytest.mark.skipif(bool(native.unavailable()), reason=native.unavailable())


def seeded(seed=5):
    return torch.Generator().manual_seed(seed)


QK, V = (x.detach() for x in random_inputs(6, SMALL, torch.float32)[:2])
HIDDEN, TARGETS, HEAD = torch.zeros(1, 4, 8), torch.zeros(1, 4).long(), torch.nn.Linear(8, 5)
MODEL = Reformer(
    ReformerConfig(vocabulary=64, length=64, d_model=32, d_ff=48, n_heads=2, attention=LSH)
)
ROUNDS = hash_and_sort(QK, LSH)
BUCKETS = hash_buckets(QK, n_buckets=8, n_rounds=2)
CALLS = {
    "lsh_attention": lambda x: lsh_attention(x, V, LSH, buckets=BUCKETS),
    "hash_buckets": lambda x: hash_buckets(x, n_buckets=8, n_rounds=2),
    "hash_and_sort": lambda x: hash_and_sort(x, LSH).order_BHRL,
    "attend_rounds": lambda x: attend_rounds(x, V, ROUNDS, LSH),
    "LanguageModel.loss": lambda x: MODEL.loss(TOKENS, TOKENS) * x.sum(),
    "LanguageModel.hidden": lambda x: MODEL.hidden(TOKENS) * x.sum(),
    "LanguageModel.forward": lambda x: MODEL(TOKENS) * x.sum(),
    "chunked_cross_entropy": lambda x: chunked_cross_entropy(HIDDEN, HEAD, TARGETS, 2) * x.sum(),
}


@pytest.mark.parametrize("name", CALLS)
def test_a_full_graph_is_refused_with_the_reason(name):
    expected = re.escape("it draws hashes or runs kernels that no graph holds")
    with pytest.raises(torch._dynamo.exc.Unsupported, match=expected):
        torch.compile(CALLS[name], backend="eager", fullgraph=True)(QK)


class Caller(torch.nn.Module):
    def __init__(self, call):
        super().__init__()
        self.call = call

    def forward(self, x):
        return self.call(x)


RECORDERS = {
    "torch.jit.trace": lambda call: torch.jit.trace(call, (QK,)),
    "torch.export": lambda call: torch.export.export(Caller(call), (QK,), strict=False),
    "make_fx": lambda call: make_fx(call)(QK),
    "make_fx before dispatch": lambda call: make_fx(call, pre_dispatch=True)(QK),
    "make_fx of fake tensors": lambda call: make_fx(call, tracing_mode="fake")(QK),
}


@pytest.mark.parametrize("record", RECORDERS)
@pytest.mark.parametrize("name", CALLS)
def test_a_recording_is_refused(name, record):
    with pytest.raises(RuntimeError, match=f"{name} cannot be recorded by torch.jit.trace"):
        RECORDERS[record](CALLS[name])


def test_a_strict_export_is_refused():
    with pytest.raises(torch._dynamo.exc.Unsupported, match="no graph holds"):
        torch.export.export(MODEL.eval(), (TOKENS,), strict=True)


TRANSFORMS = {
    "grad": lambda call: torch.func.grad(lambda x: call(x).float().sum())(QK),
    "vmap": lambda call: torch.func.vmap(call)(QK.expand(3, *QK.shape)),
    "jvp": lambda call: torch.func.jvp(call, (QK,), (QK,)),
    "jacrev": lambda call: torch.func.jacrev(call)(QK),
    "functionalize": lambda call: torch.func.functionalize(call)(QK),
}


@pytest.mark.parametrize("transform", TRANSFORMS)
@pytest.mark.parametrize("name", CALLS)
def test_a_transform_is_refused(name, transform):
    with pytest.raises(RuntimeError, match=f"{name} does not run under the transforms of torch.f"):
        TRANSFORMS[transform](CALLS[name])


def test_a_functional_call_works():
    model = MODEL.eval()
    found = torch.func.functional_call(model, dict(model.named_parameters()), (TOKENS,))
    assert torch.equal(found, model(TOKENS))


# Tensors without memory never reach a pointer


def fake(x):
    return FakeTensorMode().from_tensor(x)


@pytest.mark.parametrize("kernel", kernel_params("native", "flex"))
@pytest.mark.parametrize("wrap", [fake, lambda x: TwoTensor(x, x)], ids=["fake", "wrapped"])
def test_a_tensor_without_memory_is_refused(kernel, wrap):
    for qk, v in ((wrap(QK), wrap(V)), (wrap(QK), V)):
        with pytest.raises(ValueError, match=f'"{kernel}" reads memory, and this|is fake, and'):
            lsh_attention(qk, v, LSH, kernel=kernel)
    assert pick("auto", wrap(QK)) == "blocked"


@needs_native
def test_no_pointer_of_a_tensor_without_memory_is_taken():
    buckets, rotations = torch.zeros(1, 2, 2, 64).int(), [torch.zeros(8, 2, 4)]
    with FakeTensorMode(allow_non_fake_inputs=True):  # all that is made in here is fake
        for call in (
            lambda: native.attend(QK, V, ROUNDS, LSH),
            lambda: native.hash_to_buckets(QK, rotations, 2),
            lambda: native.sort_buckets(buckets, 8, 64),
        ):
            with pytest.raises(ValueError, match='kernel "native" reads memory'):
                call()
    for call in (
        lambda: native.attend(QK, fake(V), ROUNDS, LSH),
        lambda: native.hash_to_buckets(fake(QK), rotations, 2),
        lambda: native.sort_buckets(fake(buckets), 8, 64),
    ):
        with pytest.raises(ValueError, match='kernel "native" reads memory'):
            call()


@needs_native
def test_a_batch_of_gradients_is_refused_by_the_native_kernel():
    qk = QK.clone().requires_grad_()
    out = lsh_attention(qk, V, LSH, kernel="native").sum((0, 1, 2))
    with pytest.raises(ValueError, match=r'"native" reads memory.*use "plain"'):
        torch.autograd.grad(out, qk, torch.eye(8), is_grads_batched=True)


def test_fake_tensors_get_a_fake_result():
    with FakeTensorMode() as mode:
        out = lsh_attention(mode.from_tensor(QK), mode.from_tensor(V), LSH)
    assert out.shape == QK.shape
    assert type(out) is not torch.Tensor


@needs_native
def test_wrapped_tensors_fall_back_to_what_can_read_them():
    found = lsh_attention(TwoTensor(QK, QK), TwoTensor(V, V), LSH, generator=seeded())
    expected = lsh_attention(QK, V, LSH, generator=seeded(), kernel="blocked")
    torch.testing.assert_close(found.a, expected)


class Plain(torch.Tensor):
    """A subclass that changes nothing keeps its memory."""


@pytest.mark.parametrize("kernel", kernel_params("plain", "blocked", "native"))
def test_a_plain_subclass_is_attended_to(kernel):
    found = lsh_attention(
        QK.as_subclass(Plain), V.as_subclass(Plain), LSH, generator=seeded(), kernel=kernel
    )
    expected = lsh_attention(QK, V, LSH, generator=seeded(), kernel=kernel)
    assert torch.equal(torch.Tensor(found), expected)


@pytest.mark.parametrize("kernel", kernel_params("plain", "blocked", "native"))
def test_numbers_kept_as_their_negatives_are_negated(kernel):
    """The imaginary part of a conjugate is a view of memory that holds its negative."""
    qk, v, grad = (
        torch.complex(x.detach(), -x.detach()).conj().imag for x in random_inputs(7, SMALL)
    )
    assert qk.is_neg()
    found = outputs_and_gradients(
        lambda q, v: lsh_attention(q, v, LSH, generator=seeded(), kernel=kernel),
        *(qk.detach().requires_grad_(), v.detach().requires_grad_(), grad),
    )
    expected = outputs_and_gradients(
        lambda q, v: lsh_attention(q, v, LSH, generator=seeded(), kernel=kernel),
        *random_inputs(7, SMALL),
    )
    torch.testing.assert_close(found, expected)
