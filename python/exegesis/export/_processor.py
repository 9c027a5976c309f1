"""Image processors of transformers in the words of ``preprocess``."""

from __future__ import annotations

from typing import Any, Mapping

#: Filters by their number in Pillow.
FILTERS = {0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic"}
#: What ``preprocess`` has words for.
KNOWN = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")
#: Switches that do nothing to a picture that is made into one input.
HARMLESS = ("do_reduce_labels",)


def preprocess_text(processor: Any) -> "tuple[str | None, str | None]":
    """What an image processor does to a picture, as ``preprocess`` says it; or why that can't be said.

    Returns
    -------
    tuple
        The text or None, a remark or None.
    """
    other = [
        key
        for key in sorted(dir(processor))
        if key.startswith("do_") and key not in KNOWN + HARMLESS and getattr(processor, key, None) is True
    ]
    if other:
        return None, _remark(processor, other[0])
    try:
        return ",".join(_parts(processor)), None
    except _NotSaid as why:
        return None, _remark(processor, str(why))


class _NotSaid(Exception):
    """There is no word for it."""


def _remark(processor: Any, what: str) -> str:
    return f'"{what}" of {type(processor).__name__} has no word in preprocess: prepare pictures yourself, or give preprocess='


def _parts(processor: Any) -> "list[str]":
    parts = []
    if getattr(processor, "do_resize", False):
        parts += _resize(processor)
    if getattr(processor, "do_center_crop", False):
        crop = _sizes(processor.crop_size)
        parts.append(f"crop={crop}" if isinstance(crop, int) else f"crop={crop[1]}x{crop[0]}")
    if getattr(processor, "rescale_offset", False):
        raise _NotSaid("rescale_offset")
    if getattr(processor, "do_rescale", False):
        parts.append(f"scale={processor.rescale_factor!r}")
    if getattr(processor, "do_normalize", False):
        for key, values in (("mean", processor.image_mean), ("std", processor.image_std)):
            values = values if isinstance(values, (list, tuple)) else [values]
            parts.append(f"{key}={'/'.join(repr(float(value)) for value in values)}")
        if getattr(processor, "include_top", False):
            raise _NotSaid("include_top")
    return parts


def _resize(processor: Any) -> "list[str]":
    size = _sizes(processor.size)
    number = getattr(processor, "resample", None)
    number = int(getattr(number, "value", number) if number is not None else 2)
    if number not in FILTERS:
        raise _NotSaid(f"resample={number}")
    if isinstance(size, int):
        share = getattr(processor, "crop_pct", None)
        if share is not None and size < 384:
            # Of ConvNeXt's kind: a larger picture, of which the middle is taken.
            return [f"resize={int(size / share)}", f"interp={FILTERS[number]}", f"crop={size}"]
        exact = f"{size}x{size}" if share is not None else str(size)
        return [f"resize={exact}", f"interp={FILTERS[number]}"]
    return [f"resize={size[1]}x{size[0]}", f"interp={FILTERS[number]}"]


def _sizes(size: Any) -> "int | tuple[int, int]":
    """The shorter side, or height and width."""
    if isinstance(size, int):
        return size, size
    keys = dict(size) if isinstance(size, Mapping) else {k: getattr(size, k, None) for k in ("height", "width", "shortest_edge")}
    sides: "dict[str, int]" = {key: int(value) for key, value in keys.items() if value is not None}
    if set(sides) == {"height", "width"}:
        return sides["height"], sides["width"]
    if set(sides) == {"shortest_edge"}:
        return sides["shortest_edge"]
    raise _NotSaid(f"size={sides}")
