"""Every figure can be printed: its size, its letters, nothing on top of another, one colour an estimator."""

from importlib.metadata import entry_points
from itertools import combinations

import pandas as pd
import pytest
from matplotlib import rcParams
from matplotlib.colors import to_hex
from matplotlib.text import Text
from matplotlib.transforms import Bbox
from simbench_figures.palette import STYLES
from simbench_figures.paper import DOUBLE, SINGLE, SMALLEST_LETTERS

from simbench.errors import BadInput
from simbench.study.figures import find, names

TALLEST = 9.2  # inches: a page
TOUCHING = 1.5  # points by which boxes of letters may run into one another: they hold white space


def letters(figure) -> dict[Text, Bbox]:
    """Visible text, each with its box in points; ticks outside a panel's range are not drawn."""
    of_ticks, shown = set(), set()
    for axis in figure.axes:
        for ruler, limits in ((axis.xaxis, axis.get_xlim()), (axis.yaxis, axis.get_ylim())):
            of_ticks |= {label for tick in ruler.majorTicks for label in (tick.label1, tick.label2)}
            low, high = sorted(limits)
            for place, tick in zip(ruler.get_majorticklocs(), ruler.get_major_ticks(), strict=True):
                shown |= {tick.label1, tick.label2} if low <= place <= high else set()
    found = {}
    for text in figure.findobj(Text):
        hidden = text.axes is not None and not text.axes.get_visible()
        if hidden or not text.get_visible() or not text.get_text().strip() or text in of_ticks - shown:
            continue
        box = Text.get_window_extent(text)  # of an annotation without its arrow
        found[text] = Bbox(box.get_points() * 72 / figure.dpi)
    return found


@pytest.mark.parametrize("name", names())
def test_it_has_the_size_of_a_column_or_two_and_legible_letters(name, drawn):
    figure = drawn(name)
    width, height = figure.get_size_inches()
    assert width in (SINGLE, DOUBLE) and height <= TALLEST
    small = {text.get_text(): text.get_fontsize() for text in letters(figure)}
    assert min(small.values()) >= SMALLEST_LETTERS, min(small, key=lambda text: small[text])
    # numbers in mathematical setting would have exponents that are smaller still
    assert not [text for text in small if "$" in text]


@pytest.mark.parametrize("name", names())
def test_no_letters_lie_on_others_or_off_the_page(name, drawn):
    figure = drawn(name)
    boxes = letters(figure)
    width, height = 72 * figure.get_size_inches()
    for text, box in boxes.items():
        inside = box.x0 > -TOUCHING and box.y0 > -TOUCHING
        inside = inside and box.x1 < width + TOUCHING and box.y1 < height + TOUCHING
        assert inside, f"off the page: {text.get_text()!r}"
    for (first, one), (second, other) in combinations(boxes.items(), 2):
        across = min(one.x1, other.x1) - max(one.x0, other.x0)
        up = min(one.y1, other.y1) - max(one.y0, other.y0)
        assert min(across, up) < TOUCHING, f"{first.get_text()!r} lies on {second.get_text()!r}"


@pytest.mark.parametrize("name", names())
def test_an_estimator_has_its_colour_in_every_figure(name, drawn, table_of):
    table = table_of(name)
    if name in ("groups", "throughput", "identification", "leaks"):
        pytest.skip("no estimators have colours there")
    figure = drawn(name)
    shown = {
        to_hex(line.get_color()) for axis in figure.axes for line in axis.lines if line.get_marker() != "None"
    }
    estimators = [who for who in table.estimator.unique() if who in STYLES]
    expected = {STYLES[who][0].lower() for who in estimators}
    if name == "efficiency":
        expected.discard(STYLES["oracle"][0])
    assert expected <= shown | {"#000000"} and shown <= expected | {"#888888", "#000000"}


def test_drawing_leaves_the_settings_of_matplotlib_alone(table_of):
    before = dict(rcParams)
    find("risk").module.draw(table_of("risk"))
    assert dict(rcParams) == before


@pytest.mark.parametrize("name", names())
def test_a_table_of_something_else_is_refused_in_one_sentence(name, table_of):
    table = table_of(name)
    if name in ("groups", "throughput"):
        other = table.drop(columns=table.columns[0])
    elif "case" in table:
        other = table.drop(columns="case")
    elif name == "leaks":
        other = table.drop(columns="leak")
    elif name == "reliability":
        other = table.drop(columns="predicted")
    elif name == "value-kl":
        other = table[table.policy != "tilted to KL"]
    else:
        other = table.assign(metric="unheard of")
    with pytest.raises(BadInput) as found:
        find(name).module.draw(other)
    assert str(found.value).count(". ") == 0 and str(found.value).endswith(".")


def test_every_installed_estimator_has_a_style_of_its_own():
    installed = {entry.name for entry in entry_points(group="simbench.estimators")} - {"sklearn"}
    assert installed <= set(STYLES)
    assert len(set(STYLES.values())) == len(STYLES)


def test_a_world_without_a_trait_leaves_its_panel_empty(table_of):
    table = table_of("value-kl")
    plain = table[table.metric != "trait"].assign(world="plain", trait="")
    figure = find("value-kl").module.draw(pd.concat([plain, table], ignore_index=True))
    drawn = {axis.get_title().splitlines()[-1]: axis.axison for axis in figure.axes if axis.get_title()}
    assert [axis.axison for axis in figure.axes].count(False) == 1 and all(drawn.values())
