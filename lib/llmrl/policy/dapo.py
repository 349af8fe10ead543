r"""DAPO's two parts that are no matter of the surrogate: which groups are learned from, and what length costs.

"Decoupled Clip and Dynamic sAmpling Policy Optimization" (Yu et al. 2025, arXiv:2503.14476) changes GRPO in four
places. Two are arguments of a surrogate: a higher upper end of the clip, every token weighs the same. The other two are
here. Dynamic sampling: a group whose answers all earn the same moves nothing, so ask on until enough groups are mixed.
Overlong shaping: a cut answer is neither right nor wrong, so the last tokens before the limit cost more and more.
Left out: leaving cut answers out of the loss; a buffer of groups that were too many.

Shapes: P prompts, G answers per prompt, B = P G sequences, T positions.
"""

import torch
import torch.nn.functional as F

from llmrl.policy import group

ROUNDS = 8


def overlong(lengths, limit, buffer):
    r"""0 up to limit - buffer tokens, then down in a line to -1 at the limit, and -1 beyond.  lengths of any shape"""
    if not 0 < buffer <= limit:
        raise ValueError(
            f"the buffer is the last part of the limit, 0 < buffer <= limit, got buffer={buffer} and limit={limit}"
        )
    return -((torch.as_tensor(lengths) - (limit - buffer)) / buffer).clamp(0, 1)


def shaped(ask, limit, buffer):
    """An `ask` whose judge takes the price of length off its rewards."""

    def asked(step):
        prompts, judge = ask(step)

        def judge_both(said):
            lengths = [[len(answer) for answer in answers] for answers in said]
            return torch.as_tensor(judge(said)) + overlong(lengths, limit, buffer)

        return prompts, judge_both

    return asked


def mixed(rewards):
    """Whether a group's answers differ in what they earn.  rewards (P, G) -> (P,)"""
    return rewards.amax(1) > rewards.amin(1)


def gather(model, ask, plan, step, seed):
    """As group.gather, of mixed groups only: ask new prompts, in up to ROUNDS rounds, until there are P of them."""
    kept = []
    for number in range(step * ROUNDS, (step + 1) * ROUNDS):
        (ids, mask, logp), rewards, said = group.gather(model, ask, plan, number, seed)
        good = mixed(rewards).nonzero().flatten().tolist()[: plan.prompts - len(kept)]
        rows = [slice(i * plan.answers, (i + 1) * plan.answers) for i in good]
        kept += [((ids[row], mask[row], logp[row]), rewards[i], said[i]) for i, row in zip(good, rows)]
        if len(kept) == plan.prompts:
            break
    if not kept:
        raise ValueError(
            f"none of {ROUNDS * plan.prompts} groups of {plan.answers} answers is mixed: the task is solved, or too "
            f"hard to be solved once; change the prompts, or stop"
        )
    batches, rewards, answers = zip(*kept)
    return joined(batches), torch.stack(rewards), list(answers)


def joined(batches):
    """Batches (ids, mask, logp) of different lengths as one, filled up on the right."""
    longest = max(ids.shape[1] for ids, _, _ in batches)
    wide = [[F.pad(x, (0, longest - ids.shape[1])) for x in (ids, mask, logp)] for ids, mask, logp in batches]
    return tuple(torch.cat(parts) for parts in zip(*wide))
