"""A PyTorch module as it predicts, for the time of an export, and afterwards as it was."""

from __future__ import annotations

import collections
import contextlib
from typing import Any, Iterator

_HOOKS = ("_forward_hooks", "_forward_pre_hooks")


@contextlib.contextmanager
def as_it_predicts(torch: Any, module: Any) -> "Iterator[list[str]]":
    """Evaluation mode, no gradients, and no hooks of the caller; yields the names of submodules whose hooks are left out.

    Modes, hooks and the state of random number generators are as before afterwards, whatever happens.

    Hooks that PyTorch itself puts on a module, to compute a weight (``weight_norm``, ``prune``), are part of the module and stay.
    Others, such as those that record activations, would run on symbolic tensors.
    """
    modes = [(part, part.training) for part in module.modules()]
    taken: "list[tuple[Any, str, Any]]" = []
    left_out: "list[str]" = []
    try:
        module.eval()
        for path, part in module.named_modules():
            for kind in _HOOKS:
                hooks = getattr(part, kind, None)
                if not hooks:
                    continue
                kept = collections.OrderedDict((key, hook) for key, hook in hooks.items() if _is_of_torch(hook))
                if len(kept) < len(hooks):
                    taken.append((part, kind, hooks))
                    part.__dict__[kind] = kept
                    if (path or "the module") not in left_out:
                        left_out.append(path or "the module")
        with torch.no_grad(), torch.random.fork_rng(devices=_seeded(torch)):
            yield left_out
    finally:
        for part, kind, hooks in taken:
            part.__dict__[kind] = hooks
        for part, training in modes:
            part.training = training


def _seeded(torch: Any) -> "list[int]":
    return list(range(torch.cuda.device_count())) if torch.cuda.is_initialized() else []


def _is_of_torch(hook: Any) -> bool:
    owner = getattr(hook, "__self__", hook)
    home = getattr(owner, "__module__", None) or type(owner).__module__
    return home == "torch" or home.startswith("torch.")


def devices(module: Any) -> "list[Any]":
    """Devices of parameters and buffers, each once."""
    found: "list[Any]" = []
    for tensor in _tensors(module):
        if tensor.device not in found:
            found.append(tensor.device)
    return found


def float_types(module: Any) -> "list[Any]":
    """Floating element types of parameters and buffers, each once."""
    found: "list[Any]" = []
    for tensor in _tensors(module):
        if tensor.is_floating_point() and tensor.dtype not in found:
            found.append(tensor.dtype)
    return found


def _tensors(module: Any) -> "Iterator[Any]":
    yield from module.parameters()
    yield from module.buffers()
