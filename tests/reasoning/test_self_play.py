"""The network's answers, the search side by side, and the lessons, each against a slower way to the same."""

import copy
from dataclasses import replace

import numpy as np
import pytest
import torch

from llmrl.reasoning import self_play
from llmrl.reasoning.mcts import best, mcts
from llmrl.reasoning.self_play import Network, Plan, ask, evaluator, labelled, marks, play_games, search, tensors
from llmrl.seeds import numpy_rng, rng
from llmrl.toy.boards import TIC_TAC_TOE, Board, read

SMALL = Board(3, 4, 3, gravity=True)
PLAN = Plan(iterations=2, games=6, budget=8, updates=5)


def network(board=SMALL, seed=0):
    return Network(board, width=16, generator=rng(seed, "weights"))


def test_marks_are_the_board_as_its_player_sees_it():
    state = read(SMALL, ".... x... oxo.")  # three of x... two x, two o: x is to move
    seen = marks(SMALL, [state]).view(2, 3, 4)
    assert seen[0].tolist() == [[0, 0, 0, 0], [1, 0, 0, 0], [0, 1, 0, 0]]
    assert seen[1].tolist() == [[0, 0, 0, 0], [0, 0, 0, 0], [1, 0, 1, 0]]


def test_priors_are_a_softmax_over_what_is_legal():
    state = read(SMALL, "x... o... x.o.")
    (prior,), (value,) = ask(network(), SMALL, [state])
    logits, values = network()(marks(SMALL, [state]))
    want = logits[0, [1, 2, 3]].softmax(0).tolist()  # column 0 is full
    assert list(prior) == [1, 2, 3] and list(prior.values()) == pytest.approx(want, abs=1e-6)
    assert value == pytest.approx(values.item()) and -1 < value < 1


@pytest.mark.parametrize("board", [SMALL, TIC_TAC_TOE])
def test_search_side_by_side_is_search_one_by_one(board):
    asked, states = network(board), [board.start]
    for action in (0, 1, 2):
        states.append(board.play(states[-1], action))
    together = search(asked, board, states, 40, c=1.5)
    for state, root in zip(states, together):
        alone = mcts(board, state, 40, evaluator(asked, board), c=1.5)
        assert {a: n.N for a, n in alone.children.items()} == {a: n.N for a, n in root.children.items()}
        assert best(alone) == best(root) and alone.Q == pytest.approx(root.Q, abs=1e-5)


def test_noise_reaches_the_root_alone_and_keeps_a_distribution():
    calm = search(network(), SMALL, [SMALL.start], 12, 1.5)[0]
    stirred = search(network(), SMALL, [SMALL.start], 12, 1.5, (1.0, 0.25, numpy_rng(0, "noise")))[0]
    before, after = ([child.P for child in root.children.values()] for root in (calm, stirred))
    assert sum(after) == pytest.approx(1) and np.abs(np.subtract(after, before)).max() > 0.01
    assert np.all(np.array(after) >= 0.75 * np.array(before) - 1e-12)
    deep = next(a for a in stirred.children if stirred.children[a].children and calm.children[a].children)
    inner = [[n.P for n in root.children[deep].children.values()] for root in (calm, stirred)]
    assert inner[0] == inner[1]


def test_the_result_changes_sides_from_move_to_move():
    game = [("first", {}), ("second", {}), ("third", {})]  # the third move wins: who would move then has lost
    assert [result for *_, result in labelled(game, -1.0)] == [1.0, -1.0, 1.0]
    assert [result for *_, result in labelled(game, 0.0)] == [0.0, 0.0, 0.0]


def test_games_are_legal_and_end():
    lessons = play_games(network(), SMALL, PLAN, numpy_rng(0, "games"))
    assert sum(state == SMALL.start for state, *_ in lessons) == PLAN.games
    for state, shares, result in lessons:
        assert list(shares) == SMALL.actions(state) and sum(shares.values()) == pytest.approx(1)
        assert result in (-1.0, 0.0, 1.0) and SMALL.outcome(state) is None
        for action, share in shares.items():
            after = SMALL.play(state, action)
            if SMALL.outcome(after) == -1 and share > 0.99:  # a win that was taken
                assert result == 1.0


@pytest.mark.parametrize("board", [SMALL, TIC_TAC_TOE])
def test_mirror_images_are_the_same_lesson(board):
    state = board.play(board.play(board.start, 0), 1)
    shares = {a: (a + 1) / 100 for a in board.actions(state)}
    seen, visits, results = tensors(board, [(state, shares, 1.0)])
    assert len(seen) == len(visits) == len(results) == len(board.symmetries)
    for row, share, symmetry in zip(seen, visits, board.symmetries):
        turned = board.turned(state, symmetry)
        torch.testing.assert_close(row, marks(board, [turned])[0])
        for action, chance in shares.items():
            place = symmetry[action]  # a column is mirrored as its top cell is
            assert share[place].item() == pytest.approx(chance)
            assert board.turned(board.play(state, action), symmetry) == board.play(turned, place)


def test_the_loss_by_hand():
    seen = marks(SMALL, [SMALL.start])
    logits, value = network()(seen)
    share = torch.tensor([[0.5, 0.5, 0.0, 0.0]])
    want = -(logits.log_softmax(-1)[0, :2].mean()) + (1 - value) ** 2
    torch.testing.assert_close(self_play.loss(network(), seen, share, torch.tensor([1.0])), want)


def test_learning_changes_the_network_and_says_how_it_went():
    learner = network()
    before = copy.deepcopy(learner.state_dict())
    records = list(self_play.train(SMALL, learner, PLAN, 0))
    assert [r["iteration"] for r in records] == [1, 2] and all(np.isfinite(list(r.values())).all() for r in records)
    assert any((before[name] != now).any() for name, now in learner.state_dict().items())
    again = network()
    assert list(self_play.train(SMALL, again, PLAN, 0)) == records
    assert list(self_play.train(SMALL, network(), PLAN, 1)) != records


@pytest.mark.slow
def test_a_learner_learns_to_open_a_game_that_is_won():
    board = Board(3, 3, 3)
    learner = Network(board, width=64, generator=rng(0, "weights"))
    records = list(self_play.train(board, learner, replace(PLAN, iterations=6, games=32, budget=24, updates=60), 0))
    assert records[-1]["loss"] < records[0]["loss"] - 0.2
    states = [read(board, text) for text in ("xx. oo. ...", "x.o .x. o..", "oo. xx. ..x")]
    assert [best(root) for root in search(learner, board, states, 32, 1.5)] == [2, 8, 2]
