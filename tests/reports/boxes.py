"""Where the words of a picture stand, as matplotlib draws them: for tests that no words are cut or hidden."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.text import Text


def faults(figure: Figure) -> Iterator[str]:
    """Yield what is wrong with the words of a picture: cut off, over other words, or over a plot that is not theirs."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = canvas.get_width_height()
    boxes = {text: text.get_window_extent(canvas.get_renderer()) for text in words(figure)}
    for text, box in boxes.items():
        if box.x0 < 0 or box.y0 < 0 or box.x1 > width or (box.y1 > height and text is not figure._suptitle):
            yield f"{text.get_text()!r} is cut off"
    for one, other in combinations(boxes, 2):
        if overlap(first_line(one, boxes[one]), first_line(other, boxes[other])):
            yield f"{one.get_text()!r} lies over {other.get_text()!r}"
    for axes in figure.axes:
        own = set(axes.findobj(Text))
        for text in boxes.keys() - own:
            if overlap(first_line(text, boxes[text]), axes.get_window_extent()):
                yield f"{text.get_text()!r} lies over a plot"
        shown = axes.get_legend()
        if shown is not None and overlap(shown.get_window_extent(), axes.get_window_extent()):
            yield f"the legend lies over its plot: {[text.get_text() for text in shown.get_texts()]}"


def words(figure: Figure) -> list[Text]:
    """Return the words that are drawn."""
    hidden = {text for axes in figure.axes for text in out_of_sight(axes)}
    return [t for t in figure.findobj(Text) if t.get_visible() and t.get_text().strip() and t not in hidden]


def first_line(text: Text, box: object) -> object:
    """Return the box of what is written; a title has an empty line below it, for the subtitle."""
    if not text.get_text().endswith("\n"):
        return box
    upper = box.frozen()  # type: ignore[attr-defined]
    upper.y0 = (upper.y0 + upper.y1) / 2
    return upper


def overlap(one, other) -> bool:  # type: ignore[no-untyped-def]
    """Whether two boxes share more than the rounding of a pixel."""
    return min(one.x1, other.x1) - max(one.x0, other.x0) > 1 and min(one.y1, other.y1) - max(one.y0, other.y0) > 1


def out_of_sight(axes: Axes) -> list[Text]:
    """Return the words of the ticks that matplotlib keeps beyond the ends of an axis, and does not draw."""
    found = []
    for axis in (axes.xaxis, axes.yaxis):
        low, high = sorted(axis.get_view_interval())
        ticks = [*axis.get_major_ticks(), *axis.get_minor_ticks()]
        found += [label for tick in ticks if not low <= tick.get_loc() <= high for label in (tick.label1, tick.label2)]
    return found
