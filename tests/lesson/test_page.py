"""Figures, tables and source: what reaches the page, that it can be read without eyes, and that it never varies."""

import base64
import io
import itertools

import matplotlib
import nbformat
import numpy as np
import pytest
import torch
from matplotlib import pyplot as plt
from nbclient import NotebookClient
from PIL import Image

from llmrl.lesson import display, figure, show, style, table, tables
from llmrl.lesson.opening import budget

ALT = "A straight line that rises from 0 to 2"


@pytest.fixture
def page(monkeypatch):
    """Everything a cell displays, as (bundle, metadata)."""
    shown = []

    def emit(bundle, metadata=None):
        shown.append((bundle, metadata))

    for module in ("display", "tables", "source"):
        monkeypatch.setattr(f"llmrl.lesson.{module}.emit", emit)
    return shown


@pytest.fixture
def line():
    matplotlib.use("agg")
    style.use()

    def draw():
        fig, ax = plt.subplots()
        ax.plot([0, 1, 2], color="policy")
        return fig, ax

    yield draw
    plt.close("all")
    matplotlib.rcdefaults()


def test_a_figure_is_a_png_with_its_alt_text_and_nothing_that_varies(page, line):
    fig, ax = line()
    assert figure(fig, alt=ALT) is None
    figure(line()[1], alt=ALT)
    (first, metadata), (second, _) = page
    assert first == second and set(first) == {"image/png"}
    assert metadata == {"image/png": {"alt": ALT}}
    assert not plt.get_fignums()
    image = Image.open(io.BytesIO(base64.b64decode(first["image/png"])))
    assert image.size == (900, 480)


def test_an_array_of_axes_stands_for_its_figure(page, line):
    fig, axes = plt.subplots(2, 2)
    figure(axes, alt=ALT)
    assert len(page) == 1


@pytest.mark.parametrize("alt", ["", "a plot", "   too short   ", None])
def test_a_figure_without_a_description_is_refused(alt, line, page):
    with pytest.raises(ValueError, match="what the figure shows"):
        figure(line()[0], alt=alt)
    assert page == []


def test_a_figure_has_to_be_one(page):
    with pytest.raises(TypeError, match="got list"):
        figure([1, 2], alt=ALT)


def test_roles_are_names_of_colours(line):
    assert {matplotlib.colors.to_hex(role) for role in style.ROLES} == {value.lower() for value in style.ROLES.values()}
    assert set(style.CYCLE) <= set(style.ROLES) and len(set(style.ROLES.values())) == len(style.ROLES)


def seen_by(kind, colour):
    """A colour as somebody without red- or green-sensitive cones sees it (Viénot, Brettel and Mollon, 1999)."""
    linear = np.array(matplotlib.colors.to_rgb(colour)) ** 2.2
    lms = np.array([[17.8824, 43.5161, 4.11935], [3.45565, 27.1554, 3.86714], [0.0299566, 0.184309, 1.46709]])
    blind = {
        "anybody": np.eye(3),
        "protanopes": np.array([[0, 2.02344, -2.52581], [0, 1, 0], [0, 0, 1]]),
        "deuteranopes": np.array([[1, 0, 0], [0.494207, 0, 1.24827], [0, 0, 1]]),
    }[kind]
    return np.clip(np.linalg.inv(lms) @ blind @ lms @ linear, 0, 1)


def lab(linear):
    """CIELAB of a linear sRGB colour: distances here are distances to the eye."""
    to_xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]])
    x, y, z = np.cbrt(np.maximum(to_xyz @ linear / np.array([0.9505, 1, 1.089]), 1e-6))
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


@pytest.mark.parametrize("kind", ["anybody", "protanopes", "deuteranopes"])
@pytest.mark.parametrize("pair", [*itertools.combinations(style.ROLES, 2)], ids=" ".join)
def test_any_two_roles_stay_apart_for_colour_blind_readers_too(kind, pair):
    a, b = (lab(seen_by(kind, style.ROLES[role])) for role in pair)
    assert np.linalg.norm(a - b) > 18  # 2.3 is the least that can be told apart side by side


def test_text_on_the_page_is_large_enough(line):
    for key in ("font.size", "axes.labelsize", "xtick.labelsize", "ytick.labelsize", "legend.fontsize"):
        assert matplotlib.rcParams[key] >= 11
    assert matplotlib.rcParams["figure.figsize"][0] == style.WIDTH


def test_a_table_escapes_aligns_and_names_its_rows(page):
    table([{"β": 0.1, "KL <nats>": 7.04567, "n": 12000}, {"β": 0.5, "KL <nats>": 1e-5, "n": None}], caption="A & B")
    html, text = page[0][0]["text/html"], page[0][0]["text/plain"]
    assert '<th scope="col" style="text-align:right;padding:3px 10px">β</th>' in html and '<th scope="row"' in html
    assert "KL &lt;nats&gt;" in html and ">A &amp; B</caption>" in html and "<nats>" not in html
    assert text == "A & B\n  β  KL <nats>       n\n0.1       7.05  12,000\n0.5      1e-05       –"


def test_a_table_from_a_header_and_rows(page):
    table((("name", "right"), [("a", True), ("b", False)]))
    assert page[0][0]["text/plain"] == "name  right\na     yes\nb     no"


def test_a_folded_table_opens_by_its_words(page):
    table((("name",), [("a",)]), fold="1 < 2")
    html = page[0][0]["text/html"]
    assert html.startswith("<details><summary>1 &lt; 2</summary><table>") and html.endswith("</table></details>")
    assert page[0][0]["text/plain"] == "name\na"


@pytest.mark.parametrize("rows", [[], {}, [1, 2], ((), []), (("a", "b"), [(1,)]), (("a",), [])])
def test_a_table_of_nothing_or_of_uneven_rows_is_refused(rows, page):
    with pytest.raises((TypeError, ValueError), match="rows|row needs"):
        table(rows)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.30000000000000004, "0.3"), (1234.567, "1,235"), (1234567, "1,234,567"), (0.0001234, "0.000123"), (0.0, "0"),
        (1e-7, "1e-07"), (float("nan"), "nan"), (float("-inf"), "-inf"), (True, "yes"), (None, "–"), (9.999, "10"),
        (torch.tensor(2.5), "2.5"), (np.float32(0.1), "0.1"), ((2, 3), "(2, 3)"), (-1.0, "-1"), (100.0, "100"),
    ],
)  # fmt: skip
def test_numbers_are_written_to_a_few_digits(value, text):
    assert tables.written(value) == text


def test_show_gives_the_source_and_where_it_lives(page):
    show(budget)
    html, text = page[0][0]["text/html"], page[0][0]["text/plain"]
    assert text.startswith("# llmrl.lesson.opening.budget · lib/llmrl/lesson/opening.py\ndef budget(cpu, gpu=None):")
    assert "llmrl.lesson.opening.budget · lib/llmrl/lesson/opening.py" in html
    assert "id=" not in html and "href" not in html and "/work" not in html + text


def test_show_takes_classes_methods_and_several(page):
    show(display.encoded, style.use, torch.nn.Module.zero_grad)
    assert page[0][0]["text/plain"].count("\ndef ") == 3


@pytest.mark.parametrize("thing", [len, 3, budget(2)])
def test_show_says_what_it_needs(thing, page):
    with pytest.raises(TypeError, match="written in Python"):
        show(thing)
    with pytest.raises(TypeError, match="needs a function"):
        show()


@pytest.mark.slow
def test_in_a_kernel_outputs_are_stored_as_promised():
    cells = [
        "from llmrl.lesson import begin, check, figure, show, table\nlesson = begin('00_start_here')\nlesson",
        f"import matplotlib.pyplot as plt\nfig, ax = plt.subplots()\nax.plot([1, 2])\nfigure(fig, {ALT!r})",
        "table([{'a': 1}])\nshow(begin)",
        "check.same('three is four', 3, 4)",
    ]
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell(cell) for cell in cells])
    NotebookClient(notebook, timeout=120, allow_errors=True).execute()
    opening, picture, html, failed = [cell.outputs for cell in notebook.cells]
    assert [out.get("text") or out["data"]["text/plain"] for out in opening] == ["Start here\n", "lesson 00_start_here"]
    assert len(picture) == 1 and set(picture[0]["data"]) == {"image/png"}
    assert picture[0]["metadata"]["image/png"]["alt"] == ALT
    assert Image.open(io.BytesIO(base64.b64decode(picture[0]["data"]["image/png"]))).size == (900, 480)
    assert [set(out["data"]) for out in html] == [{"text/html", "text/plain"}] * 2
    said = ["✗ three is four", "  rule: both are equal in every entry", "  seen: 3 and 4"]
    assert failed[0]["traceback"] == said
