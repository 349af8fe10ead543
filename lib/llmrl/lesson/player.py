"""A slider that needs no kernel.

explore() draws one picture per value and stores them all in the page, with a slider that changes which one is seen: it
works in JupyterLab, in Colab, in an exported page and offline, by mouse, by touch and by arrow keys, and every picture
has its alt text. Where scripts are switched off, the middle picture is seen. A cell with a player carries the tag
nbval-ignore-output, because its pictures lie in HTML, which is compared. Left out: free values between the frames.
"""

import html
import io
import itertools
import json

from llmrl.lesson.display import PAPER, close, described, emit, encoded, figure_of, png
from llmrl.lesson.tables import written

FRAMES = 48  # more would make a notebook nobody wants to download
COLOURS = 128  # per frame, which makes it a third of the size
PNG = "data:image/png;base64,"
MOVE = (  # finds the frame of all sliders together, then says it in the picture, its alt text and beside each slider
    "const f=this.closest('figure'),s=[...f.querySelectorAll('input')],m=f.querySelector('img'),"
    "[p,a]=JSON.parse(f.dataset.frames)[s.reduce((n,r)=>n*(+r.max+1)+ +r.value,0)];"
    "m.src=p;m.alt=a;"
    "s.forEach(r=>{const v=JSON.parse(r.dataset.values)[r.value];"
    "r.setAttribute('aria-valuetext',v);r.nextElementSibling.textContent=v})"
)
WORKS = "this.closest('figure').querySelector('small').hidden=true"  # runs only where sliders do, too


def explore(draw, alt, **choices):
    """Show draw(name=value) for every value, with a slider: explore(draw, alt="...", beta=[0.1, 0.5, 1]); two at most.

    draw returns a figure or axes, of the same size and limits for every value, so that only what matters moves.
    """
    choices = {name: list(values) for name, values in choices.items()}
    alt = described(alt)
    _refuse(draw, choices)
    labels = {name: [written(value) for value in values] for name, values in choices.items()}
    frames = [
        (_frame(draw, dict(zip(choices, values))), f"{alt}; {', '.join(map(' = '.join, zip(choices, said)))}")
        for values, said in zip(itertools.product(*choices.values()), itertools.product(*labels.values()))
    ]
    middle = 0
    for values in choices.values():
        middle = middle * len(values) + len(values) // 2
    image, said = frames[middle]
    bundle = {"text/html": _player(frames, middle, labels, alt), "image/png": image.removeprefix(PNG)}
    emit(bundle, {"image/png": {"alt": said}})


def _refuse(draw, choices):
    if not callable(draw):
        kind = type(draw).__name__
        raise TypeError(f"explore() takes a function that draws, got {kind}: explore(draw, alt='...', beta=[0.1, 1])")
    if not 1 <= len(choices) <= 2 or not all(len(values) > 1 for values in choices.values()):
        sizes = {name: len(values) for name, values in choices.items()}
        raise ValueError(f"explore() needs one or two lists of two or more values, got {sizes}: beta=[0.1, 0.5, 1.0]")
    count = 1
    for values in choices.values():
        count *= len(values)
    if count > FRAMES:
        raise ValueError(f"{count} pictures are too many for one page, {FRAMES} is the limit: offer fewer values")


def _frame(draw, values):
    """One picture as the address of an image, drawn, reduced to few colours, and closed."""
    from matplotlib import pyplot as plt
    from PIL import Image

    drawn = draw(**values)
    fig = figure_of(plt.gcf() if drawn is None else drawn)
    image = Image.open(io.BytesIO(png(fig))).convert("RGB").quantize(COLOURS, dither=Image.Dither.NONE)
    close(fig)
    buffer = io.BytesIO()
    image.save(buffer, format="png", optimize=True)
    return PNG + encoded(buffer.getvalue())


def _player(frames, middle, labels, alt):
    image, said = frames[middle]
    sliders = "".join(_slider(name, values) for name, values in labels.items())
    return (
        f'<figure style="{PAPER}margin:0;padding:6px" role="group" aria-label="{html.escape(alt)}"'
        f' data-frames="{html.escape(json.dumps(frames))}">'
        f'<img src="{image}" alt="{html.escape(said)}" style="max-width:100%" onload="{WORKS}">'
        f"<figcaption>{sliders}<small>Run this cell if the slider does not move.</small></figcaption></figure>"
    )


def _slider(name, values):
    start = len(values) // 2
    return (
        f'<label style="display:block;font-size:110%;padding:2px 0">{html.escape(name)} '
        f'<input type="range" min="0" max="{len(values) - 1}" step="1" value="{start}" style="width:50%"'
        f' data-values="{html.escape(json.dumps(values))}" aria-valuetext="{html.escape(values[start])}"'
        f' oninput="{html.escape(MOVE)}"> <output>{html.escape(values[start])}</output></label>'
    )
