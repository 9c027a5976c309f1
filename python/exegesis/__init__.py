"""Explains deep models: a model and an input in; attributions, evidence that they can be trusted, and pictures out.

>>> import exegesis as xg
>>> model = xg.load()                                      # the built-in classifier of pictures
>>> import numpy as np
>>> explanation = model.explain(np.zeros((1, 1, 28, 28), "float32"), method="gradient")
>>> explanation.values.shape
(1, 1, 28, 28)
"""

from . import errors
from ._core import __version__
from ._callable import from_callable
from ._catalogue import methods, metrics
from ._compare import compare, evaluate
from ._comparison import Comparison
from ._explanation import Explanation
from ._model import Model, load
from ._runtimes import runtimes
from ._saved import load_explanation
from .export import from_keras, from_sklearn, from_tensorflow, from_torch, from_transformers

__all__ = [
    "Comparison",
    "Explanation",
    "Model",
    "__version__",
    "compare",
    "errors",
    "evaluate",
    "from_callable",
    "from_keras",
    "from_sklearn",
    "from_tensorflow",
    "from_torch",
    "from_transformers",
    "load",
    "load_explanation",
    "methods",
    "metrics",
    "runtimes",
]
