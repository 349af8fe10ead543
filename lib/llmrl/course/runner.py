"""Running notebooks: each in a fresh kernel of this very Python, in its own folder, cell by cell.

A notebook that ran through gets its outputs refreshed in place, whole. One that failed keeps the file it had.
Left out: running single cells or caching results. A lesson runs top to bottom, or it does not run.
"""

import asyncio
import re
import tempfile
import time
from dataclasses import dataclass, field

from ipykernel.kernelspec import RESOURCES, get_kernel_dict
from jupyter_client.kernelspec import KernelSpecManager
from jupyter_client.manager import AsyncKernelManager
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
from traitlets import default

from llmrl.course import places, rules, sections, stored
from llmrl.course.seconds import Cell, first_line

COLOUR = re.compile(r"\x1b\[[0-9;]*m")


class ThisPython(KernelSpecManager):
    """One kernel only: the Python that runs the course, whatever kernels the machine has besides."""

    def get_kernel_spec(self, kernel_name):
        return self.kernel_spec_class(resource_dir=RESOURCES, **get_kernel_dict())


class Kernel(AsyncKernelManager):
    """A kernel manager that knows ThisPython alone."""

    @default("kernel_spec_manager")
    def _this_python(self):
        return ThisPython()


@dataclass
class Result:
    """What became of one notebook: its cells' seconds, its problems, and the notebook as it came out."""

    name: str
    cells: list = field(default_factory=list)
    problems: list = field(default_factory=list)
    notebook: dict = None

    @property
    def seconds(self):
        return sum(cell.seconds for cell in self.cells)

    def count(self, what):
        """The number of things of a kind in the executed cells: count(sections.claims)."""
        return sum(len(list(what(cell))) for _, cell in stored.code_cells(self.notebook)) if self.notebook else 0


async def cells_run(notebook, folder, timeout, log):
    """Run a notebook's cells in a kernel of its own that complains into log; yields (place, cell, seconds)."""
    client = NotebookClient(
        notebook, timeout=timeout, kernel_name="python3", kernel_manager_class=Kernel, coalesce_streams=True,
        resources={"metadata": {"path": str(folder)}}, startup_timeout=120,
    )  # fmt: skip
    client.reset_execution_trackers()
    kernel = client.create_kernel_manager()
    try:
        await client.async_start_new_kernel(stderr=log)
        await client.async_start_new_kernel_client()
        for place, cell in enumerate(notebook["cells"]):
            begun = time.perf_counter()
            await client.async_execute_cell(cell, place, execution_count=client.code_cells_executed + 1)
            yield place, cell, time.perf_counter() - begun
    finally:
        if client.kc is not None:
            client.kc.stop_channels()
        await kernel.shutdown_kernel(now=True)


async def run_one(path, timeout=600, tick=lambda cell: None):
    """Run the notebook at path and say what became of it; the file is left as it is."""
    result = Result(places.name(path))
    try:
        result.notebook = notebook = stored.read(path)
    except ValueError as error:
        result.problems.append(str(error))
        return result
    codes = {place: number for number, (place, _) in enumerate(stored.code_cells(notebook))}
    reached = -1
    with tempfile.TemporaryFile() as log:
        try:
            async for place, cell, seconds in cells_run(notebook, path.parent, timeout, log):
                reached = place
                if place in codes:
                    result.cells.append(Cell(result.name, codes[place], first_line(stored.source(cell)), seconds))
                    tick(result)
        except (CellExecutionError, CellTimeoutError, DeadKernelError, RuntimeError) as error:
            result.problems.append(_failure(notebook, reached + 1, error, log))
    if not result.problems:
        result.problems += rules.no_stderr(notebook)
    return result


def _failure(notebook, place, error, log):
    """One paragraph on a cell that failed: where, what, and the cell itself."""
    cell = notebook["cells"][min(place, len(notebook["cells"]) - 1)]
    if isinstance(error, CellExecutionError):
        what = f"{error.ename}: {COLOUR.sub('', error.evalue)}"
    elif isinstance(error, CellTimeoutError):
        what = "took longer than a cell may (python -m llmrl run --timeout sets how long)"
    else:
        log.seek(0)
        complaints = [line for line in log.read().decode(errors="replace").splitlines() if "IPKernelApp" not in line]
        what = "the kernel stopped" + "".join(f"\n    > {line}" for line in complaints[-5:])
    return f"cell {place} failed: {what}\n" + "\n".join(f"    {line}" for line in stored.source(cell).splitlines())


def differences(old, new):
    """Cells whose output is not what the file has, pictures and cells tagged nbval-ignore-output aside."""
    for (place, before), (_, after) in zip(stored.code_cells(old), stored.code_cells(new)):
        ignored = {"nbval-ignore-output", "nbval-skip"} & set(rules.tags(before))
        if not ignored and _said(before) != _said(after):
            yield f"cell {place}: its output is not the stored one"


def _said(cell):
    outputs = []
    for out in stored.join_streams(cell["outputs"]):
        data = {kind: value for kind, value in out.get("data", {}).items() if kind not in sections.PICTURES[::2]}
        data.pop("application/vnd.jupyter.widget-view+json", None)
        said = [out.get(key) for key in ("output_type", "name", "text", "ename", "evalue")]
        outputs.append((*said, data))
    return outputs


async def run_all(paths, jobs=1, check=False, timeout=600, tick=lambda result: None):
    """Run notebooks, at most `jobs` at a time; those that ran through are stored, or compared when check is set."""
    gate = asyncio.Semaphore(jobs)

    async def one(path):
        async with gate:
            result = await run_one(path, timeout, tick)
        if check and not result.problems:
            result.problems += differences(stored.read(path), result.notebook)
        elif not result.problems:
            stored.write(result.notebook, path)
        return result

    return await asyncio.gather(*map(one, paths))
