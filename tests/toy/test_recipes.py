"""Training the checkpoints: interrupted anywhere it ends with the same bytes, and nothing is ever half-written."""

import json
import multiprocessing
import os
import signal
import subprocess
import sys
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file

from llmrl import seeds
from llmrl.lm.tokenizer import BPE
from llmrl.lm.training import Plan, text_batches
from llmrl.toy import checkpoints, files, recipes
from llmrl.toy.recipes import Recipe, cook

SHARE = 0.01


def few_words(tokenizer, share):
    return text_batches(tokenizer.encode(recipes.corpus(share)), 2, 16, lambda step: seeds.rng(0, "few", step))


QUICK = Recipe(None, Plan(steps=6, warmup=1), few_words)


@pytest.fixture(autouse=True)
def often(monkeypatch):
    monkeypatch.setattr(recipes, "STATE_EVERY", 2)


@pytest.fixture(scope="module")
def straight(tmp_path_factory):
    """What a run leaves that nobody interrupts."""
    folder = tmp_path_factory.mktemp("straight")
    cook("base", QUICK, folder, folder / "state", SHARE)
    assert not any((folder / "state").glob("*"))
    return contents(folder / "base")


def contents(folder):
    return {path.name: path.read_bytes() for path in folder.iterdir()}


def stop_after(monkeypatch, states):
    """Ctrl-C once so many states were written."""
    write, seen = recipes.write_whole, []

    def writing(path, data):
        write(path, data)
        seen.append(path)
        if len(seen) == states:
            raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "write_whole", writing)


@pytest.fixture
def interrupted(tmp_path, monkeypatch):
    """A run of six steps that was stopped after four."""
    with monkeypatch.context() as patch:
        stop_after(patch, states=2)
        with pytest.raises(KeyboardInterrupt):
            cook("base", QUICK, tmp_path, tmp_path / "state", SHARE)
    assert not (tmp_path / "base").exists()
    return tmp_path


def test_a_run_leaves_a_model_a_tokenizer_and_its_losses(straight):
    assert sorted(straight) == sorted([*checkpoints.FILES, "loss.json"])
    assert len(json.loads(straight["loss.json"])) == 6


def test_an_interrupted_run_ends_with_the_same_bytes(interrupted, straight):
    assert load_file(interrupted / "state" / "base.safetensors")["losses"].numel() == 4
    cook("base", QUICK, interrupted, interrupted / "state", SHARE)
    assert contents(interrupted / "base") == straight
    assert not any((interrupted / "state").glob("*"))


def test_a_resumed_run_takes_only_the_steps_that_are_left(interrupted, monkeypatch):
    taken, train = [], recipes.train

    def counting(*args):
        for record in train(*args):
            taken.append(record["step"])
            yield record

    monkeypatch.setattr(recipes, "train", counting)
    cook("base", QUICK, interrupted, interrupted / "state", SHARE)
    assert taken == [4, 5]


@pytest.mark.parametrize("keep", [0, 1000, -1])
def test_a_damaged_state_says_what_to_delete(interrupted, straight, keep):
    state = interrupted / "state" / "base.safetensors"
    state.write_bytes(state.read_bytes()[:keep])
    with pytest.raises(ValueError, match="base.safetensors is damaged .*delete it to train from the beginning"):
        cook("base", QUICK, interrupted, interrupted / "state", SHARE)
    state.unlink()
    cook("base", QUICK, interrupted, interrupted / "state", SHARE)
    assert contents(interrupted / "base") == straight


@pytest.mark.parametrize(
    "recipe, share",
    [(replace(QUICK, plan=Plan(steps=7, warmup=1)), SHARE), (QUICK, 0.012)],
    ids=["plan", "corpus"],
)
def test_a_state_of_another_run_is_refused(interrupted, recipe, share):
    with pytest.raises(ValueError, match="is the state of another recipe, corpus or base: delete it"):
        cook("base", recipe, interrupted, interrupted / "state", share)


def test_a_state_on_another_base_is_refused(tmp_path, monkeypatch):
    cook("base", QUICK, tmp_path, tmp_path / "state", SHARE)
    with monkeypatch.context() as patch:
        stop_after(patch, states=1)
        with pytest.raises(KeyboardInterrupt):
            cook("sft", replace(QUICK, start="base"), tmp_path, tmp_path / "state", SHARE)
    cook("base", replace(QUICK, plan=Plan(steps=5, warmup=1)), tmp_path, tmp_path / "state", SHARE)
    with pytest.raises(ValueError, match="sft.safetensors is the state of another"):
        cook("sft", replace(QUICK, start="base"), tmp_path, tmp_path / "state", SHARE)


@pytest.mark.slow
def test_a_reward_model_goes_on_where_it_stopped(tmp_path, monkeypatch):
    cook("base", QUICK, tmp_path, tmp_path / "state", SHARE)
    judging = replace(recipes.RECIPES["reward_model"], start="base", plan=Plan(steps=4, warmup=1))
    with monkeypatch.context() as patch:
        stop_after(patch, states=1)
        with pytest.raises(KeyboardInterrupt):
            cook("judge", judging, tmp_path, tmp_path / "state", 0.002)
    cook("judge", judging, tmp_path, tmp_path / "state", 0.002)
    cook("straight", judging, tmp_path, tmp_path / "state", 0.002)
    assert contents(tmp_path / "judge") == contents(tmp_path / "straight")
    assert "score.weight" in load_file(tmp_path / "judge" / "model.safetensors")


def test_a_recipe_without_its_base_says_which(tmp_path):
    with pytest.raises(FileNotFoundError, match="sft starts from .*base, which is missing: train base first"):
        cook("sft", replace(QUICK, start="base"), tmp_path, tmp_path / "state", SHARE)


@pytest.mark.parametrize("name", recipes.RECIPES)
def test_a_batch_depends_on_its_number_alone(name):
    tokenizer = BPE.train(recipes.corpus(0.005), 300)
    first, second = (recipes.RECIPES[name].batches(tokenizer, 0.005) for _ in range(2))
    second(0)
    assert all(torch.equal(a, b) for a, b in zip(first(5), second(5)))
    assert not torch.equal(first(5)[0], first(6)[0])


@pytest.mark.parametrize("name", ["Base", "rlhf"])
def test_an_unknown_recipe_lists_the_known(name, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["recipes", "base", name])
    with pytest.raises(SystemExit):
        recipes.main()
    assert f"there is no recipe for {name}: choose from base, sft, reasoning_base" in capsys.readouterr().err


def test_control_c_says_how_to_go_on(monkeypatch, tmp_path):
    def stopped(*args):
        raise KeyboardInterrupt

    monkeypatch.setattr(recipes, "cook", stopped)
    monkeypatch.setattr(sys, "argv", ["recipes", "--into", str(tmp_path), "--threads", "1"])
    with pytest.raises(SystemExit, match="The same command goes on from the last saved state"):
        recipes.main()


def test_shipped_checkpoints_get_their_checksums_and_strangers_do_not(tmp_path, monkeypatch):
    def written(name, recipe, into, work, share):
        assert work == recipes.Path("build/checkpoints") and share == 1.0
        (into / name).mkdir(parents=True)
        for file in (*checkpoints.FILES, "loss.json", ".model.safetensors.x.part"):
            (into / name / file).write_text("{}")

    monkeypatch.setenv("LLMRL_DATA", str(tmp_path))
    monkeypatch.setattr(recipes, "cook", written)
    recipes.cook_all(["base"], tmp_path / "checkpoints", smoke=False)
    assert files.names() == sorted(f"checkpoints/base/{file}" for file in (*checkpoints.FILES, "loss.json"))
    assert files.verify() == []
    files.forget()


# A run that dies without a chance to say goodbye: SIGKILL, at the moments that matter.


def state_written(path, happened):
    return path.name == "base.safetensors" and happened == 2


def state_half_written(path, happened):
    return path.name == "base.safetensors" and happened == 1


def model_without_settings(path, happened):
    return path.name == "model.safetensors"


def cook_until_killed(folder, moment, before):
    """Train until the moment comes, before or after a file takes its name, and die there."""
    recipes.STATE_EVERY, replace_file, happened = 2, os.replace, []

    def replacing(source, target):
        happened.append(target)
        if not before:
            replace_file(source, target)
        if moment(target, len(happened)):
            os.kill(os.getpid(), signal.SIGKILL)
        if before:
            replace_file(source, target)

    os.replace = replacing
    torch.set_num_threads(1)
    cook("base", QUICK, folder, folder / "state", SHARE)


@pytest.mark.slow
@pytest.mark.parametrize(
    "moment, before", [(state_written, False), (state_half_written, True), (model_without_settings, False)]
)
def test_a_killed_run_leaves_whole_files_and_ends_with_the_same_bytes(tmp_path, straight, moment, before):
    child = multiprocessing.get_context("spawn").Process(target=cook_until_killed, args=(tmp_path, moment, before))
    child.start()
    child.join(120)
    assert child.exitcode == -signal.SIGKILL
    for path in tmp_path.rglob("*.safetensors"):
        assert load_file(path)  # whole, or not there under its name
    for path in tmp_path.rglob("*.json"):
        json.loads(path.read_text())
    cook("base", QUICK, tmp_path, tmp_path / "state", SHARE)
    finished = contents(tmp_path / "base")
    assert {name: data for name, data in finished.items() if not name.startswith(".")} == straight


@pytest.mark.slow
def test_two_smoke_runs_write_the_same_files(tmp_path):
    command = [sys.executable, "-m", "llmrl.toy.recipes", "--smoke", "--threads", "1", "--into"]
    for run in ("first", "second"):
        subprocess.run([*command, str(tmp_path / run)], check=True, capture_output=True, cwd=tmp_path)
    for name in recipes.RECIPES:
        found = contents(tmp_path / "first" / name)
        assert found == contents(tmp_path / "second" / name)
        assert sorted(found) == sorted([*checkpoints.FILES, "loss.json"])
    assert sorted(path.name for path in tmp_path.iterdir()) == ["first", "second"]


@pytest.mark.slow
def test_the_shipped_tokenizer_is_the_one_that_the_recipe_learns():
    assert recipes.learn_tokenizer().merges == checkpoints.tokenizer().merges
