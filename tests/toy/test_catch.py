"""The falling ball: what is written down is the game."""

import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

from llmrl.rl.planning import policy_evaluation, value_iteration
from llmrl.toy.catch import catch
from llmrl.toy.environments import TabularEnv


def test_without_wind_a_perfect_player_always_catches_and_the_return_is_one_discounted_reward():
    mdp, _ = catch(6, 5, wind=0.0)
    values, _ = value_iteration(mdp.P, mdp.R, 0.9)
    assert mdp.start @ values == pytest.approx(0.9**4)  # five steps, the fifth pays


def test_who_stays_catches_one_column_in_five():
    mdp, _ = catch(6, 5, wind=0.0)
    stay = np.ones(mdp.states, dtype=int)
    assert mdp.start @ policy_evaluation(mdp.P, mdp.R, stay, 1.0) == pytest.approx(0.2 - 0.8)


def test_wind_lowers_what_can_be_had_and_the_last_push_cannot_be_answered():
    best = [mdp.start @ value_iteration(mdp.P, mdp.R, 1.0)[0] for mdp, _ in (catch(6, 5, w) for w in (0, 0.2, 0.6))]
    assert best[0] == pytest.approx(1.0) and best[0] > best[1] > best[2]


def test_a_ball_and_a_paddle_move_as_told():
    mdp, seen = catch(4, 3, wind=0.5)
    ball, paddle = (lambda s: seen[s, :9].argmax(), lambda s: seen[s, 9:].argmax())
    here = next(s for s in range(mdp.states - 2) if ball(s) == 1 and paddle(s) == 0)  # top row, middle column
    for action, column in ((0, 0), (1, 0), (2, 1)):
        after = np.flatnonzero(mdp.P[here, action])
        assert [ball(s) for s in after] == [3, 4, 5] and {paddle(s) for s in after} == {column}
        assert mdp.P[here, action, after].tolist() == [0.25, 0.5, 0.25]


def test_every_state_looks_different_but_the_ends():
    mdp, seen = catch()
    assert len(np.unique(seen[:-2], axis=0)) == mdp.states - 2 and not seen[-2:].any()


@pytest.mark.filterwarnings("error")
def test_gymnasiums_checker_accepts_it():
    check_env(TabularEnv(catch()[0], max_steps=20), skip_render_check=True)


def test_bad_sizes_are_named():
    with pytest.raises(ValueError, match="2 or more rows and columns, got 1 x 5"):
        catch(1)
    with pytest.raises(ValueError, match=r"must lie in \[0, 1\], got 2"):
        catch(wind=2)
