"""The slider: every picture is in the page, the right one for every position, without a kernel or a network."""

import json
import shutil
import subprocess
from html.parser import HTMLParser

import matplotlib
import pytest
from matplotlib import pyplot as plt

from llmrl.lesson import explore, player

ALT = "A bar as high as beta, with shift written above"


def draw(beta, shift="none"):
    fig, ax = plt.subplots(figsize=(3, 2))
    ax.bar(["beta"], [beta])
    ax.set(ylim=(0, 10), title=str(shift))
    return ax


class Elements(HTMLParser):
    """The tags of a page with their attributes, in order."""

    def __init__(self, text):
        super().__init__()
        self.found = []
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.found.append((tag, dict(attributes)))

    def all(self, tag):
        return [attributes for name, attributes in self.found if name == tag]


@pytest.fixture
def play(monkeypatch):
    """Call explore() and return (page, bundle, metadata)."""
    matplotlib.use("agg")
    shown = []
    monkeypatch.setattr(player, "emit", lambda bundle, metadata: shown.append((bundle, metadata)))

    def run(*args, **kwargs):
        explore(*args, **kwargs)
        bundle, metadata = shown.pop()
        return Elements(bundle["text/html"]), bundle, metadata

    yield run
    plt.close("all")


def test_all_pictures_are_in_the_page_and_described(play):
    open_before = plt.get_fignums()
    page, bundle, metadata = play(draw, alt=ALT, beta=[1, 5, 9])
    (figure,), (image,), (slider,) = page.all("figure"), page.all("img"), page.all("input")
    frames = json.loads(figure["data-frames"])
    assert [alt for _, alt in frames] == [f"{ALT}; beta = {b}" for b in (1, 5, 9)]
    assert len({picture for picture, _ in frames}) == 3
    assert image["alt"] == metadata["image/png"]["alt"] == f"{ALT}; beta = 5"
    assert image["src"] == frames[1][0] == player.PNG + bundle["image/png"]
    assert (slider["min"], slider["max"], slider["value"], slider["aria-valuetext"]) == ("0", "2", "1", "5")
    assert figure["aria-label"] == ALT and plt.get_fignums() == open_before


def test_the_page_is_the_same_twice_names_nothing_and_fetches_nothing(play):
    first, second = (play(draw, alt=ALT, beta=[0.1, 0.5])[1]["text/html"] for _ in range(2))
    assert first == second and " id=" not in first and "http" not in first


def test_labels_are_escaped(play):
    page, _, _ = play(lambda beta: draw(1, ""), alt='Quotes " and <tags> in the text', beta=['<a "b">', "c'd"])
    assert json.loads(page.all("input")[0]["data-values"]) == ['<a "b">', "c'd"]
    assert page.all("a") == []


def test_a_drawing_function_may_draw_on_the_current_figure(play):
    def on_current(beta):
        plt.figure()
        plt.plot([0, beta])

    page, _, _ = play(on_current, alt=ALT, beta=[1, 2])
    assert len(json.loads(page.all("figure")[0]["data-frames"])) == 2


@pytest.mark.skipif(shutil.which("node") is None, reason="needs a JavaScript engine")
def test_every_position_of_two_sliders_shows_its_picture(play):
    page, _, _ = play(draw, alt=ALT, beta=[1, 5, 9], shift=["left", "right"])
    figure, sliders = page.all("figure")[0], page.all("input")
    script = """
    const page = JSON.parse(require('fs').readFileSync(0)), image = {}, shown = [];
    const inputs = page.sliders.map(s => ({max: s.max, value: s.value, dataset: {values: s['data-values']},
      nextElementSibling: {}, setAttribute(name, value) { this[name] = value }, closest: () => figure}));
    const figure = {dataset: {frames: page.frames}, querySelectorAll: () => inputs, querySelector: () => image};
    for (let b = 0; b < 3; b++) for (let s = 0; s < 2; s++) {
      inputs[0].value = String(b); inputs[1].value = String(s);
      (function () { eval(page.move) }).call(inputs[1]);
      const said = inputs.map(i => i['aria-valuetext'] + i.nextElementSibling.textContent);
      shown.push([image.alt, image.src, said]);
    }
    console.log(JSON.stringify(shown));
    """
    page = {"sliders": sliders, "frames": figure["data-frames"], "move": sliders[0]["oninput"]}
    done = subprocess.run(["node", "-e", script], input=json.dumps(page), capture_output=True, text=True, check=True)
    frames = json.loads(figure["data-frames"])
    wanted = [(b, s) for b in (1, 5, 9) for s in ("left", "right")]
    for (beta, shift), (picture, alt), shown in zip(wanted, frames, json.loads(done.stdout), strict=True):
        assert alt == f"{ALT}; beta = {beta}, shift = {shift}"
        assert shown == [alt, picture, [f"{beta}{beta}", f"{shift}{shift}"]]


@pytest.mark.parametrize(
    ("function", "choices", "rule"),
    [
        (3, {"beta": [1, 2]}, "a function that draws"),
        (draw, {}, "one or two lists"),
        (draw, {"beta": [1]}, "two or more values"),
        (draw, {"a": [1, 2], "b": [1, 2], "c": [1, 2]}, "one or two lists"),
        (draw, {"beta": range(10), "shift": range(10)}, "100 pictures are too many"),
        (lambda beta: "text", {"beta": [1, 2]}, "figure or axes"),
    ],
)
def test_what_cannot_be_played_is_refused(function, choices, rule, play):
    with pytest.raises((TypeError, ValueError), match=rule):
        play(function, alt=ALT, **choices)


def test_pictures_need_a_description(play):
    with pytest.raises(ValueError, match="what the figure shows"):
        play(draw, alt="a slider", beta=[1, 2])


def test_a_page_of_frames_stays_small(play):
    _, bundle, _ = play(draw, alt=ALT, beta=list(range(10)))
    assert len(bundle["text/html"]) < 200_000
