"""Exercises on what RLHF pays: for a token, and at which price.

The checkers probe answers of different lengths, tokens that moved away and back, and a controller at its bounds.
Left out: the losses of PPO, which are exercises of another chapter.
"""

import torch

from llmrl.lesson.exercise import Wrong, exercise
from llmrl.lesson.feedback import differs


def _last(told):
    return told & ~torch.cat([told[:, 1:], torch.zeros_like(told[:, :1])], 1)


def _at_the_end(verdicts, told):
    return torch.where(_last(told), verdicts[:, None], 0.0)


@exercise(
    "rlhf.paid",
    title="What a token is paid",
    signature="paid(verdicts: (B,), logp: (B, T), ref_logp: (B, T), told: (B, T) bool, beta) -> (B, T)",
    solution="llmrl.rlhf.ppo_language.paid",
    minutes=12,
    difficulty=2,
    hints=(
        "Two payments in one table: every told token pays beta times its own log-ratio, log pi less log pi_ref; the "
        "last told token of a row gets the verdict besides. What is not told gets 0.",
        "The price: torch.where(told, beta * (logp - ref_logp), 0.0). The last told token of a row is told and its "
        "right neighbour is not; token_rewards(verdicts, told, penalty) of llmrl.policy.token_critic finds it.",
    ),
    wrong=(
        Wrong(
            "the sign is turned: a token more probable than under the reference has moved away and pays",
            lambda v, p, q, m, b: _at_the_end(v, m) + torch.where(m, b * (p - q), 0.0),
        ),
        Wrong(
            "the price was taken off the last token only; every token pays for its own step",
            lambda v, p, q, m, b: torch.where(
                _last(m), v[:, None] - b * torch.where(m, p - q, 0.0).sum(1, keepdim=True), 0.0
            ),
        ),
        Wrong(
            "the verdict belongs to the last token of the answer; here every token got it",
            lambda v, p, q, m, b: torch.where(m, v[:, None] - b * (p - q), 0.0),
        ),
        Wrong(
            "the last column is padding in shorter rows; the verdict comes with the last token that is told",
            lambda v, p, q, m, b: torch.cat([torch.zeros_like(p[:, 1:]), v[:, None]], 1)
            - torch.where(m, b * (p - q), 0.0),
        ),
        Wrong(
            "prompts and padding pay as well; only told tokens were chosen by the policy",
            lambda v, p, q, m, b: _at_the_end(v, m) - b * (p - q),
        ),
        Wrong(
            "that is k3, which is never below 0; the price here is the plain log-ratio, which may be a refund",
            lambda v, p, q, m, b: _at_the_end(v, m) - torch.where(m, b * ((q - p).exp() - 1 - (q - p)), 0.0),
        ),
        Wrong("the price was forgotten", lambda v, p, q, m, b: _at_the_end(v, m)),
        Wrong(
            "the price is beta nats for a nat; here beta was forgotten",
            lambda v, p, q, m, b: _at_the_end(v, m) - torch.where(m, p - q, 0.0),
        ),
    ),
)  # fmt: skip
def paid(answer, solution):
    told = torch.tensor([[False, True, True, True], [False, False, True, False], [True, True, False, False]])
    logp = torch.tensor([[-9.0, -0.5, -1.0, -2.0], [-9.0, -9.0, -0.2, -9.0], [-1.0, -3.0, -9.0, -9.0]])
    ref_logp = torch.tensor([[-1.0, -1.5, -1.0, -0.5], [-1.0, -1.0, -1.2, -1.0], [-2.0, -1.0, -1.0, -1.0]])
    verdicts = torch.tensor([2.0, -1.0, 0.5])
    for beta in (0.5, 0.0):
        case = f"on three answers of 3, 1 and 2 tokens, beta = {beta}"
        yield differs(
            answer(verdicts, logp, ref_logp, told, beta), solution(verdicts, logp, ref_logp, told, beta), case
        )


@exercise(
    "rlhf.next_price",
    title="The price that follows",
    signature="next_price(beta, kl, target, gain=0.1, most=0.2) -> a number",
    solution="llmrl.rlhf.controller.next_price",
    minutes=8,
    difficulty=1,
    hints=(
        "The error is kl / target - 1: 0 at the target, 1 at twice the target. It is cut to [-most, most]. The price "
        "changes by that share of itself, times gain.",
        "beta * (1 + gain * max(-most, min(most, kl / target - 1)))",
    ),
    wrong=(
        Wrong(
            "the sign is turned: too far away makes moving dearer",
            lambda b, kl, t, gain=0.1, most=0.2: b * (1 - gain * max(-most, min(most, kl / t - 1))),
        ),
        Wrong(
            "the error is relative to the target, kl / target - 1; this one is in nats",
            lambda b, kl, t, gain=0.1, most=0.2: b * (1 + gain * max(-most, min(most, kl - t))),
        ),
        Wrong(
            "the error is cut on both sides; this price may fall as fast as it likes",
            lambda b, kl, t, gain=0.1, most=0.2: b * (1 + gain * min(most, kl / t - 1)),
        ),
        Wrong(
            "the error has to be cut, or one strange batch throws the price about",
            lambda b, kl, t, gain=0.1, most=0.2: b * (1 + gain * (kl / t - 1)),
        ),
        Wrong(
            "the price changes by a share of itself; adding the error treats 0.001 and 10 alike",
            lambda b, kl, t, gain=0.1, most=0.2: b + gain * max(-most, min(most, kl / t - 1)),
        ),
        Wrong(
            "that doubles and halves, as PPO-Penalty does (lesson 5.3); here the price moves a little at every step",
            lambda b, kl, t, gain=0.1, most=0.2: b * (2 if kl > 1.5 * t else 0.5 if kl < t / 1.5 else 1),
        ),
        Wrong(
            "gain multiplies the error after it was cut, so that most bounds the error and not the change",
            lambda b, kl, t, gain=0.1, most=0.2: b * (1 + max(-most, min(most, gain * (kl / t - 1)))),
        ),
    ),
)
def next_price(answer, solution):
    for kl in (4.4, 40.0, 4.0, 3.0, -1.0, 6.5):
        got, want = (price(0.05, kl, 4.0) for price in (answer, solution))
        yield differs(got, want, f"at {kl} nats with a target of 4, beta = 0.05")
    yield differs(answer(0.2, 9.0, 4.0, 0.5, 0.1), solution(0.2, 9.0, 4.0, 0.5, 0.1), "with gain 0.5 and most 0.1")
