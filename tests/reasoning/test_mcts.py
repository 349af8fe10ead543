"""Tree search against formulas by hand, games with known answers, and errors that say what to do."""

import math
from functools import partial

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from llmrl.reasoning.mcts import (
    Node,
    back_up,
    best,
    credits,
    expand,
    mcts,
    puct,
    rollout,
    select,
    simulate,
    uct,
    visits,
)
from llmrl.seeds import numpy_rng
from llmrl.toy.boards import TIC_TAC_TOE, perfect, read, solve


class Corridor:
    """One player walks left or right `length` times; each step to the right earns 1 / length."""

    players = 1

    def __init__(self, length):
        self.length = length

    def actions(self, state):
        return ["left", "right"]

    def play(self, state, action):
        return state + (action,)

    def outcome(self, state):
        return state.count("right") / self.length if len(state) == self.length else None


class Stuck(Corridor):
    """A game that forgets to say how it ended."""

    def actions(self, state):
        return []


def test_the_two_rules_by_hand():
    child = Node(P=0.25, N=4, W=2.0)
    assert uct(child, 16, c=1.4) == pytest.approx(0.5 + 1.4 * math.sqrt(math.log(16) / 4))
    assert puct(child, 16, c=1.4) == pytest.approx(0.5 + 1.4 * 0.25 * 4 / 5)
    assert uct(Node(), 16, 1.4) == math.inf and puct(Node(P=0.5), 9, 2.0) == pytest.approx(3.0)


def test_a_value_is_seen_by_who_moved():
    path = [Node(), Node(), Node()]
    back_up(path, 1.0, players=2)  # good for the player to move at the leaf, so bad for who moved there
    assert [node.W for node in path] == [-1.0, 1.0, -1.0] and [node.N for node in path] == [1, 1, 1]
    back_up(path, 0.5, players=1)
    assert [node.Q for node in path] == [-0.25, 0.75, -0.25]


@given(st.floats(-1, 1), st.integers(1, 8), st.integers(1, 2))
def test_credits_change_sides_at_every_step(value, nodes, players):
    got = credits(value, nodes, players)
    assert len(got) == nodes and got[-1] == (value if players == 1 else -value)
    assert all(a == (b if players == 1 else -b) for a, b in zip(got, got[1:]))


def test_selection_goes_to_the_highest_score_and_plays_the_move():
    root = Node((), N=10)
    expand(Corridor(3), root)
    left, right = root.children["left"], root.children["right"]
    left.N, left.W, right.N, right.W = 5, 1.0, 5, 4.0
    assert select(Corridor(3), root, 1.4) == [root, right] and right.state == ("right",) and left.state is None
    left.N, left.W = 1, 0.2  # the same mean, but less is known
    assert select(Corridor(3), root, 4.0)[-1] is left


def test_priors_turn_uct_into_puct():
    root = Node((), N=1)
    expand(Corridor(3), root, {"left": 0.1, "right": 0.9})
    assert select(Corridor(3), root, 1.0)[-1] is root.children["right"]


@given(st.integers(1, 60), st.integers(0, 5))
@settings(max_examples=25, deadline=None)
def test_every_evaluation_is_counted_once(budget, seed):
    root = mcts(TIC_TAC_TOE, TIC_TAC_TOE.start, budget, generator=numpy_rng(seed, "count"))
    assert root.N == budget and sum(child.N for child in root.children.values()) == budget - 1

    def consistent(node):
        inner = list((node.children or {}).values())
        return (not inner or node.N == 1 + sum(c.N for c in inner)) and abs(node.Q) <= 1 and all(map(consistent, inner))

    assert consistent(root)


def test_the_sums_agree_at_every_node():
    root = mcts(TIC_TAC_TOE, TIC_TAC_TOE.start, 300, lambda state: (None, 0.0))
    for child in root.children.values():  # draws and zeros in the middle; only ends give other values
        first = 0.0  # the child's own evaluation
        assert child.W == pytest.approx(first - sum(inner.W for inner in child.children.values()))


def test_one_player_finds_the_best_walk():
    root = mcts(Corridor(6), (), 600, generator=numpy_rng(0, "walk"))
    assert best(root) == "right" and root.children["right"].N > 3 * root.children["left"].N
    signs = mcts(Corridor(1), (), 30, generator=numpy_rng(0, "signs"))
    assert signs.children["right"].Q == 1.0 and signs.children["left"].Q == 0.0


@pytest.mark.parametrize("text", ["xx. oo. ...", "x.o .x. ..o", "xo. .x. o..", "x.. .o. ..x"])
def test_moves_agree_with_minimax(text):
    state = read(TIC_TAC_TOE, text)
    known = solve(TIC_TAC_TOE, state)
    root = mcts(TIC_TAC_TOE, state, 2000, generator=numpy_rng(0, text))
    right = perfect(TIC_TAC_TOE, state, known)
    assert best(root) in right
    if len(right) < len(TIC_TAC_TOE.actions(state)):  # where some moves are mistakes, they are looked at less
        assert sum(visits(root)[a] for a in right) > 0.6


def test_an_exact_evaluator_with_its_priors_needs_few_visits():
    known = solve(TIC_TAC_TOE)

    def told(state):
        good = perfect(TIC_TAC_TOE, state, known)
        return {a: (a in good) / len(good) for a in TIC_TAC_TOE.actions(state)}, known[state]

    state = read(TIC_TAC_TOE, "xx. oo. ...")
    root = mcts(TIC_TAC_TOE, state, 10, told)
    assert visits(root) == {2: 1.0} | dict.fromkeys([5, 6, 7, 8], 0.0) and root.children[2].Q == 1.0
    assert best(mcts(TIC_TAC_TOE, state, 1, told)) == 2  # one evaluation: the priors decide


def test_random_play_sees_the_result_from_where_it_started():
    state = read(TIC_TAC_TOE, "xox oxo ox.")  # one cell is left
    assert TIC_TAC_TOE.outcome(state) is None
    alone = rollout(TIC_TAC_TOE, state, numpy_rng(0, "end"))
    assert alone == solve(TIC_TAC_TOE, state)[state]


def test_random_play_has_the_exact_mean():
    state = read(TIC_TAC_TOE, "xox o.. .x.")

    def mean(state):
        value = TIC_TAC_TOE.outcome(state)
        moves = TIC_TAC_TOE.actions(state)
        return value if value is not None else -sum(mean(TIC_TAC_TOE.play(state, a)) for a in moves) / len(moves)

    dice = numpy_rng(0, "mean")
    played = [rollout(TIC_TAC_TOE, state, dice) for _ in range(4000)]
    assert sum(played) / 4000 == pytest.approx(mean(state), abs=0.06)


def test_the_same_dice_give_the_same_tree():
    trees = [mcts(TIC_TAC_TOE, (0, 0), 200, generator=numpy_rng(3, "tree")) for _ in range(2)]
    assert visits(trees[0]) == visits(trees[1])


def test_one_simulation_reaches_one_node_more():
    root = Node(TIC_TAC_TOE.start)
    assert [len(simulate(TIC_TAC_TOE, root, lambda s: (None, 0.0), 1.4)) for _ in range(3)] == [1, 2, 2]


SEARCH = partial(mcts, TIC_TAC_TOE, TIC_TAC_TOE.start)
WON = read(TIC_TAC_TOE, "xxx oo. ...")


@pytest.mark.parametrize(
    ("call", "says"),
    [
        (lambda: SEARCH(0, lambda s: (None, 0.0)), "budget must be a whole number of at least 1, got 0"),
        (lambda: SEARCH(True, lambda s: (None, 0.0)), "budget must be"),
        (lambda: SEARCH(2.5, lambda s: (None, 0.0)), "budget must be"),
        (lambda: SEARCH(5), "needs a generator"),
        (lambda: SEARCH(5, lambda s: (None, math.nan)), "finite"),
        (lambda: SEARCH(5, lambda s: ({9: 1.0}, 0.0)), "priors must be for the legal actions"),
        (lambda: SEARCH(5, lambda s: ({0: 1.0}, 0.0)), "priors must be for the legal actions"),
        (lambda: mcts(TIC_TAC_TOE, WON, 5, lambda s: (None, 0.0)), "the game is over"),
        (lambda: mcts(Stuck(3), (), 5, lambda s: (None, 0.0)), "no action and no outcome"),
        (lambda: visits(SEARCH(1, lambda s: (None, 0.0))), "search with 2 or more"),
        (lambda: TIC_TAC_TOE.play(WON, 0), "0 is no legal move here"),
    ],
)
def test_what_cannot_be_searched_is_said(call, says):
    with pytest.raises(ValueError, match=says):
        call()
