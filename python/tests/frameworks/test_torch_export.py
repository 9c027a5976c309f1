"""What from_torch makes of modules of many shapes, what it leaves as it was, and what it says when it can't."""

import gc
import warnings
import weakref

import numpy as np
import pytest

torch = pytest.importorskip("torch")
from torch import nn  # noqa: E402
from torch.nn.utils import prune, rnn  # noqa: E402

import exegesis as xg  # noqa: E402
from exegesis.errors import ExportError, InputError, UsageError  # noqa: E402

MLP = [nn.Linear(4, 6), nn.ReLU(), nn.Linear(6, 3)]


def answers(model, *values):
    """The model's first output."""
    e = model.explain(values if len(values) > 1 else values[0], method="gradient", target=0)
    return e.arrays[f"prediction/{next(iter(model.outputs))}"]


@pytest.fixture
def mlp():
    torch.manual_seed(0)
    return nn.Sequential(*[type(part)(*_sizes(part)) for part in MLP])


def _sizes(part):
    return (part.in_features, part.out_features) if isinstance(part, nn.Linear) else ()


class Many(nn.Module):
    """Two inputs, one by name only; a dict with a tuple in it; a constant that matters."""

    def __init__(self):
        super().__init__()
        self.one, self.two = nn.Linear(5, 3), nn.Linear(2, 3)

    def forward(self, a, *, b, scale=1.0):
        y = self.one(a) + scale * torch.tanh(self.two(b))
        return {"scores": y, "states": (a * 2, b * 2), "what": "text"}


class ByValue(nn.Module):
    def forward(self, x):
        return x if x.sum() > 0 else -x


class Varargs(nn.Module):
    def forward(self, *parts):
        return parts[0] * 2 + parts[1]


@pytest.mark.parametrize("exporter", ["dynamo", "torchscript"])
def test_both_exporters_leave_the_batch_free_and_say_who_they_are(mlp, exporter):
    model = xg.from_torch(mlp, torch.zeros(1, 4), exporter=exporter, labels=["a", "b", "c"])
    x = torch.randn(5, 4)
    np.testing.assert_allclose(answers(model, x), mlp(x).detach().numpy(), atol=1e-5)
    assert model.labels == ["a", "b", "c"]
    assert {"dynamo": "torch.export", "torchscript": "TorchScript"}[exporter] in model.notes[-1]
    assert "from_torch(Sequential)" in repr(model) and "/tmp" not in repr(model)
    assert model.explain(x, method="gradient").summary["model"]["path"] == "from_torch(Sequential)"


def test_inputs_by_name_constants_and_nested_outputs():
    torch.manual_seed(0)
    module = Many()
    a, b = torch.randn(3, 5), torch.randn(3, 2)
    model = xg.from_torch(module, (a[:1], {"b": b[:1], "scale": 2.0}))
    assert list(model.inputs) == ["a", "b"]
    assert list(model.outputs) == ["scores", "states_0", "states_1"]
    assert any('"what"' in note for note in model.notes)
    e = model.explain({"b": b, "a": a}, method="gradient", target=1)
    np.testing.assert_allclose(e.arrays["prediction/scores"], module(a, b=b, scale=2.0)["scores"].detach(), atol=1e-5)
    assert set(e.values) == {"a", "b"}


def test_names_are_those_of_the_caller_or_numbers():
    x, y = torch.ones(2, 3), torch.zeros(2, 3)
    assert list(xg.from_torch(Varargs(), (x, y)).inputs) == ["input_0", "input_1"]
    model = xg.from_torch(Varargs(), (x, y), input_names=["left", "right"], output_names=["sum"])
    assert list(model.inputs) == ["left", "right"] and list(model.outputs) == ["sum"]


def test_a_named_axis_is_free():
    torch.manual_seed(0)
    lstm = nn.LSTM(4, 5, batch_first=True)

    class Last(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = lstm, nn.Linear(5, 2)

        def forward(self, x):
            return self.head(self.lstm(x)[0][:, -1])

    module = Last()
    model = xg.from_torch(module, torch.randn(1, 6, 4), dynamic_shapes={"x": {1: "steps"}})
    assert model.inputs["x"][1] == ["batch", "steps", "4"]
    x = torch.randn(3, 9, 4)
    np.testing.assert_allclose(answers(model, x), module(x).detach(), atol=1e-5)


def test_the_module_is_as_it_was(mlp):
    module = nn.Sequential(*mlp, nn.Dropout(0.5), nn.BatchNorm1d(3))
    module.train()
    module[4].eval()
    seen = []
    handle = module[0].register_forward_hook(lambda part, given, answer: seen.append(answer) or answer * 100)
    before = {key: value.clone() for key, value in module.state_dict().items()}
    state = torch.random.get_rng_state()
    grad = torch.is_grad_enabled()
    model = xg.from_torch(module, torch.zeros(2, 4))
    assert [part.training for part in module] == [True, True, True, True, False] and module.training
    assert not seen and handle.id in module[0]._forward_hooks
    assert torch.equal(state, torch.random.get_rng_state()) and torch.is_grad_enabled() == grad
    assert all(torch.equal(before[key], value) for key, value in module.state_dict().items())
    assert any("hooks of 0" in note for note in model.notes)
    handle.remove()
    x = torch.randn(4, 4)
    # Neither dropout nor the hook is in the model.
    np.testing.assert_allclose(answers(model, x), module.eval()(x).detach(), atol=1e-5)


def test_hooks_that_compute_a_weight_are_part_of_the_module():
    torch.manual_seed(0)
    part = nn.Linear(4, 3)
    prune.random_unstructured(part, "weight", amount=0.5)
    with torch.no_grad():
        part.weight_orig.mul_(3)
    model = xg.from_torch(part, torch.zeros(2, 4))
    x = torch.randn(3, 4)
    np.testing.assert_allclose(answers(model, x), part(x).detach(), atol=1e-5)


def test_later_training_does_not_reach_the_model(mlp):
    model = xg.from_torch(mlp, torch.zeros(2, 4))
    x = torch.randn(3, 4)
    before = answers(model, x)
    with torch.no_grad():
        mlp[0].weight.zero_()
    np.testing.assert_array_equal(answers(xg.Model(model._core), x), before)


def test_the_module_can_go(mlp):
    # What a matrix product takes transposed is another tensor in the file: both must be let go.
    class Products(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(torch.randn(4, 3))

        def forward(self, x):
            return x.unsqueeze(1) @ self.weight + nn.functional.linear(x.unsqueeze(1), self.weight.T)

    for module in (mlp, Products()):
        weights = [weakref.ref(weight) for weight in module.parameters()]
        xg.from_torch(module, torch.zeros(2, 4), exporter="dynamo")
    del module, mlp
    gc.collect()
    assert [weight() for weight in weights] == [None]


def test_scripted_modules(mlp):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        scripted = torch.jit.script(mlp)
    model = xg.from_torch(scripted, torch.zeros(1, 4))
    x = torch.randn(3, 4)
    np.testing.assert_allclose(answers(model, x), mlp(x).detach(), atol=1e-5)
    assert "TorchScript" in model.notes[-1]


def test_what_only_the_older_exporter_can():
    torch.manual_seed(0)

    class Packed(nn.Module):
        def __init__(self):
            super().__init__()
            self.lstm, self.head = nn.LSTM(3, 4, batch_first=True), nn.Linear(4, 2)

        def forward(self, sequence, lengths):
            states, _ = self.lstm(rnn.pack_padded_sequence(sequence, lengths, batch_first=True))
            return self.head(rnn.pad_packed_sequence(states, batch_first=True)[0].sum(1))

    module = Packed()
    model = xg.from_torch(module, (torch.randn(2, 6, 3), torch.tensor([6, 4])))
    assert "since torch.export does not" in model.notes[-1]
    x, lengths = torch.randn(3, 6, 3), torch.tensor([6, 5, 2])
    e = model.explain({"sequence": x, "lengths": lengths}, method="gradient", target=0)
    np.testing.assert_allclose(e.arrays["prediction/output"], module(x, lengths).detach(), atol=1e-5)


def test_float64_modules_are_explained_in_float32(mlp):
    model = xg.from_torch(mlp.double(), torch.zeros(2, 4).double())
    x = torch.randn(3, 4).double()
    np.testing.assert_allclose(answers(model, x), mlp(x).detach(), atol=1e-5)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_modules_on_a_gpu(mlp):
    x = torch.randn(3, 4)
    wanted = mlp(x).detach()
    model = xg.from_torch(mlp.cuda(), torch.zeros(1, 4))
    np.testing.assert_allclose(answers(model, x.cuda()), wanted, atol=1e-5)
    assert next(mlp.parameters()).is_cuda


def test_decisions_by_value_are_refused_in_one_short_sentence():
    with pytest.raises(ExportError, match="ByValue.*data-dependent.*would freeze") as caught:
        xg.from_torch(ByValue(), torch.randn(2, 6))
    assert len(str(caught.value)) < 800 and "\n" not in str(caught.value)
    forced = xg.from_torch(ByValue(), torch.ones(2, 6), exporter="torchscript")
    assert "frozen as in the example" in forced.notes[-1]


def test_an_operator_without_a_counterpart_is_named():
    class Decomposed(nn.Module):
        def forward(self, x):
            return torch.linalg.svd(x)[1]

    with pytest.raises(ExportError, match="svd") as caught:
        xg.from_torch(Decomposed(), torch.randn(2, 6, 6))
    assert len(str(caught.value)) < 800


def test_a_failed_export_leaves_the_module_as_it_was():
    module = ByValue().train()
    with pytest.raises(ExportError):
        xg.from_torch(module, torch.randn(2, 6))
    assert module.training and torch.is_grad_enabled()


@pytest.mark.parametrize(
    ("module", "inputs", "options", "error", "words"),
    [
        (nn.Linear(4, 3), torch.zeros(2, 5), {}, InputError, r"does not run.*input \[2, 5\].*mat1"),
        (nn.Linear(4, 3), torch.zeros(2, 4).long(), {}, InputError, "does not run"),
        (Many(), (torch.zeros(2, 5), {"b": torch.zeros(3, 2)}), {}, InputError, 'size of "batch": "a" has 2, "b" has 3'),
        (Many(), (torch.zeros(2, 5), {"b": [torch.zeros(2, 2)]}), {}, UsageError, 'a list for "b"'),
        (nn.Linear(4, 3).half(), torch.zeros(2, 4).half(), {}, UsageError, "float16.*float32"),
        (nn.Linear(4, 3).bfloat16(), torch.zeros(2, 4).bfloat16(), {}, UsageError, "bfloat16.*float32"),
        (nn.Linear(4, 3), (), {}, UsageError, "no tensor"),
        (nn.Linear(4, 3), torch.zeros(2, 4), {"exporter": "best"}, UsageError, "dynamo"),
        (nn.Linear(4, 3), torch.zeros(2, 4), {"input_names": ["a", "b"]}, UsageError, "input_names"),
        (nn.Linear(4, 3), torch.zeros(2, 4), {"output_names": "y"}, UsageError, "output_names"),
        (nn.Linear(4, 3), torch.zeros(2, 4), {"dynamic_shapes": {"x": {0: "n"}}}, UsageError, "inputs are input"),
        (nn.Linear(4, 3), torch.zeros(2, 4), {"dynamic_shapes": {"input": {7: "n"}}}, UsageError, "axis 7"),
        (nn.Linear(4, 3), torch.zeros(2, 4), {"preprocess": "mean=a"}, InputError, "mean"),
        (nn.Linear(4, 3), torch.zeros(2, 4), {"labels": {1: "a"}}, UsageError, "from 0 on"),
        (nn.Linear(4, 3), torch.zeros(2, 4), {"labels": "abc"}, UsageError, "single text"),
        (lambda x: x, torch.zeros(2, 4), {}, UsageError, "from_callable"),
    ],
)
def test_what_does_not_fit_is_said(module, inputs, options, error, words):
    with pytest.raises(error, match=words):
        xg.from_torch(module, inputs, **options)


def test_a_fixed_batch_is_the_user_s_choice():
    class Fixed(nn.Module):
        def forward(self, x):
            return x.reshape(2, 8) @ torch.ones(8, 3)

    model = xg.from_torch(Fixed(), torch.zeros(2, 8), dynamic_shapes={"x": None})
    assert model.inputs["x"][1] == ["2", "8"]
    with pytest.raises(InputError, match="x"):
        model.explain(torch.zeros(3, 8), method="gradient")
