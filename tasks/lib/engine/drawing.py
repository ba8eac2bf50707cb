"""A task graph as text: DOT for Graphviz, and SVG that any browser shows."""

from __future__ import annotations

from xml.sax.saxutils import escape, quoteattr

COLOURS = {"products": "#cfe8cf", "parts": "#d5e3f5", "sources": "#eeeeee", "tests": "#f7e6c4"}
BOX_HEIGHT = 26
CHAR_WIDTH = 7.4
GAP = 14
LAYER_GAP = 70

Edges = dict[str, list[str]]


def to_dot(edges: Edges, groups: dict[str, str]) -> str:
    """Graphviz' DOT language; `edges` maps each task to those that it needs."""
    lines = ["digraph tasks {", "  rankdir=LR;", '  node [shape=box, style=filled, fontname="sans-serif"];']
    for name in edges:
        lines.append(f'  "{name}" [fillcolor="{COLOURS.get(groups[name], "white")}"];')
    lines += [f'  "{needed}" -> "{name}";' for name, needs in edges.items() for needed in needs]
    return "\n".join([*lines, "}", ""])


def layers(edges: Edges) -> list[list[str]]:
    """Tasks by the length of the longest chain below them, each layer ordered by its neighbours' places."""
    depth: dict[str, int] = {}

    def depth_of(name: str) -> int:
        if name not in depth:
            depth[name] = max((depth_of(needed) + 1 for needed in edges[name]), default=0)
        return depth[name]

    columns: list[list[str]] = [[] for _ in range(max(map(depth_of, edges), default=-1) + 1)]
    for name in edges:
        columns[depth[name]].append(name)
    for column, names in enumerate(columns[1:], 1):
        places = {name: place for earlier in columns[:column] for place, name in enumerate(earlier)}
        names.sort(key=lambda name: sum(places[needed] for needed in edges[name]) / max(1, len(edges[name])))
    return columns


def to_svg(edges: Edges, groups: dict[str, str]) -> str:
    """Layers from left to right, an arrow from each task to those that need it."""
    boxes: dict[str, tuple[float, float, float]] = {}
    left = float(GAP)
    height = 0.0
    for column in layers(edges):
        width = max(len(name) for name in column) * CHAR_WIDTH + GAP
        for place, name in enumerate(column):
            boxes[name] = (left, GAP + place * (BOX_HEIGHT + GAP), width)
        height = max(height, GAP + len(column) * (BOX_HEIGHT + GAP))
        left += width + LAYER_GAP
    parts = [f'<svg xmlns="http://www.w3.org/2000/svg" width="{left:.0f}" height="{height:.0f}"'
             ' font-family="monospace" font-size="12">',
             '<defs><marker id="a" markerWidth="8" markerHeight="6" refX="8" refY="3" orient="auto">'
             '<path d="M0,0 L8,3 L0,6 z" fill="#666"/></marker></defs>']  # fmt: skip
    parts += [_arrow(boxes[needed], boxes[name]) for name, needs in edges.items() for needed in needs]
    parts += [_box(name, boxes[name], COLOURS.get(groups[name], "#ffffff")) for name in edges]
    return "\n".join([*parts, "</svg>", ""])


def _arrow(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    x1, y1 = start[0] + start[2], start[1] + BOX_HEIGHT / 2
    x2, y2 = end[0], end[1] + BOX_HEIGHT / 2
    bend = (x2 - x1) / 2
    path = f"M{x1:.1f},{y1:.1f} C{x1 + bend:.1f},{y1:.1f} {x2 - bend:.1f},{y2:.1f} {x2:.1f},{y2:.1f}"
    return f'<path d="{path}" fill="none" stroke="#666" marker-end="url(#a)"/>'


def _box(name: str, box: tuple[float, float, float], colour: str) -> str:
    x, y, width = box
    place = f'x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{BOX_HEIGHT}"'
    shape = f'<rect {place} rx="4" fill={quoteattr(colour)} stroke="#666"/>'
    return f'{shape}<text x="{x + GAP / 2:.1f}" y="{y + 17:.1f}">{escape(name)}</text>'
