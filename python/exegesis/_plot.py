"""Drawings with matplotlib: what suits the input is chosen, methods stand side by side."""

from __future__ import annotations

import json
from typing import Any

import numpy as np

from ._frames import needed
from ._plot_text import draw_plane, draw_tokens
from .errors import UsageError

PERCENTILE = 99.5
"""Percentile of |value| at the end of the colours, so that single cells do not hide the rest."""
CHANNELS = 6
"""Most channels of a series that are drawn."""


def plot(
    explanation: Any,
    row: int,
    *,
    figsize: "tuple[float, float] | None" = None,
    top: int = 15,
    alpha: float = 0.85,
    ax: Any = None,
) -> Any:
    """The figure of a row; see :meth:`exegesis.Explanation.plot`."""
    plt = needed("matplotlib.pyplot", "matplotlib", "plot")
    drawing = json.loads(explanation._core.drawing(row))
    every = list(explanation._core.methods)
    methods = [drawing["methods"][every.index(name)] for name in explanation.methods]
    panels = [
        panel
        for place, given in enumerate(drawing["inputs"])
        for panel in _panels(explanation, row, given, methods, place, (top, alpha))
    ]
    if ax is not None:
        drawn = [panel for panel in panels if panel.method is not None]
        if len(drawn) != 1:
            raise UsageError(f"there are {len(drawn)} drawings, and `ax` is one place. Choose a method with e[name], or leave it out.")
        drawn[0].draw(ax)
        return ax.figure
    return _figure(plt, panels, drawing, figsize)


class _Panel:
    """One drawing: how large it is, in inches, and what draws it."""

    def __init__(self, draw: Any, width: float, height: float, method: "str | None", line: int) -> None:
        self.draw, self.width, self.height, self.method, self.line = draw, width, height, method, line


def _panels(
    explanation: Any, row: int, given: "dict[str, Any]", methods: "list[Any]", place: int, how: "tuple[int, float]"
) -> "list[_Panel]":
    view = given["view"]
    kind, content = next(iter(view.items()))
    top, alpha = how
    panels = []
    if kind == "Image":
        image = np.array(content["pixels"], np.uint8).reshape(content["height"], content["width"], content["channels"])
        panels.append(_Panel(lambda ax: _picture(ax, image), 2.9, 2.9 * _ratio(image), None, place))
    for count, method in enumerate(methods):
        if place >= len(method["attributions"]):
            continue
        found = method["attributions"][place]
        values = np.array(found["values"], float).reshape(found["shape"])
        title = method["name"] if len(explanation._core.methods) > 1 or not method["brief"] else f"{method['name']} ({method['brief']})"
        signed = method["polarity"] == "Signed"

        def add(draw: Any, width: float, height: float, line: int, title: str = title) -> None:
            def titled(ax: Any) -> None:
                ax.set_title(title, fontsize=10)
                draw(ax)

            panels.append(_Panel(titled, width, height, title, line))

        if kind == "Image":
            flat = _places(values, found["layout"])
            add(lambda ax, v=flat, s=signed: _overlay(ax, image, v, s, alpha), 2.9, 2.9 * _ratio(image), place)
        elif kind in ("Text", "Tokens"):
            per_token = values.reshape(values.shape[0], -1).sum(axis=1)
            line = 100 * place + 10 * count
            lines = max(1.0, sum(len(name) for name in _names(kind, content)) / 70)
            add(lambda ax, v=per_token, s=signed: draw_tokens(ax, kind, content, v, s), 8.5, 0.45 + 0.36 * lines, line)
            if method.get("plane"):
                add(lambda ax, m=method: draw_plane(ax, m["plane"]), 8.5, 4.2, line + 1, "value and importance")
        elif kind == "Columns":
            error = explanation[explanation.methods[count]]._keyed("standard_error").get(given["name"])
            own = None if error is None else error[row].ravel()
            height = 0.9 + 0.27 * min(top, values.size)
            add(lambda ax, v=values.ravel(), o=own, s=signed: _bars(ax, content, v, o, s, top), 4.6, height, place)
        elif kind == "Series":
            add(lambda ax, v=values, s=signed: _series(ax, content, v, s), 8.5, 1.1 + 1.1 * min(len(content["channels"]), CHANNELS), 100 * place + count)
        else:
            add(lambda ax, v=values, s=signed: _strip(ax, v, s), 8.5, 1.2, 100 * place + count)
    return panels


def _names(kind: str, content: Any) -> "list[str]":
    if kind == "Text":
        return [token["name"] for token in content["tokens"]]
    return [str(name) for name in (content["texts"] or content["ids"])]


def _figure(plt: Any, panels: "list[_Panel]", drawing: "dict[str, Any]", figsize: Any) -> Any:
    lines: "list[list[_Panel]]" = []
    for number in sorted({panel.line for panel in panels}):
        own = [panel for panel in panels if panel.line == number]
        lines += [own[start : start + 4] for start in range(0, len(own), 4)]
    heights = [max(panel.height for panel in line) for line in lines]
    width = max(sum(panel.width for panel in line) for line in lines)
    figure = plt.figure(figsize=figsize or (width, sum(heights) + 0.5), layout="constrained")
    rows = figure.subfigures(len(lines), 1, height_ratios=heights, squeeze=False)[:, 0] if len(lines) > 1 else [figure]
    for place, line in zip(rows, lines):
        ratios = [panel.width for panel in line]
        axes = place.subplots(1, len(line), width_ratios=ratios, squeeze=False)[0]
        for panel, ax in zip(line, axes):
            panel.draw(ax)
    figure.suptitle(_headline(drawing), fontsize=11)
    return figure


def _headline(drawing: "dict[str, Any]") -> str:
    prediction = drawing["prediction"]
    best = prediction["top"][0] if prediction["top"] else None
    if best is None:
        return f"explained: {prediction['target']}"
    name = f'"{best["label"]}"' if best["label"] else f"class {best['index']}"
    share = "" if best["probability"] is None else f" ({100 * best['probability']:.1f} %)"
    same = prediction["target_index"] == best["index"]
    return f"predicted: {name}{share}" + ("" if same else f"; explained: {prediction['target']}")


def scale_of(values: Any) -> float:
    """The value at the end of the colours; never 0."""
    amount = np.abs(values[np.isfinite(values)])
    if amount.size == 0:
        return 1.0
    end = float(np.percentile(amount, PERCENTILE))
    return end or float(amount.max()) or 1.0


def colours(signed: bool) -> Any:
    """Red speaks for the target and blue against it; one colour where there is no sign."""
    matplotlib = needed("matplotlib", "matplotlib", "plot")
    return matplotlib.colormaps["RdBu_r" if signed else "Reds"]


def _ratio(image: Any) -> float:
    return float(np.clip(image.shape[0] / max(image.shape[1], 1), 0.4, 2.0))


def _places(values: Any, layout: str) -> Any:
    """A map `[height, width]`: channels are summed."""
    if values.ndim == 2:
        return values
    if values.ndim == 3:
        return values.sum(axis=2 if layout == "ChannelsLast" else 0)
    return values.reshape(-1, values.shape[-1])


def _plain(ax: Any) -> None:
    ax.set_xticks([])
    ax.set_yticks([])
    for spine in ax.spines.values():
        spine.set_visible(False)


def _picture(ax: Any, image: Any) -> None:
    ax.imshow(image[..., 0] if image.shape[2] == 1 else image, cmap="gray", vmin=0, vmax=255)
    ax.set_title("input", fontsize=10)
    _plain(ax)


def _overlay(ax: Any, image: Any, values: Any, signed: bool, alpha: float) -> None:
    """The map over a pale grey picture: the stronger a cell, the less of the picture shows."""
    grey = image.mean(axis=2)
    ax.imshow(255 - (255 - grey) * 0.45, cmap="gray", vmin=0, vmax=255, extent=(0, 1, 0, 1), aspect="auto")
    end = scale_of(values)
    share = np.clip(values / end, -1, 1)
    place = (share + 1) / 2 if signed else np.clip(share, 0, 1)
    coloured = colours(signed)(place)
    coloured[..., 3] = alpha * np.abs(share) ** 0.7
    ax.imshow(coloured, extent=(0, 1, 0, 1), aspect="auto", interpolation="nearest" if max(values.shape) < 64 else "antialiased")
    ax.set_box_aspect(image.shape[0] / max(image.shape[1], 1))
    _plain(ax)
    _legend(ax, end, signed)


def _legend(ax: Any, end: float, signed: bool) -> None:
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    bar = ax.figure.colorbar(
        ScalarMappable(Normalize(-end if signed else 0, end), colours(signed)),
        ax=ax,
        orientation="horizontal",
        shrink=0.85,
        aspect=30,
        pad=0.02,
    )
    bar.outline.set_visible(False)
    bar.set_ticks([-end, 0, end] if signed else [0, end])
    texts = [f"{-end:.2g}", "0", f"{end:.2g}"] if signed else ["0", f"{end:.2g}"]
    bar.set_ticklabels(texts, fontsize=7)
    bar.ax.tick_params(length=0)


def _bars(ax: Any, content: "dict[str, Any]", values: Any, error: Any, signed: bool, top: int) -> None:
    order = np.argsort(-np.abs(values), kind="stable")[:top][::-1]
    paint = colours(signed)
    shades = [paint(0.86) if value >= 0 else paint(0.14) for value in values[order]]
    bars = None if error is None else error[order]
    ax.barh(np.arange(len(order)), values[order], color=shades, xerr=bars, error_kw={"elinewidth": 0.8, "ecolor": "#555"})
    names = [f"{_short(content['names'][place])} = {content['values'][place]}" for place in order]
    ax.set_yticks(np.arange(len(order)), names, fontsize=8)
    ax.axvline(0, color="#444", linewidth=0.8)
    ax.tick_params(axis="x", labelsize=8)
    ax.margins(y=0.01)
    for side in ("top", "right", "left"):
        ax.spines[side].set_visible(False)
    ax.tick_params(axis="y", length=0)
    hidden = values.size - len(order)
    if hidden:
        ax.set_xlabel(f"{hidden} more column(s): {values[np.setdiff1d(np.arange(values.size), order)].sum():+.3g} together", fontsize=8)


def _short(text: str, length: int = 28) -> str:
    return text if len(text) <= length else text[: length - 1] + "…"


def _series(ax: Any, content: "dict[str, Any]", values: Any, signed: bool) -> None:
    """Curves one below the other, coloured by what each moment says."""
    names, length = content["channels"], content["length"]
    curves = np.array(content["values"], float).reshape(len(names), length)
    if values.ndim == 2 and values.shape == (length, len(names)) and len(names) != length:
        values = values.T
    values = values.reshape(-1, length) if values.size % length == 0 else np.zeros((1, length))
    values = np.broadcast_to(values, curves.shape) if values.shape[0] == 1 else values
    end = scale_of(values)
    shown = min(len(names), CHANNELS)
    for channel in range(shown):
        curve = curves[channel]
        low, high = float(curve.min()), float(curve.max())
        height = (high - low) or 1.0
        base = shown - 1 - channel
        # Each curve has a band of its own of height 1, with a margin.
        line = base + 0.1 + 0.8 * (curve - low) / height
        share = np.clip(values[channel] / end, -1, 1)
        place = ((share + 1) / 2 if signed else np.clip(share, 0, 1))[None, :]
        tinted = colours(signed)(place)
        tinted[..., 3] = 0.9 * np.abs(share) ** 0.7
        ax.imshow(tinted, extent=(-0.5, length - 0.5, base, base + 1), aspect="auto", interpolation="nearest", zorder=1)
        ax.plot(np.arange(length), line, color="#222", linewidth=1.1, zorder=2)
    ax.set_ylim(0, shown)
    ax.set_xlim(-0.5, length - 0.5)
    ax.set_yticks([shown - 0.5 - channel for channel in range(shown)], [_short(name, 14) for name in names[:shown]], fontsize=8)
    ax.tick_params(axis="both", labelsize=8, length=2)
    for spine in ax.spines.values():
        spine.set_color("#ccc")
    more = "" if shown == len(names) else f"; {len(names) - shown} more channel(s)"
    ax.set_xlabel(f"step; colours end at {end:.2g}{more}", fontsize=8)


def _strip(ax: Any, values: Any, signed: bool) -> None:
    flat = values.reshape(values.shape[0], -1) if values.ndim > 1 else values[None, :]
    end = scale_of(flat)
    ax.imshow(flat, cmap=colours(signed), vmin=-end if signed else 0, vmax=end, aspect="auto", interpolation="nearest")
    ax.set_yticks([])
    ax.tick_params(labelsize=8)
    ax.set_xlabel(f"cells; colours end at {end:.2g}", fontsize=8)
