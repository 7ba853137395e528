"""Charts as SVG: lines over logarithmic axes, nothing else. Made by `growth`; pure.

By hand, because a library for this is larger than all of lafs. The colours follow the reader's light or dark scheme.
"""
from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from html import escape

from attrs import frozen

Points = Sequence[tuple[float, float]]

COLOURS = ("#2a6fb0", "#c8553d", "#3f8f5b", "#8457a8")

WIDTH, HEIGHT = 440, 300
LEFT, RIGHT, TOP, BOTTOM = 64, 16, 40, 48
LEGEND_LINE = 16

STYLE = (
    "text{font:12px system-ui,sans-serif;fill:#333}.title{font-weight:600;font-size:13px}"
    ".grid{stroke:#ddd}.line{fill:none;stroke-width:2}"
    "@media(prefers-color-scheme:dark){text{fill:#ccc}.grid{stroke:#444}}"
)


@frozen
class Chart:
    """Some lines over the same axes: name -> points, all of whose numbers are positive."""

    title: str
    x_label: str
    lines: Mapping[str, Points]


@frozen
class _Axis:
    """A logarithmic scale of `low` to `high` over `start` to `end` of the picture."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)

    @property
    def ticks(self) -> Sequence[float]:
        """Powers of ten; with twos and fives when those are few."""
        powers = range(math.floor(math.log10(self.low)), math.ceil(math.log10(self.high)) + 1)
        steps = (1, 2, 5) if len(powers) <= 4 else (1,)
        marks = [step * 10.0**power for power in powers for step in steps]
        return [each for each in marks if self.low * 0.999 <= each <= self.high * 1.001]


def svg(charts: Sequence[Chart]) -> str:
    """The charts side by side, as a document."""
    height = HEIGHT + LEGEND_LINE * max(len(chart.lines) for chart in charts)
    width = WIDTH * len(charts)
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{width}" height="{height}" viewBox="0 0 {width} {height}">',
        f"<style>{STYLE}</style>",
    ]
    for number, chart in enumerate(charts):
        parts += [f'<g transform="translate({number * WIDTH} 0)">', *_chart(chart), "</g>"]
    return "\n".join([*parts, "</svg>", ""])


def _chart(chart: Chart) -> Sequence[str]:
    xs = [x for points in chart.lines.values() for x, _ in points]
    ys = [y for points in chart.lines.values() for _, y in points]
    across = _Axis(*_bounds(xs, tight=True), LEFT, WIDTH - RIGHT)
    up = _Axis(*_bounds(ys), HEIGHT - BOTTOM, TOP)
    parts = [f'<text class="title" x="{LEFT}" y="20">{escape(chart.title)}</text>']
    for tick in across.ticks:
        x = across.at(tick)
        parts.append(f'<path class="grid" d="M{x:.1f} {TOP}V{HEIGHT - BOTTOM}"/>')
        parts.append(f'<text x="{x:.1f}" y="{HEIGHT - BOTTOM + 18}" text-anchor="middle">{short(tick)}</text>')
    for tick in up.ticks:
        y = up.at(tick)
        parts.append(f'<path class="grid" d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}"/>')
        parts.append(f'<text x="{LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    middle = (LEFT + WIDTH - RIGHT) / 2
    parts.append(f'<text x="{middle}" y="{HEIGHT - 12}" text-anchor="middle">{escape(chart.x_label)}</text>')
    for number, (name, points) in enumerate(chart.lines.items()):
        parts += _line(number, name, [(across.at(x), up.at(y)) for x, y in points])
    return parts


def _line(number: int, name: str, points: Points) -> Sequence[str]:
    colour, y = COLOURS[number % len(COLOURS)], HEIGHT + number * LEGEND_LINE
    path = "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in points)
    dots = "".join(f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3"/>' for x, y in points)
    return (
        f'<path class="line" stroke="{colour}" d="{path}"/>',
        f'<g fill="{colour}">{dots}</g>',
        f'<path class="line" stroke="{colour}" d="M{LEFT} {y}h24"/>',
        f'<text x="{LEFT + 32}" y="{y + 4}">{escape(name)}</text>',
    )


def _bounds(values: Sequence[float], tight: bool = False) -> tuple[float, float]:
    """From a little below the least to a little above the greatest, and never nothing."""
    low, high = min(values), max(values)
    if tight and low < high:
        return low, high
    return low / 1.5, high * 1.5


def short(value: float) -> str:
    """2,000,000 as 2M."""
    for unit, name in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= unit * 0.999:
            return f"{value / unit:g}{name}"
    return f"{value:g}"
