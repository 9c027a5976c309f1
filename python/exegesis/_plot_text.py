"""Drawings of texts: tokens on coloured ground, and SLALOM's values against importances."""

from __future__ import annotations

from typing import Any

import numpy as np

SIZE = 12.0
"""Size of letters in points."""
LINE = 24.0
"""Height of a line in points."""


def draw_tokens(ax: Any, kind: str, content: "dict[str, Any]", values: Any, signed: bool) -> None:
    """Tokens in their order, broken into lines; padding is left out, special tokens are grey.

    Parameters
    ----------
    values : array [tokens]
        What each token says; the colours are scaled by the largest.
    """
    from ._plot import colours

    end = float(np.abs(values).max()) or 1.0
    paint = colours(signed)
    # Axes of this kind span the figure, which a part of one knows as its own `figure`.
    whole = getattr(ax.figure, "figure", None) or ax.figure
    width = 72.0 * 0.96 * whole.get_figwidth()
    x, line = 0.0, 0
    for place, (text, gap, is_special) in enumerate(_pieces(kind, content)):
        if text is None:
            continue
        size = SIZE * (0.75 if is_special else 1.0)
        length = _width(text, size) + 5.0
        if x > 0 and x + gap + length > width:
            x, line = 0.0, line + 1
        elif x > 0:
            x += gap
        share = float(np.clip(values[place] / end, -1, 1)) if place < len(values) else 0.0
        ground = paint((share + 1) / 2 if signed else max(share, 0.0))
        dark = 0.299 * ground[0] + 0.587 * ground[1] + 0.114 * ground[2] < 0.55
        letters = "white" if dark else ("#888" if is_special else "#111")
        ax.text(
            x + length / 2,
            -line * LINE,
            text.replace("$", r"\$"),
            fontsize=size,
            color=letters,
            ha="center",
            va="center",
            bbox={"boxstyle": "square,pad=0.18", "facecolor": ground if abs(share) > 0.02 else "none", "edgecolor": "none"},
        )
        x += length
    ax.set_xlim(0, width)
    ax.set_ylim(-(line + 0.6) * LINE, 0.6 * LINE)
    ax.set_axis_off()


def _pieces(kind: str, content: "dict[str, Any]") -> "list[tuple[str | None, float, bool]]":
    """Per token: what is shown (None: nothing), the gap before it in points, whether it is special."""
    if kind != "Text":
        names = content["texts"] or [str(number) for number in content["ids"]]
        return [(str(name).strip() or "␣", 5.0, False) for name in names]
    pieces: "list[tuple[str | None, float, bool]]" = []
    end = None
    for token in content["tokens"]:
        if token["kind"] == "Padding":
            pieces.append((None, 0.0, False))
            continue
        is_special = token["kind"] == "Special"
        # Parts of one word touch.
        touches = not is_special and end is not None and token["start"] == end
        pieces.append((token["name"].strip() or "␣", 1.0 if touches else 6.0, is_special))
        end = None if is_special else token["end"]
    return pieces


def _width(text: str, size: float) -> float:
    """Width in points, which no backend needs to be asked for."""
    from matplotlib.font_manager import FontProperties
    from matplotlib.textpath import TextPath

    path = TextPath((0, 0), text.replace("$", r"\$"), size=size, prop=FontProperties())
    return float(path.get_extents().width) if len(path.vertices) else size / 2


def draw_plane(ax: Any, plane: "dict[str, Any]") -> None:
    """A point per type of token: what it says alone against how much attention it draws; bars are standard errors."""
    from ._plot import colours

    types = plane["types"]
    if not types:
        ax.set_axis_off()
        return
    value = np.array([own["value"] for own in types], float)
    importance = np.array([own["importance"] for own in types], float)
    errors = [np.array([own[key] or 0.0 for own in types], float) for key in ("se_value", "se_importance")]
    end = float(np.abs(value).max()) or 1.0
    paint = colours(True)
    ax.errorbar(value, importance, xerr=errors[0], yerr=errors[1], fmt="none", ecolor="#bbb", elinewidth=0.9, zorder=1)
    shades = [paint((np.clip(v / end, -1, 1) + 1) / 2) for v in value]
    faces = [shade if own["is_identified"] else "white" for shade, own in zip(shades, types)]
    ax.scatter(value, importance, s=70, c=faces, edgecolors="#555", linewidths=0.7, zorder=2)
    for own, x, y in zip(types, value, importance):
        ax.annotate(own["label"].strip(), (x, y), xytext=(6, 5), textcoords="offset points", fontsize=9, zorder=3)
    ax.axvline(0, color="#999", linewidth=0.7, zorder=0)
    ax.axhline(0, color="#999", linewidth=0.7, zorder=0)
    ax.margins(0.12)
    ax.set_xlabel("value: what it says alone (log-odds)", fontsize=9)
    ax.set_ylabel("importance (attention it draws)", fontsize=9)
    ax.tick_params(labelsize=8)
    for side in ("top", "right"):
        ax.spines[side].set_visible(False)
    quality = plane.get("quality")
    if quality:
        ax.set_title(
            f"R² on {quality['held_out']} other texts: SLALOM {quality['slalom']:.3f}, linear {quality['linear']:.3f}",
            fontsize=9,
            loc="right",
        )
