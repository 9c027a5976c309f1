"""What can go wrong. Every message says what is wrong, and what to do; nodes are named as in the user's model."""


class ExegesisError(Exception):
    """Any error of this package."""


class UsageError(ExegesisError, ValueError):
    """A call that asks for something that does not exist, or that is not built."""


class InputError(ExegesisError, ValueError):
    """A model or an input that can't be read, or that does not fit."""


class NoRuleError(ExegesisError, NotImplementedError):
    """The model runs, but the method has no rule for a node; the message names all such nodes."""


class ResourcesError(ExegesisError, MemoryError):
    """Not enough memory or time."""


class ExportError(InputError):
    """A module that its framework could not export; the message gives the exporter's reason."""
