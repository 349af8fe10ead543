"""The methods of reinforcement learning that this course runs, in order of two questions, each with a link.

What does a method learn: how good things are (values), what to do (a policy), both, or how the world answers (a model)?
And what is it told: the world's own tables, the steps it takes itself, anybody's steps, or a record that nobody can add
to? A third mark says whether it learns a guess from a guess (bootstraps). What stands is read off the notebooks, so a
method is linked on the day its lesson runs and not before.
Left out: methods that no lesson runs or plans. Some names fit two cells; they stand where the course uses them.
"""

import html
from dataclasses import dataclass

from llmrl.course import coverage, places, stored
from llmrl.lesson.display import emit
from llmrl.lesson.tables import folded

LEARNS = ("values", "a policy", "both", "a model or a reward")
TOLD = {
    "tables": "the world's tables,\nor a copy of it\nto try (planning)",
    "own": "its own steps,\nused once or a few\ntimes (on-policy)",
    "any": "anybody's steps,\nkept and used again\n(off-policy)",
    "record": "a fixed record\n(offline)",
}


@dataclass(frozen=True)
class Placed:
    """A method: what it learns (a number of LEARNS), what it is told, the concept that runs it, the library's name."""

    name: str
    learns: int
    told: str
    bootstraps: bool
    concept: str
    library: str = ""

    @property
    def label(self):
        return self.name + " *" * self.bootstraps


METHODS = (
    Placed("policy evaluation", 0, "tables", True, "dp.bellman", "rl.planning.policy_evaluation"),
    Placed("value iteration", 0, "tables", True, "dp.iteration", "rl.planning.value_iteration"),
    Placed("tree search (MCTS)", 0, "tables", False, "search.mcts"),
    Placed("policy iteration", 2, "tables", True, "dp.iteration", "rl.planning.policy_iteration"),
    Placed("AlphaZero", 2, "tables", False, "search.alphazero"),
    Placed("epsilon-greedy bandit", 0, "own", False, "bandit.epsilon", "rl.arm_scores.epsilon_greedy"),
    Placed("UCB1", 0, "own", False, "bandit.ucb", "rl.arm_scores.ucb1"),
    Placed("Thompson sampling", 0, "own", False, "bandit.ucb", "rl.arm_scores.thompson"),
    Placed("LinUCB", 0, "own", False, "bandit.contextual", "rl.contextual.LinUCB"),
    Placed("Monte Carlo", 0, "own", False, "td.mc", "rl.monte_carlo.monte_carlo"),
    Placed("TD(0)", 0, "own", True, "td.target", "rl.td.td_target"),
    Placed("n-step TD", 0, "own", True, "td.n_step", "rl.td.n_step_returns"),
    Placed("TD(lambda)", 0, "own", True, "td.n_step", "rl.traces.td_lambda"),
    Placed("SARSA", 0, "own", True, "control.sarsa", "rl.control.sarsa_target"),
    Placed("expected SARSA", 0, "own", True, "control.sarsa", "rl.control.expected_sarsa_target"),
    Placed("REINFORCE", 1, "own", False, "pg.reinforce", "policy.reinforce.train"),
    Placed("GRPO", 1, "own", False, "grpo.loss", "policy.group.train"),
    Placed("RLOO", 1, "own", False, "grpo.relatives", "policy.surrogate.relative"),
    Placed("GAIL", 1, "own", False, "il.gail"),
    Placed("A2C, A3C", 2, "own", True, "ac.a2c_a3c", "policy.actor_critic.train"),
    Placed("TRPO", 2, "own", True, "ppo.trpo", "policy.trpo.step"),
    Placed("PPO", 2, "own", True, "ppo.train", "policy.ppo.train"),
    Placed("Q-learning", 0, "any", True, "control.q_learning", "rl.control.q_learning_target"),
    Placed("double Q-learning", 0, "any", True, "control.double_q", "rl.control.double_q_target"),
    Placed("SlateQ", 0, "any", True, "bandit.slates", "rl.slate_learning.ItemValues"),
    Placed("DQN", 0, "any", True, "dqn.train", "rl.dqn.train"),
    Placed("double DQN", 0, "any", True, "dqn.overestimation", "rl.dqn.double_target"),
    Placed("Rainbow", 0, "any", True, "dqn.rainbow", "rl.rainbow.rainbow_loss"),
    Placed("C51", 0, "any", True, "dqn.distributional", "rl.distributional.c51_project"),
    Placed("QR-DQN", 0, "any", True, "dqn.distributional", "rl.quantiles.quantile_huber"),
    Placed("DDPG", 2, "any", True, "dpg.ddpg"),
    Placed("TD3", 2, "any", True, "dpg.td3"),
    Placed("SAC", 2, "any", True, "dpg.sac"),
    Placed("Dyna-Q", 3, "any", True, "mb.dyna"),
    Placed("world models", 3, "any", False, "mb.world_model"),
    Placed("CQL", 0, "record", True, "offline.cql_iql"),
    Placed("IQL", 2, "record", True, "offline.cql_iql"),
    Placed("behaviour cloning", 1, "record", False, "il.bc"),
    Placed("Decision Transformer", 1, "record", False, "offline.dt"),
    Placed("DPO", 1, "record", False, "dpo.loss", "preference.losses.dpo"),
    Placed("counting, planning", 3, "record", True, "rl.paradigms", "rl.paradigms.counted_world"),
    Placed("inverse RL", 3, "record", False, "il.irl"),
    Placed("reward model", 3, "record", False, "rm.loss", "rlhf.reward_model.bradley_terry"),
)


def lessons(course, methods=METHODS):
    """The lesson of each method's concept: {concept: Lesson}."""
    wanted = {method.concept for method in methods}
    found = {concept.id: lesson for lesson in course.lessons for concept in lesson.concepts if concept.id in wanted}
    unknown = wanted - set(found)
    if unknown:
        raise ValueError(f"no lesson of the curriculum has the concepts {', '.join(sorted(unknown))}")
    return found


def standing(course, here=None, methods=METHODS):
    """The concepts that run today: read off the notebooks, or off the curriculum where only the library is installed.

    here: the lesson that asks while it runs, whose own stored outputs say nothing yet
    """
    of = lessons(course, methods)
    if places.folder() is None:
        return {concept for concept in of if course.concepts[concept].stands or of[concept].name == here}
    files = {lesson.name: places.root() / "notebooks" / f"{lesson.name}.ipynb" for lesson in of.values()}
    states = coverage.states(course, {name: stored.read(path) for name, path in files.items() if path.is_file()})
    return {concept for concept in of if states[concept].stands or of[concept].name == here}


def lesson_number(course, lesson):
    """A lesson as it is called in the text: "4.2"."""
    for place, chapter in enumerate(course.chapters, 1):
        if lesson in chapter.lessons:
            return f"{place}.{chapter.lessons.index(lesson) + 1}"
    return "0"


def draw_methods(axes, runs, methods=METHODS):
    """The two questions as a grid of methods: filled where a lesson runs it, grey where one is planned.  -> axes"""
    row, rows = 0, []
    for told in TOLD:
        cells = [[m for m in methods if (m.told, m.learns) == (told, column)] for column in range(len(LEARNS))]
        for column, cell in enumerate(cells):
            for place, method in enumerate(cell):
                _box(axes, column, row + place, method.label, method.concept in runs)
        rows.append((row, TOLD[told]))
        row += max(map(len, cells)) + 0.6
    for start, words in rows:
        axes.text(-0.62, start - 0.3, words, fontsize=9.5, ha="right", va="top")
        axes.axhline(start - 0.8, xmin=-0.2, color="#BBBBBB", lw=0.8, clip_on=False)
    for column, words in enumerate(LEARNS):
        axes.text(column, -1.15, words, ha="center", fontsize=10.5, fontweight="bold")
    axes.set(xlim=(-0.55, len(LEARNS) - 0.45), ylim=(row - 0.5, -1.8))
    axes.axis("off")
    return axes


def _box(axes, column, row, words, runs):
    face, ink, edge = ("policy", "white", "policy") if runs else ("white", "#6A6A6A", "#BBBBBB")
    frame = {"boxstyle": "square,pad=0.18", "facecolor": face, "edgecolor": edge}
    axes.text(column, row, words, color=ink, fontsize=8.5, ha="center", va="center", bbox=frame)


def link(lesson, here):
    """The address of a lesson's notebook as seen from another one."""
    up = "" if lesson.name.rpartition("/")[0] == here.rpartition("/")[0] else "../"
    return f"{lesson.name.rpartition('/')[2]}.ipynb" if not up else f"{up}{lesson.name}.ipynb"


def show_links(course, runs, here, methods=METHODS):
    """A table of the methods: what runs today is linked, what is planned is named."""
    of, rows = lessons(course, methods), []
    for method in methods:
        lesson, concept = of[method.concept], course.concepts[method.concept]
        words = html.escape(f"{lesson_number(course, lesson)} {concept.title}")
        place = f'<a href="{link(lesson, here)}">{words}</a>' if method.concept in runs else f"{words} (planned)"
        told = TOLD[method.told].replace("\n", " ")
        uses = f"<code>{method.library}</code>" if method.library else "–"
        rows.append((method.name, LEARNS[method.learns], told, "yes" if method.bootstraps else "no", place, uses))
    head = ("method", "learns", "is told", "bootstraps", "runs in", "in llmrl")
    plain = "\n".join(f"{m.name}: {of[m.concept].name}" for m in methods)
    emit({"text/html": folded(page(head, rows), f"{len(rows)} methods and where they run"), "text/plain": plain})


def page(head, rows):
    """A table whose cells may hold links."""
    cell = 'style="text-align:left;padding:2px 8px"'
    lines = "".join(f"<tr>{''.join(f'<td {cell}>{text}</td>' for text in row)}</tr>" for row in rows)
    heads = "".join(f'<th scope="col" {cell}>{text}</th>' for text in head)
    return f"<table><thead><tr>{heads}</tr></thead><tbody>{lines}</tbody></table>"
