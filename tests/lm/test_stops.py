"""Stop strings against a search in the whole text, however the text is cut into tokens."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from llmrl.lm.stops import StopStrings, open_ending

TEXTS = st.text("abé", max_size=12)
STOPS = st.lists(st.text("abé", min_size=1, max_size=4), min_size=1, max_size=3)


def cut(text, places):
    """Bytes cut at some places, which may lie inside a character."""
    ends = sorted({min(place, len(text)) for place in places} | {0, len(text)})
    return [text[a:b] for a, b in zip(ends, ends[1:])]


def streamed(tokens, stops):
    stopper, shown = StopStrings(tokens, stops), []
    for i in range(len(tokens)):
        shown.append(stopper.feed(i))
        if stopper.stopped:
            return b"".join(shown), True
    return b"".join(shown) + stopper.rest(), False


def searched(text, stops):
    """The text up to the stop that is complete first; of those complete together the longest."""
    for end in range(1, len(text) + 1):
        if lengths := [len(stop) for stop in stops if text[:end].endswith(stop)]:
            return text[: end - max(lengths)], True
    return text, False


@given(TEXTS, st.lists(st.integers(0, 20), max_size=8), STOPS)
def test_the_borders_of_tokens_change_nothing(text, places, stops):
    text = text.encode()
    assert streamed(cut(text, places), stops) == searched(text, [stop.encode() for stop in stops])


@given(TEXTS, st.lists(st.integers(0, 20), max_size=8), STOPS)
def test_nothing_is_shown_that_is_taken_back(text, places, stops):
    tokens = cut(text.encode(), places)
    stopper, shown = StopStrings(tokens, stops), b""
    final, _ = streamed(tokens, stops)
    for i in range(len(tokens)):
        if not stopper.stopped:
            shown += stopper.feed(i)
            assert final.startswith(shown)
            assert stopper.stopped or len(stopper.held) < max(len(stop.encode()) for stop in stops)


def test_a_stop_may_span_three_tokens_and_end_inside_one():
    stopper = StopStrings([b"Hel", b"lo\n", b"\n", b"User: x"], ["\n\nUser:"])
    assert [stopper.feed(i) for i in range(4)] == [b"Hel", b"lo", b"", b""]
    assert stopper.stopped and stopper.rest() == b""


@pytest.mark.parametrize("text, stops, n", [(b"ab", [b"abc"], 2), (b"xb", [b"abc"], 0), (b"aab", [b"aabb", b"bx"], 3)])
def test_the_longest_open_ending_is_held(text, stops, n):
    assert open_ending(text, stops) == n


@pytest.mark.parametrize("stops", ["word", [], [""], ["a", ""], [b"a"]])
def test_stops_are_texts(stops):
    with pytest.raises(ValueError, match="stops must be a list of texts"):
        StopStrings([b"a"], stops)


def test_a_stopped_text_takes_no_more():
    stopper = StopStrings([b"a"], ["a"])
    stopper.feed(0)
    with pytest.raises(ValueError, match="the text has stopped"):
        stopper.feed(0)


def test_transformers_stops_at_the_same_token():
    import torch
    from transformers import AutoTokenizer, StopStringCriteria

    from llmrl.toy import checkpoints

    ours = checkpoints.tokenizer()
    theirs = AutoTokenizer.from_pretrained(checkpoints.folder("base"), local_files_only=True)
    ids = ours.encode("The ruler of Tarn is Ben. The plum grows in Tarn, where it is sweet.")
    for stop in ("n. T", "rows", "ow", "s in Tarn, w", "sweet", "absent"):
        stopper, criterion = StopStrings(ours.tokens, [stop]), StopStringCriteria(theirs, [stop])
        said = next((i for i, token in enumerate(ids) if (stopper.feed(token), stopper.stopped)[1]), None)
        peer = next((i for i in range(len(ids)) if bool(criterion(torch.tensor([ids[: i + 1]]), None))), None)
        assert said == peer
