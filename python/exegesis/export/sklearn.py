"""Networks of scikit-learn as models."""

from __future__ import annotations

import os
import tempfile
from typing import Any, Sequence

from .._model import Model
from ..errors import ExportError, InputError, UsageError
from ._common import needed, opened, quiet, reason

OPSET = 17
NETWORKS = ("MLPClassifier", "MLPRegressor")


def from_sklearn(
    estimator: Any,
    *,
    columns: "Sequence[str] | None" = None,
    labels: "Sequence[str] | None" = None,
) -> Model:
    """A fitted neural network of scikit-learn, perhaps behind scalers in a pipeline, as a model; by skl2onnx.

    Parameters
    ----------
    estimator : MLPClassifier, MLPRegressor, or a Pipeline that ends in one
        Fitted on numbers.
    columns : sequence of str, optional
        Names of the columns; by default those of the data that it was fitted on.
    labels : sequence of str, optional
        A name per output; by default ``classes_``.

    Returns
    -------
    Model
        Input ``features`` [batch, columns], float32. Output of a classifier: ``probabilities`` [batch, classes] as
        ``predict_proba`` gives them, but of two classes only that of the second, [batch, 1], so that its log-odds are what
        is explained; of several labels at once [batch, labels]. Output of a regressor: ``prediction`` [batch, outputs].

    Raises
    ------
    exegesis.errors.UsageError
        Another kind of estimator; trees and others are for :func:`exegesis.from_callable`.
    exegesis.errors.InputError
        It is not fitted.
    exegesis.errors.ExportError
        skl2onnx can't convert it; its reason is in the message.
    """
    network = estimator.steps[-1][1] if hasattr(estimator, "steps") else estimator
    kinds = {cls.__name__ for cls in type(network).__mro__}
    if not kinds.intersection(NETWORKS):
        asked = "predict_proba" if hasattr(network, "predict_proba") else "predict"
        raise UsageError(
            f"from_sklearn takes {' and '.join(NETWORKS)}, also in a Pipeline, not a {type(network).__name__}. Use "
            f"exegesis.from_callable(estimator.{asked}, ...) and a method that only asks, such as kernel-shap."
        )
    if not hasattr(network, "coefs_"):
        raise InputError(f"the {type(network).__name__} is not fitted. Call fit before.")
    convert = needed("skl2onnx", "sklearn", "from_sklearn").convert_sklearn
    types = needed("skl2onnx.common.data_types", "sklearn", "from_sklearn")
    width = getattr(estimator, "n_features_in_", network.n_features_in_)
    is_classifier = "MLPClassifier" in kinds
    name = f"from_sklearn({type(network).__name__})"
    try:
        with quiet():
            made = convert(
                estimator,
                initial_types=[("features", types.FloatTensorType([None, width]))],
                options={id(estimator): {"zipmap": False}} if is_classifier else None,
                target_opset={"": OPSET, "ai.onnx.ml": 3},
                # This one is of a domain that no other tool needs; written as a difference and a quotient instead.
                black_op={"Scaler"},
            )
    except Exception as error:
        raise ExportError(f"skl2onnx can't convert {name}: {reason(error)}. Use exegesis.from_callable.") from None
    _keep(made.graph, network, is_classifier)
    made.graph.input[0].type.tensor_type.shape.dim[0].dim_param = "batch"
    if labels is None and is_classifier:
        # Of two classes there is one output, the probability of the second.
        classes = network.classes_[1:] if network.n_outputs_ == 1 else network.classes_
        labels = [str(label) for label in classes]
    if columns is None:
        columns = [str(column) for column in getattr(estimator, "feature_names_in_", [])] or None
    elif len(columns) != width:
        raise UsageError(f"columns has {len(columns)} name(s), but the estimator takes {width} columns. Give so many.")
    with tempfile.TemporaryDirectory(prefix="exegesis-") as folder:
        path = os.path.join(folder, "model.onnx")
        with open(path, "wb") as file:
            file.write(made.SerializeToString())
        notes = [f"exported by skl2onnx {made.producer_version}"]
        return opened(path, name, labels=labels, columns=columns, notes=notes)


def _keep(graph: Any, network: Any, is_classifier: bool) -> None:
    """Leaves the one output that is explained, named as it is documented, and the nodes that compute it."""
    kept = "probabilities" if is_classifier else graph.output[0].name
    if is_classifier and network.out_activation_ == "logistic":
        # What skl2onnx calls so has complements beside the probabilities, which hides that they are of log-odds.
        kept = next(node.output[0] for node in graph.node if node.op_type == "Sigmoid" and _is_last(graph, node))
    if not is_classifier:
        # The last step would put several outputs below one another.
        kept = next((node.input[0] for node in graph.node if kept in node.output and node.op_type == "Reshape"), kept)
    shown = "probabilities" if is_classifier else "prediction"
    needed_values, nodes = {kept}, []
    for node in reversed(graph.node):
        if needed_values.intersection(node.output):
            needed_values.update(node.input)
            copy = node.__class__.FromString(node.SerializeToString())
            for names in (copy.input, copy.output):
                for i, value in enumerate(names):
                    names[i] = shown if value == kept else f"{value}_inner" if value == shown else value
            nodes.append(copy)
    constants = [tensor.__class__.FromString(tensor.SerializeToString()) for tensor in graph.initializer]
    port = graph.output[0].__class__.FromString(graph.output[0].SerializeToString())
    port.name = shown
    port.type.tensor_type.elem_type = graph.input[0].type.tensor_type.elem_type
    del port.type.tensor_type.shape.dim[:]
    port.type.tensor_type.shape.dim.add().dim_param = "batch"
    port.type.tensor_type.shape.dim.add().dim_value = network.n_outputs_
    del graph.node[:], graph.output[:], graph.initializer[:]
    graph.node.extend(reversed(nodes))
    graph.initializer.extend(constant for constant in constants if constant.name in needed_values)
    graph.output.append(port)


def _is_last(graph: Any, node: Any) -> bool:
    """False for the sigmoids of hidden layers, which feed a matrix product."""
    return not any(node.output[0] in other.input and other.op_type in ("MatMul", "Gemm") for other in graph.node)
