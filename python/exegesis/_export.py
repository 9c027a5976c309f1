"""Models of other frameworks, exported and opened."""

from __future__ import annotations

import os
import tempfile
import warnings
from typing import Any

from . import _core
from ._model import Model
from .errors import ExportError


def from_torch(module: Any, example_inputs: Any, **options: Any) -> Model:
    """A PyTorch module as a model.

    Parameters
    ----------
    module : torch.nn.Module
        Put into evaluation mode.
    example_inputs : tensor or tuple of tensors
        Inputs of usual sizes, batch axis first.
    """
    import torch

    inputs = example_inputs if isinstance(example_inputs, tuple) else (example_inputs,)
    names = [f"input_{i}" for i in range(len(inputs))] if len(inputs) > 1 else ["input"]
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "model.onnx")
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                torch.onnx.export(module.eval(), inputs, path, input_names=names, dynamo=True, verbose=False, **options)
        except Exception as error:
            raise ExportError(f"torch.onnx.export can't export the module: {error}") from error
        return Model(_core.Model.open(path))
