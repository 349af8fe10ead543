"""What the study of losing ships is what its code makes."""

from llmrl.reasoning.arena import results
from llmrl.studies import never_lost
from llmrl.toy import files
from llmrl.toy.boards import TIC_TAC_TOE

SHIPPED = files.read_json("studies/never_lost.json")


def test_every_run_is_there():
    assert list(map(int, SHIPPED)) == [*never_lost.BUDGETS]
    for runs in SHIPPED.values():
        assert len(runs) == never_lost.RUNS
        for run in runs:
            for lost, beatable in run.values():
                assert 0 <= lost <= 1 and beatable in (True, False)
                assert beatable or lost == 0  # who loses to perfect play can be beaten


def test_the_smallest_searches_made_again():
    assert [never_lost.run(10, seed) for seed in range(3)] == SHIPPED["10"][:3]


def test_perfect_play_loses_to_nobody():
    for first in (True, False):
        assert results(TIC_TAC_TOE, lambda s: never_lost.faultless(s)[0], TIC_TAC_TOE.actions, first)[2] == 0
