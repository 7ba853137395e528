"""Charts: nothing is drawn where it is not, and whatever a line is called, the picture is well-formed."""
from __future__ import annotations

from unittest import TestCase
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.plots import HEIGHT, LEFT, TOP, WIDTH, Chart, Points, svg

SVG = "{http://www.w3.org/2000/svg}"
VALUES = st.floats(min_value=1e-3, max_value=1e12)
NAMES = st.text(st.characters(min_codepoint=32, exclude_categories=["Cs", "Cn"]), max_size=10)


def dots(document: str) -> list[tuple[float, float]]:
    circles = ElementTree.fromstring(document).iter(f"{SVG}circle")
    return [(float(each.attrib["cx"]), float(each.attrib["cy"])) for each in circles]


class Charts(TestCase):
    @given(st.dictionaries(NAMES, st.lists(st.tuples(VALUES, VALUES), min_size=1, max_size=5), min_size=1, max_size=4))
    def test_every_point_is_drawn_within_the_axes(self, lines: dict[str, Points]) -> None:
        found = dots(svg([Chart("cost", "size", lines)]))
        self.assertEqual(len(found), sum(map(len, lines.values())))
        for x, y in found:
            self.assertTrue(LEFT <= x <= WIDTH and TOP <= y <= HEIGHT, (x, y))

    def test_ten_times_as_much_is_always_as_far(self) -> None:
        line = [(10.0, 1.0), (100.0, 10.0), (1000.0, 100.0)]
        (x1, y1), (x2, y2), (x3, y3) = dots(svg([Chart("cost", "size", {"put": line})]))
        self.assertAlmostEqual(x2 - x1, x3 - x2, delta=0.2)
        self.assertAlmostEqual(y2 - y1, y3 - y2, delta=0.2)
        self.assertLess(x1, x2)
        self.assertGreater(y1, y2)
