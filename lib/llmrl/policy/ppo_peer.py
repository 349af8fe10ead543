"""PPO of stable-baselines3 with our dials, and its settings for CartPole as ours.

What it calls n_steps is our horizon, vf_coef our critic, clip_range_vf our value_clip. A linear schedule is a function
of the progress that remains. It adds the value of a truncated state to the reward while it collects, which is what
`bootstrapped` does. Its value_clip takes the clipped value alone, ours the larger of two errors.
Left out: gSDE, target_kl, and dictionaries of observations.
"""

from functools import partial

from llmrl.policy.ppo import Config, Details
from llmrl.toy.cart_pole import cart_pole

ZOO = Config(horizon=32, batch=256, epochs=20, lr=1e-3, gamma=0.98, lam=0.8)  # RL Baselines3 Zoo, for CartPole


def their_ppo(env, config, seed, details=Details(), hidden=(64, 64)):
    """Their PPO on an environment or a vector of its own making."""
    from stable_baselines3 import PPO

    return PPO(
        "MlpPolicy",
        env,
        policy_kwargs={"net_arch": list(hidden)},
        n_steps=config.horizon,
        batch_size=config.batch,
        n_epochs=config.epochs,
        learning_rate=(lambda left: config.lr * left) if details.anneal else config.lr,
        clip_range=config.clip,
        clip_range_vf=details.value_clip,
        normalize_advantage=details.normalise,
        gamma=config.gamma,
        gae_lambda=config.lam,
        vf_coef=config.critic,
        ent_coef=config.entropy,
        max_grad_norm=details.longest,
        seed=seed,
        device="cpu",
    )


def their_carts(count, seed, scale):
    """So many carts in the vector class they use, which steps one after the other."""
    from stable_baselines3.common.env_util import make_vec_env

    return make_vec_env(partial(cart_pole, scale=scale), count, seed=seed)


def learn(model, steps, look):
    """Let theirs learn, and look(step) after every buffer; it stops when that is True."""
    from stable_baselines3.common.callbacks import BaseCallback

    class Watch(BaseCallback):
        stop = False

        def _on_rollout_start(self):
            self.stop = bool(self.num_timesteps and look(self.num_timesteps))

        def _on_step(self):
            return not self.stop

    watch = Watch()
    model.learn(steps, callback=watch, log_interval=10**9)
    if not watch.stop:
        look(model.num_timesteps)
