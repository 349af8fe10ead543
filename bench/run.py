"""Run the rows, print them, and keep them in bench/results.json.

A new row is a function under @row in a module of this folder; it is found by itself. The file holds ratios and what
the machine is, but nothing by which one could find it. Left out: history and charts.
"""

import argparse
import importlib
import json
import os
import pkgutil
import platform
from pathlib import Path

import torch

from bench.contest import ROWS, compare
from llmrl.storage import write_whole

HERE = Path(__file__).parent
RESULTS = HERE / "results.json"


def find_rows():
    for module in pkgutil.iter_modules([str(HERE)]):
        if module.name not in ("__main__", "run"):
            importlib.import_module(f"bench.{module.name}")
    return dict(sorted(ROWS.items()))


def machine():
    """Enough to judge the numbers by."""
    about = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    models = [line.split(":")[1].strip() for line in about.splitlines() if line.startswith("model name")]
    return {
        "processor": models[0] if models else platform.machine(),
        "cores": os.cpu_count(),
        "system": platform.system(),
        "python": platform.python_version(),
        "torch": torch.__version__,
        "transformers": importlib.metadata.version("transformers"),
    }


def load():
    """How many processes want to compute at the moment, ours included."""
    return round(os.getloadavg()[0], 1) if hasattr(os, "getloadavg") else None


def run(name, quick=False, rounds=None):
    """Yield one result per number of threads."""
    build, threads = ROWS[name]
    before = torch.get_num_threads()
    try:
        for n in threads[:1] if quick else [n for n in threads if n <= os.cpu_count()]:
            torch.set_num_threads(n)
            yield {"row": name, "threads": n, **compare(build(quick), rounds or (3 if quick else 21)), "load": load()}
    finally:
        torch.set_num_threads(before)


def line(result):
    low, high = result["quartiles"]
    return (
        f"{result['row']:22} {result['threads']} thread{'s' * (result['threads'] > 1):1}  "
        f"{result['ratio']:6.2f} x  [{low:.2f}, {high:.2f}]  aim {result['aim']:g}  "
        f"ours {result['ours']:,.0f}, theirs {result['theirs']:,.0f} {result['unit']}  load {result['load']}"
        f"{'  ' + result['note'] if 'note' in result else ''}"
    )


def merge(results, path=RESULTS):
    """Put new results over the old ones of the same row and threads."""
    old = json.loads(path.read_text())["rows"] if path.exists() else []
    rows = {(r["row"], r["threads"]): r for r in [*old, *results]}
    write_whole(path, json.dumps({"machine": machine(), "rows": [rows[key] for key in sorted(rows)]}, indent=1) + "\n")


def main(arguments=None):
    rows = find_rows()
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__.splitlines()[0])
    parser.add_argument("--row", choices=rows, help="only this one")
    parser.add_argument("--rounds", type=int, help="turns per row (21; with --quick 3)")
    parser.add_argument("--quick", action="store_true", help="small, few rounds, nothing kept: does it run")
    options = parser.parse_args(arguments)
    for name in [options.row] if options.row else rows:
        for result in run(name, options.quick, options.rounds):
            print(line(result), flush=True)
            if not options.quick:
                merge([result])
