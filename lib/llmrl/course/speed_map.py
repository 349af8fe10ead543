"""The savings that this course measures, in order of where one turns the screw, each with a link.

Five levels, from cheap to try to costly to build: what is computed at all (the algorithm), on what (the model), in
which numbers and by which kernels, how memory is used and requests are served, and how machines share the work. An
entry says what it saves, what it costs, and which lesson measures it. What stands is read off the notebooks, so an
entry is linked on the day its lesson runs and not before.
Left out: savings that no lesson measures or plans.
"""

import html
from dataclasses import dataclass

from llmrl.course import method_map
from llmrl.lesson.display import emit
from llmrl.lesson.tables import folded

LEVELS = (
    "algorithm: compute less",
    "model: smaller parts",
    "numbers, kernels: cheaper arithmetic",
    "memory, serving: hold and move less",
    "cluster: share the work",
)


@dataclass(frozen=True)
class Saving:
    """One way to pay less: its level (a number of LEVELS), what it saves and costs, the concept that measures it."""

    name: str
    level: int
    saves: str
    costs: str
    concept: str
    library: str = ""


SAVINGS = (
    Saving("packing", 0, "padding", "segments to keep apart", "sft.packing", "tuning.packing.pack"),
    Saving("early stopping", 0, "epochs", "a validation set", "sft.epochs", "tuning.stopping.stop_at"),
    Saving("DPO, no reward model", 0, "models, sampling", "fixed pairs", "dpo.versus_rlhf", "preference.losses.dpo"),
    Saving("GRPO, no critic", 0, "a trained model", "several answers", "grpo.versus_ppo", "policy.group.train"),
    Saving("samples or a larger model", 0, "parameters", "tokens", "search.compute", "reasoning.search.best_of_n"),
    Saving("scaling laws", 0, "trial runs", "a fit", "pretrain.scaling", "lm.scaling.fit"),
    Saving("fewer key-value heads", 1, "cache", "some quality", "attention.heads", "lm.attention.kv_bytes"),
    Saving("sliding windows", 1, "scores", "far sight", "attention.sparse", "lm.window.window_mask"),
    Saving("mixture of experts", 1, "operations a token", "weights to hold", "layers.moe", "lm.moe.route"),
    Saving("LoRA", 1, "gradients, Adam", "rank", "peft.lora", "tuning.lora.inject"),
    Saving("one base, adapters", 1, "weights", "swapping", "rlhf.shared_base", "rlhf.shared_base.SharedBase"),
    Saving("pruning", 1, "weights", "some quality", "prune.methods"),
    Saving("distillation", 1, "parameters", "a teacher", "kd.classic"),
    Saving("mixed precision", 2, "bytes, time", "range", "quant.training"),
    Saving("quantisation", 2, "bytes of weights", "exactness", "quant.ptq"),
    Saving("NF4, QLoRA", 2, "frozen weights", "dequantising", "peft.nf4"),
    Saving("attention by tiles", 2, "scores in memory", "recomputing", "flash.tiling", "perf.attention.flash"),
    Saving("a fused gate", 2, "one tensor a layer", "hand-written slope", "layers.swiglu", "lm.swiglu.swiglu"),
    Saving("sparse speed", 2, "products", "structure", "prune.speed"),
    Saving("accumulation", 3, "activations", "smaller products", "perf.accumulation", "tuning.accumulation.accumulate"),
    Saving("checkpoints", 3, "activations", "a forward pass", "perf.checkpoint", "perf.checkpointing.checkpoint"),
    Saving("KV cache", 3, "operations", "memory", "flash.kv_cache", "lm.cache.new_cache"),
    Saving("paged cache", 3, "reserved memory", "a block table", "flash.paged", "perf.pages.PageTable"),
    Saving("continuous batching", 3, "idle slots", "a scheduler", "serve.batching"),
    Saving("speculative decoding", 3, "passes", "a draft", "decode.speculative", "lm.speculative.speculate"),
    Saving("many adapters", 3, "copies of a model", "batched products", "serve.lora"),
    Saving("paged optimiser", 3, "peaks", "transfers", "peft.paged"),
    Saving("data parallel", 4, "time", "a copy per machine", "dist.ddp"),
    Saving("ZeRO, FSDP", 4, "states per machine", "traffic", "dist.zero"),
    Saving("tensor, pipeline", 4, "weights per machine", "traffic, bubbles", "dist.tensor_pipeline"),
    Saving("asynchronous RL", 4, "waiting", "stale data", "scale.async"),
    Saving("a plan", 4, "a wrong purchase", "arithmetic", "dist.plan"),
)


def show_savings(course, runs, here, savings=SAVINGS):
    """The five levels, what is measured today linked, what is planned named; to unfold, what each costs."""
    of = method_map.lessons(course, savings)
    number = {saving: method_map.lesson_number(course, of[saving.concept]) for saving in savings}

    def linked(saving):
        words = f"{html.escape(saving.name)} ({number[saving]})"
        return f'<a href="{method_map.link(of[saving.concept], here)}">{words}</a>'

    levels, details = [], []
    for level, words in enumerate(LEVELS):
        mine = [saving for saving in savings if saving.level == level]
        today = ", ".join(linked(s) for s in mine if s.concept in runs)
        planned = ", ".join(html.escape(s.name) for s in mine if s.concept not in runs)
        levels.append((words, today or "–", planned or "–"))
    for s in savings:
        uses = f"<code>{s.library}</code>" if s.library else "–"
        details.append((s.name, s.saves, s.costs, f"{number[s]} {html.escape(course.concepts[s.concept].title)}", uses))
    head = ("what", "saves", "costs", "lesson", "in llmrl")
    unfold = folded(method_map.page(head, details), f"what each of the {len(details)} saves and costs")
    plain = "\n".join(f"{s.name}: {of[s.concept].name}" for s in savings)
    first = method_map.page(("level", "measured in this course", "planned"), levels)
    emit({"text/html": first + unfold, "text/plain": plain})
