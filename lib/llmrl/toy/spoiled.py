"""An environment that breaks a rule of Gymnasium's interface, and one that breaks a rule no checker can see.

They are TabularEnv with a single mistake, the kind that is made when an environment is written in a hurry. A checker
that plays them refuses the first. The second calls a time limit an ending, which looks like any other ending.
Left out: rendering, spaces that are not Discrete, rewards that are not numbers.
"""

from llmrl.toy.environments import TabularEnv


class OwnDice(TabularEnv):
    """Ignores the seed it is given: no episode of it can be played again."""

    resets = 0

    def reset(self, *, seed=None, options=None):
        self.resets += 1
        return super().reset(seed=self.resets)


class Mixed(TabularEnv):
    """Calls a time limit an ending."""

    def step(self, action):
        state, reward, terminated, truncated, info = super().step(action)
        return state, reward, terminated or truncated, False, info
