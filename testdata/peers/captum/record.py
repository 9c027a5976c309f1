"""Record attributions of captum on the networks of networks.py. README.md describes the files.

    python record.py [NETWORK]...        (every network without arguments)
"""

import copy
import io
import sys
import warnings
from pathlib import Path

import numpy as np
import onnx
import torch
from captum import attr
from networks import NETWORKS, build

HERE = Path(__file__).parent
QUADRATURES = ["gausslegendre", "riemann_left", "riemann_right", "riemann_middle", "riemann_trapezoid"]


def export(module, inputs):
    file = io.BytesIO()
    torch.onnx.export(
        module,
        tuple(inputs.values()),
        file,
        dynamo=False,
        opset_version=17,
        input_names=list(inputs),
        output_names=["logits"],
        dynamic_axes={name: {0: "batch"} for name in [*inputs, "logits"]},
    )
    model = onnx.load_from_string(file.getvalue())
    model.doc_string = ""
    for node in model.graph.node:
        node.doc_string = ""
    return model


def attributions(module, inputs, target, baseline, references):
    """By name of the method, per input. Everything is computed in float64."""
    module = copy.deepcopy(module).double()

    def double(tensors):
        return tuple(x.double() for x in tensors.values())

    xs, base, refs = double(inputs), double(baseline), double(references)

    def run(explainer, **arguments):
        values = explainer.attribute(tuple(x.clone().requires_grad_() for x in xs), target=target, **arguments)
        return values if isinstance(values, tuple) else (values,)

    found = {
        "gradient": run(attr.Saliency(module), abs=False),
        "input-x-gradient": run(attr.InputXGradient(module)),
        "guided-backprop": run(attr.GuidedBackprop(module)),
    }
    for quadrature in QUADRATURES:
        found[f"integrated-gradients/{quadrature}"] = run(
            attr.IntegratedGradients(module), baselines=base, n_steps=50, method=quadrature
        )
    found["integrated-gradients/zeros"] = run(attr.IntegratedGradients(module), n_steps=50)
    # Hooks replace gradients of the modules they know; the rest is the gradient at the input.
    found["deeplift"] = run(attr.DeepLift(copy.deepcopy(module)), baselines=base)
    found["deeplift/zeros"] = run(attr.DeepLift(copy.deepcopy(module)))
    found["deep-shap"] = run(attr.DeepLiftShap(copy.deepcopy(module)), baselines=refs)
    scores = [module(*double(inputs)), module(*double(baseline))]
    scores = [s.expand(len(target), -1).gather(1, target[:, None])[:, 0] for s in scores]
    return found, scores


def record(name):
    module, inputs, target, baseline, references = build(name)
    model = export(module, inputs)
    found, scores = attributions(module, inputs, target, baseline, references)
    arrays = {"target": target, "score": scores[0], "score/baseline": scores[1]}
    for kind, tensors in [("input", inputs), ("baseline", baseline), ("references", references)]:
        arrays |= {f"{kind}/{key}": x for key, x in tensors.items()}
    for method, values in found.items():
        arrays |= {f"{method}/{key}": x for key, x in zip(inputs, values)}
    arrays = {k: (x.float() if x.is_floating_point() else x).detach().numpy() for k, x in arrays.items()}
    folder = HERE / name
    folder.mkdir(exist_ok=True)
    onnx.save(model, folder / "model.onnx")
    np.savez(folder / "case.npz", **arrays)
    gap = sum(x.flatten(1).sum(1) for x in found["deeplift"]) - (scores[0] - scores[1])
    size = sum(f.stat().st_size for f in folder.iterdir())
    print(f"{name}: {size} bytes; captum's DeepLift misses its total by {gap.abs().max():.2g}")


def main():
    warnings.filterwarnings("ignore")
    for name in sys.argv[1:] or NETWORKS:
        record(name)


if __name__ == "__main__":
    main()
