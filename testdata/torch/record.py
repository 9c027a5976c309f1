"""Record small PyTorch networks as ONNX files together with the gradients that autograd computes.

    python record.py [NETWORK]...        (every network without arguments)

Writes `<network>/legacy.onnx`, `<network>/dynamo.onnx` and `<network>/case.npz` beside this file; README.md describes
them. Weights and inputs come from a seed per network, so that a network can be recorded again alone.
"""

from __future__ import annotations

import copy
import io
import logging
import sys
import warnings
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import torch
from torch import Tensor

from networks import BUILDERS, Network
from networks.invariance import WAYS as INVARIANCE
from networks.invariance import Invariance
from networks.mixture import WAYS as MIXTURE
from networks.mixture import Mixture

HERE = Path(__file__).parent
TOLERANCE = 1e-4
LARGEST_FILE = 250_000


def reference(network: Network) -> dict[str, np.ndarray]:
    """Output, target and gradients, computed in float64 from the float32 weights and inputs."""
    module = copy.deepcopy(network.module).double()
    inputs = {name: x.double().requires_grad_() if x.is_floating_point() else x for name, x in network.inputs.items()}
    explained = {name: x for name, x in inputs.items() if x.requires_grad}
    paths = {part: path for path, part in network.module.named_modules()}
    for name, table in network.embeddings().items():

        def detach_embedding(_module, _arguments, embedded, name=name):
            explained[name] = embedded.detach().requires_grad_()
            return explained[name]

        module.get_submodule(paths[table]).register_forward_hook(detach_embedding)

    output = module(*inputs.values())
    ends_in_probability = hasattr(module, "logits")
    logits = module.logits(*inputs.values()) if ends_in_probability else output
    scalar = explained_scalar(logits, network)
    gradients = torch.autograd.grad(scalar, list(explained.values()))

    arrays = {f"input/{name}": x for name, x in network.inputs.items()}
    arrays[f"output/{network.output}"] = output
    if network.seed is None:
        arrays["target"] = network.target
    else:
        arrays[f"seed/{network.output}"] = network.seed
    if ends_in_probability:
        arrays["logits"] = logits
        probability = explained_scalar(module(*inputs.values()), network)
        for name, gradient in zip(explained, torch.autograd.grad(probability, list(explained.values()))):
            arrays[f"probability-gradient/{name}"] = gradient
    for (name, x), gradient in zip(explained.items(), gradients):
        transposed = name in network.embeddings() and x.shape[:2] != inputs[name].shape
        x, gradient = (x.transpose(0, 1), gradient.transpose(0, 1)) if transposed else (x, gradient)
        arrays[f"gradient/{name}"] = gradient
        if name in network.embeddings():
            arrays[f"input-x-gradient/{name}"] = (x * gradient).sum(-1)
    return {key: stored(array) for key, array in arrays.items()}


def explained_scalar(logits: Tensor, network: Network) -> Tensor:
    if network.seed is not None:
        return (network.seed.double() * logits).sum()
    if logits.dim() == 3:
        rows = torch.arange(len(logits))
        logits = logits[:, -1] if network.positions is None else logits[rows, network.positions]
    return logits.gather(1, network.target[:, None]).sum()


def stored(array: Tensor) -> np.ndarray:
    array = array.detach()
    return (array.float() if array.is_floating_point() else array).numpy()


def export_legacy(network: Network, opset: int = 17) -> onnx.ModelProto:
    """The TorchScript exporter: GELU and attention come out as elementary operators, LayerNorm too before opset 17."""
    file = io.BytesIO()
    torch.onnx.export(
        network.module,
        tuple(network.inputs.values()),
        file,
        dynamo=False,
        opset_version=opset,
        input_names=list(network.inputs),
        output_names=[network.output],
        dynamic_axes={name: network.symbolic(name) for name in network.inputs}
        | {network.output: network.output_axes},
    )
    return onnx.load_from_string(file.getvalue())


def export_dynamo(network: Network) -> onnx.ModelProto:
    """The `torch.export` exporter at its default opset."""
    names = {symbol for name in network.inputs for symbol in network.symbolic(name).values()}
    dimensions = {symbol: torch.export.Dim(symbol, min=2) for symbol in names}
    program = torch.onnx.export(
        network.module,
        tuple(network.inputs.values()),
        dynamo=True,
        verbose=False,
        input_names=list(network.inputs),
        output_names=[network.output],
        dynamic_shapes=tuple(
            {axis: dimensions[symbol] for axis, symbol in network.symbolic(name).items()} for name in network.inputs
        ),
        external_data=False,
    )
    return program.model_proto


EXPORTERS = {
    "legacy": export_legacy,
    "dynamo": export_dynamo,
    "legacy-opset14": lambda network: export_legacy(network, opset=14),
}


def without_notes(model: onnx.ModelProto) -> onnx.ModelProto:
    """Drop doc strings and metadata (stack traces, paths): they are larger than the networks."""
    model.doc_string = ""
    del model.metadata_props[:]
    graphs = [model.graph]
    while graphs:
        graph = graphs.pop()
        for item in [graph, *graph.node, *graph.input, *graph.output, *graph.value_info, *graph.initializer]:
            item.doc_string = ""
            del item.metadata_props[:]
        for node in graph.node:
            graphs.extend(a.g for a in node.attribute if a.type == onnx.AttributeProto.GRAPH)
    onnx.checker.check_model(model, full_check=True)
    return model


def check(model: onnx.ModelProto, network: Network, arrays: dict[str, np.ndarray]) -> float:
    """Largest relative difference between ONNX Runtime and torch; raises when it is not small.

    Besides the recorded inputs, single rows and (where the axis is symbolic) sequences without their last step are run:
    an exporter may have fixed a size that it was told to keep symbolic.
    """
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    inputs = {i.name: arrays[f"input/{i.name}"] for i in session.get_inputs()}
    wanted = arrays[f"output/{network.output}"]
    cases = [(inputs, wanted)]
    for row in range(len(wanted)):
        cases.append(({name: x[row : row + 1] for name, x in inputs.items()}, wanted[row : row + 1]))
    if 1 in network.axes:
        shorter = {name: x[:, :-1] for name, x in inputs.items()}
        cases.append((shorter, stored(network.module(*map(torch.from_numpy, shorter.values())))))
    worst = 0.0
    for feeds, expected in cases:
        [got] = session.run([network.output], feeds)
        difference = float(np.abs(got - expected).max() / max(1.0, np.abs(expected).max()))
        if got.shape != expected.shape or not difference < TOLERANCE:
            shapes = {name: x.shape for name, x in feeds.items()}
            raise ValueError(f"{network.output} differs by {difference:.2g} from torch for inputs {shapes}")
        worst = max(worst, difference)
    return worst


def save_model(model: onnx.ModelProto, path: Path, network: Network, arrays: dict[str, np.ndarray]) -> None:
    difference = check(without_notes(model), network, arrays)
    data = model.SerializeToString()
    if len(data) > LARGEST_FILE:
        raise ValueError(f"{path} would have {len(data)} bytes")
    path.write_bytes(data)
    print(f"  {path.name}: {len(data)} bytes, {len(model.graph.node)} nodes, differs by {difference:.1g} from torch")


def save_case(folder: Path, arrays: dict[str, np.ndarray]) -> None:
    np.savez(folder / "case.npz", **arrays)
    for key, array in arrays.items():
        if "gradient" in key:
            print(f"  {key}: {array.shape}, largest {np.abs(array).max():.3g}, zero {np.mean(array == 0):.0%}")


def record(name: str) -> None:
    torch.manual_seed(zlib.crc32(name.encode()))
    network = BUILDERS[name]()
    arrays = reference(network)
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    print(name)
    for exporter in network.exporters:
        save_model(EXPORTERS[exporter](network), folder / f"{exporter}.onnx", network, arrays)
    save_case(folder, arrays)


@dataclass
class Family:
    """One function written in several ways: a file per way and exporter, one shared case."""

    ways: tuple[str, ...]
    build: Callable[[], tuple[Callable[[str], torch.nn.Module], dict[str, Tensor], Tensor]]
    """Draws weights; returns the module of a way, inputs and target."""
    files: dict[str, str]
    """What is appended to the name of the way, and the exporter."""


def invariance():
    weights = Invariance.weights()
    return lambda way: Invariance(way, weights), {"features": torch.randn(3, 6)}, torch.tensor([0, 2, 1])


def mixture(shared: bool):
    weights = Mixture.weights()
    return lambda way: Mixture(way, weights, shared), {"features": torch.randn(4, 6)}, torch.tensor([0, 2, 1, 1])


FAMILIES = {
    "invariance": Family(tuple(INVARIANCE), invariance, {"": "legacy"}),
    "mixture": Family(tuple(MIXTURE), lambda: mixture(shared=False), {"": "legacy"}),
    "mixture_shared": Family(tuple(MIXTURE), lambda: mixture(shared=True), {"-legacy": "legacy", "-dynamo": "dynamo"}),
}


def record_family(name: str) -> None:
    torch.manual_seed(zlib.crc32(name.encode()))
    family = FAMILIES[name]
    build, inputs, target = family.build()
    networks = {way: Network(build(way).eval(), inputs, target=target) for way in family.ways}
    arrays = reference(networks[family.ways[0]])
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    print(name)
    for way, network in networks.items():
        for suffix, exporter in family.files.items():
            save_model(EXPORTERS[exporter](network), folder / f"{way}{suffix}.onnx", network, arrays)
    save_case(folder, arrays)


def main() -> None:
    warnings.filterwarnings("ignore")
    logging.disable(logging.WARNING)
    for name in sys.argv[1:] or [*BUILDERS, *FAMILIES]:
        record_family(name) if name in FAMILIES else record(name)


if __name__ == "__main__":
    main()
