"""A bar chart as SVG, on a logarithmic scale, without any package."""

from __future__ import annotations

from collections.abc import Mapping
from html import escape
from math import floor, log10

WIDTH, LEFT, TOP, BAR, GAP = 860, 190, 50, 14, 14
COLOURS = ("#4269d0", "#efb118", "#ff725c", "#6cc5b0", "#9c6b4e", "#a463f2")


def bar_chart(title: str, rows: Mapping[str, Mapping[str, float]]) -> str:
    """One group of bars a row, one bar a figure; each bar carries its value, all above zero."""
    values = [value for row in rows.values() for value in row.values()]
    low, high = floor(log10(min(values))), floor(log10(max(values))) + 1
    figures = list(dict.fromkeys(name for row in rows.values() for name in row))
    step = (WIDTH - LEFT - 90) / (high - low)
    height = TOP + sum(len(row) * BAR + GAP for row in rows.values()) + 20
    parts = [_text(LEFT, 20, title, "bold"), *_legend(figures), *_grid(low, high, step, height)]
    y: float = TOP
    for name, row in rows.items():
        parts.append(_text(8, y + len(row) * BAR / 2 + 4, name))
        for figure, value in row.items():
            length = max(1.0, (log10(value) - low) * step)
            colour = COLOURS[figures.index(figure) % len(COLOURS)]
            parts.append(_box(LEFT, y, length, BAR - 2, colour))
            parts.append(_text(LEFT + length + 4, y + BAR - 4, f"{value:,.0f}"))
            y += BAR
        y += GAP
    size = f'width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
    style = 'font-family="sans-serif" font-size="11"'
    body = "\n".join(parts)
    return f'<svg xmlns="http://www.w3.org/2000/svg" {size} {style}>\n{body}\n</svg>\n'


def _grid(low: int, high: int, step: float, height: float) -> list[str]:
    parts = []
    for power in range(low, high + 1):
        x = LEFT + (power - low) * step
        parts.append(f'<path d="M{x:.0f} {TOP}V{height - 20}" stroke="#ddd"/>')
        parts.append(_text(x, height - 6, f"{10.0**power:,.6g}"))
    return parts


def _legend(figures: list[str]) -> list[str]:
    parts = []
    for place, figure in enumerate(figures):
        x = LEFT + place * 110
        parts.append(_box(x, 30, 10, 10, COLOURS[place % len(COLOURS)]))
        parts.append(_text(x + 14, 39, figure))
    return parts


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x}" y="{y}" width="{width:.1f}" height="{height}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, weight: str = "normal") -> str:
    return f'<text x="{x:.0f}" y="{y:.0f}" font-weight="{weight}">{escape(text)}</text>'
