"""Models of other frameworks, exported to ONNX by the framework's own exporter and opened.

Nothing of a framework is imported before one of these functions is called.
"""

from .keras import from_keras
from .sklearn import from_sklearn
from .tensorflow import from_tensorflow
from .torch import from_torch
from .transformers import from_transformers

__all__ = ["from_keras", "from_sklearn", "from_tensorflow", "from_torch", "from_transformers"]
