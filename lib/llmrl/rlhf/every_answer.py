r"""Every answer a small language model could give: what PPO on language estimates, computed.

With a vocabulary of a few tokens and answers of two or three, all answers to a prompt fit in one batch, and each comes
with its probability. Then RLHF's objective $J(\pi)=\sum_y\pi(y)r(y)-\beta\,\mathrm{KL}(\pi\,\|\,\pi_{ref})$ is a sum,
its gradient autograd's, its optimum the Gibbs policy of llmrl.preference.exact; and the gradient that PPO follows in
its first step, whose KL stands in the rewards of single tokens, has an expectation that can be held against it.
Left out: sampling.

Shapes: Y answers, T positions of prompt and answer.
"""

from itertools import product

import torch

from llmrl.lm.generation import IM_END
from llmrl.lm.logprobs import token_logp
from llmrl.lm.training import pad
from llmrl.policy.surrogate import surrogate
from llmrl.policy.token_critic import token_advantages
from llmrl.preference import exact
from llmrl.rlhf.ppo_language import paid

MOST = 4096


def every_answer(vocab, longest, stop=IM_END):
    """All answers of up to `longest` tokens: ended by the stop token, or cut.  -> lists of ids"""
    if longest < 1 or not 0 <= stop < vocab or vocab**longest > MOST:
        raise ValueError(
            f"longest must be 1 or more, stop in [0, vocab) and vocab ** longest at most {MOST}, got longest "
            f"{longest}, stop {stop} and vocab {vocab}: {vocab} ** {longest} answers would have to be listed"
        )
    words = [token for token in range(vocab) if token != stop]
    ended = [[*said, stop] for n in range(longest) for said in product(words, repeat=n)]
    return ended + [list(said) for said in product(words, repeat=longest)]


def laid_out(prompt, answers):
    """One row per answer.  -> ids and mask (Y, T), True on tokens of answers"""
    ids = pad([[*prompt, *answer] for answer in answers])
    return ids, pad([[False] * len(prompt) + [True] * len(answer) for answer in answers], False)


def answer_logp(model, ids, mask):
    """The log-probability of each answer.  ids, mask (Y, T) -> (Y,)"""
    return torch.where(mask[:, 1:], token_logp(model(ids), ids), 0.0).sum(1)


def objective(model, reference, ids, mask, reward, beta):
    r"""$J(\pi)$, exactly.  reward (Y,) -> a number"""
    logp = answer_logp(model, ids, mask)
    with torch.no_grad():
        ref_logp = answer_logp(reference, ids, mask)
    return exact.regularised_value(logp, ref_logp, reward, beta)


def shortfall(model, reference, ids, mask, reward, beta):
    r"""$\beta\,\mathrm{KL}(\pi\,\|\,\pi^*)$: how far $J$ lies below its optimum, that of the Gibbs policy."""
    with torch.no_grad():
        logp, ref_logp = (answer_logp(m, ids, mask) for m in (model, reference))
        return beta * exact.divergence(logp, exact.gibbs(ref_logp, reward, beta))


def expected_surrogate(model, token_rewards, values, ids, mask, plan):
    r"""PPO's first-step objective per answer, averaged over all answers as often as the policy gives them.

    token_rewards, values (Y, T-1); plan: a CriticPlan. Its gradient is that of $J$ where advantages are not whitened,
    lambda and gamma are 1 and the rewards are those of `paid`, whatever the values are.
    """
    told, logp = mask[:, 1:], token_logp(model(ids), ids)
    adv, _ = token_advantages(token_rewards, values, told, plan)
    each = torch.where(told, surrogate(logp, logp.detach(), adv, told), 0.0).sum(1)  # (Y,)
    return (torch.where(told, logp, 0.0).sum(1).exp().detach() * each).sum()


def payments(model, reference, ids, mask, reward, beta):
    """What `paid` gives to every token of every answer.  reward (Y,) -> (Y, T-1)"""
    with torch.no_grad():
        logp, ref_logp = (token_logp(m(ids), ids) for m in (model, reference))
    return paid(reward, logp, ref_logp, mask[:, 1:], beta)
