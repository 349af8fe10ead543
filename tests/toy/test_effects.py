"""The stored effects are all there, all hold, and can be measured again."""

import pytest

from llmrl.toy import effects, files

ROWS = files.read_json("effects.json")


def test_every_effect_was_measured_at_three_seeds():
    assert {(r["effect"], r["seed"]) for r in ROWS} == {(e.__name__, s) for e in effects.EFFECTS for s in (0, 1, 2)}


@pytest.mark.parametrize("row", ROWS, ids=lambda r: f"{r['effect']}-{r['seed']}-{r['what']}")
def test_it_is_larger_than_twice_its_error_and_points_where_theory_says(row):
    assert effects.holds(row), row
    assert row["difference"] == pytest.approx(row["after"] - row["before"])
    assert row["seconds"] < 90


def test_an_effect_that_does_not_show_is_refused():
    flat = effects.row("nothing", [0.0, 1.0, 0.0, 1.0], [1.0, 0.0, 0.0, 1.0])
    up = effects.row("something", [0.0] * 8, [1.0, 2.0] * 4)
    assert not effects.holds(flat) and effects.holds(up)
    assert not effects.holds(effects.row("the wrong way", [0.0] * 8, [1.0, 2.0] * 4, up=False))


def test_the_error_is_that_of_the_paired_mean():
    found = effects.row("by hand", [0.0, 0.0, 0.0, 0.0], [1.0, 2.0, 3.0, 4.0])
    assert found["difference"] == 2.5
    assert found["error"] == pytest.approx((5 / 3) ** 0.5 / 2)


@pytest.mark.slow
@pytest.mark.parametrize("effect", [effects.more_samples, effects.forgotten])
def test_measured_again_it_agrees_with_the_table(effect):
    """Other machines round otherwise, so the difference may move within its error, not beyond."""
    for again, stored in zip(effects.measure((effect, 0)), (r for r in ROWS if r["effect"] == effect.__name__)):
        assert again["what"] == stored["what"] and effects.holds(again)
        assert abs(again["difference"] - stored["difference"]) <= 3 * (again["error"] + stored["error"])
