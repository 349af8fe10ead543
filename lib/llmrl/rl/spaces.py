"""Does this environment fit a network that rates actions?

A vector environment is asked before the first step: a list of numbers goes in, one of a few actions comes out, there is
one environment per learner, and an episode that ended is begun anew by the step after, so that its last state is seen.
What is not Gymnasium's and says nothing about its spaces is believed.
Left out: pixels, actions that are real numbers, and environments that reset themselves within the last step.
"""


def refuse_others(envs, network, memory):
    """Raise where environments, network and memory do not fit one another."""
    _environments(envs, network.learners)
    wanted = (memory.learners, memory.width)
    sizes = getattr(network, "sizes", None)
    if memory.learners != network.learners or (sizes and memory.width != sizes[0]):
        has = (network.learners, *(sizes or ())[:1])
        raise ValueError(f"the memory is for (learners, numbers per state) = {wanted}, the network for {has}")
    states, actions = (getattr(envs, f"single_{what}_space", None) for what in ("observation", "action"))
    if states is not None and tuple(states.shape or ()) != (memory.width,):
        raise ValueError(f"a state must be a list of {memory.width} numbers, got {states}: flatten it, or encode it")
    if actions is not None and not hasattr(actions, "n"):
        raise ValueError(f"actions must be a few to choose from, got {actions}: DQN takes a maximum over all of them")
    if actions is not None and sizes and actions.n != sizes[-1]:
        raise ValueError(
            f"the network rates {sizes[-1]} actions, the environment has {actions.n}: change its last size"
        )


def _environments(envs, learners):
    refuse_pool(envs)
    found = getattr(envs, "num_envs", None)
    if found not in (None, learners):
        raise ValueError(f"every learner needs one environment, got {found} for {learners} learners")


def refuse_pool(envs):
    """Raise where this is no vector environment, or one that resets itself within an episode's last step."""
    if getattr(envs, "num_envs", None) is None and hasattr(envs, "spec"):
        name = getattr(envs.spec, "id", "this one")
        raise ValueError(f"a vector environment is needed, got a single one: gymnasium.make_vec({name!r}, num_envs=1)")
    mode = getattr(envs, "metadata", {}).get("autoreset_mode")
    if mode is not None and getattr(mode, "name", mode) != "NEXT_STEP":
        raise ValueError(f"the environment must reset with the step after an end (NEXT_STEP), got {mode}")
