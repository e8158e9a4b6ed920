"""Papermill over the series of notebooks, in parallel, and the results of each."""

from __future__ import annotations

import ast
import json
import multiprocessing
import os
import re
import sys
import tempfile
import time
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, BrokenExecutor, Future, ProcessPoolExecutor, wait
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import typer

from ..ground import ColdstartError, written_aside
from .pages import drop_widgets, read_record, read_results
from .parameters import check
from .progress import Watch, first_run

CELL_TIMEOUT = 1800
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Threads that spin long cost a busy machine many times the seconds; those that sleep at once cost small steps half.
WAIT_BRIEFLY = {"GOMP_SPINCOUNT": "10000", "OPENBLAS_THREAD_TIMEOUT": "4"}


@dataclass(frozen=True)
class Result:
    """What one execution of a notebook gave: its record, or None, and what went wrong, or None."""

    notebook: str
    seconds: float
    record: dict[str, Any] | None = None
    error: str | None = None

    def faults(self) -> list[str]:
        """Return one sentence for each reason why this execution does not count as a success."""
        if self.error:
            return [f"{self.notebook}: stopped by the error shown above"]
        if self.record is None:
            return [f"{self.notebook}: no record; its last code cell should call record.record"]
        return [f"{self.notebook}: claim does not hold: {k}" for k, held in self.record["claims"].items() if not held]


def find_root(start: Path) -> Path:
    """Return the nearest folder from `start` upwards with `notebooks/` and `pyproject.toml`; ColdstartError if none."""
    for folder in (start, *start.parents):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    raise ColdstartError(f"{start}: neither here nor in a folder above are there notebooks/ and pyproject.toml")


def number_of(path: Path) -> int:
    """Return the number of a chapter, the digits with which its file's name begins; ColdstartError without any."""
    digits = re.match(r"\d+", path.name)
    if digits is None:
        raise ColdstartError(f"{path.name}: expected a name that begins with a number")
    return int(digits[0])


def find_notebooks(root: Path, names: Iterable[str] = ()) -> list[Path]:
    """Return the notebooks named by number, stem or path, or the whole series; ColdstartError for an unknown name."""
    series = sorted((root / "notebooks").glob("[0-9]*.ipynb"))
    if not series:
        raise ColdstartError(f"{root / 'notebooks'}: no notebook whose name begins with a digit")
    found: list[Path] = []
    for name in names:
        number = int(name) if name.isdecimal() else None
        matches = [p for p in series if name in (p.stem, p.name) or number == number_of(p)]
        if not matches and name.endswith(".ipynb") and Path(name).is_file():
            matches = [Path(name).resolve()]
        if not matches:
            raise ColdstartError(f"notebook {name!r}: not found; there are {', '.join(p.stem for p in series)}")
        found += matches
    return list(dict.fromkeys(found)) or series


def parse_value(text: str) -> Any:
    """Return the Python literal that `text` spells, or `text` itself."""
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError, TypeError, MemoryError, RecursionError):  # all that `literal_eval` may raise
        return text


def parameters_of(path: Path) -> dict[str, str]:
    """Return the parameters of a notebook with their defaults as written; ColdstartError if it is not a notebook."""
    import papermill

    try:
        return {name: found["default"] for name, found in papermill.inspect_notebook(str(path)).items()}
    except ValueError as error:
        raise ColdstartError(f"{path.name}: {error}") from None


def assign_parameters(paths: list[Path], given: dict[str, Any]) -> list[dict[str, Any]]:
    """Return for each notebook those of the parameters that it has; ColdstartError for one that none of them has."""
    known = [parameters_of(path) for path in paths] if given else [{} for _ in paths]
    every = sorted(set().union(*known))
    for name in given:
        if name not in every:
            raise ColdstartError(f"parameter {name}: no selected notebook has it; known: {', '.join(every) or 'none'}")
    return [{name: value for name, value in given.items() if name in own} for own in known]


def kernel_environment(jobs: int, figures: Path | None) -> dict[str, str]:
    """Return the environment for kernels of which `jobs` share the machine and which save figures in `figures`."""
    threads = str(max(1, (os.cpu_count() or 1) // jobs))
    environment = dict.fromkeys(THREAD_VARIABLES, threads) | WAIT_BRIEFLY | dict(os.environ)
    environment.pop("COLDSTART_FIGURES", None)
    if figures:
        environment["COLDSTART_FIGURES"] = str(figures)
    # The kernel's `python` is looked up on PATH, debugpy would warn about frozen modules at each start,
    # and the bars of a kernel would stand in its page for good; the series has a bar of its own.
    environment |= _instead_of_home(environment)
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    return environment | {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "TQDM_DISABLE": "1"}


def _instead_of_home(environment: dict[str, str]) -> dict[str, str]:
    """Return where kernels keep what they keep in the user's home, if nothing can be written there; else nothing."""
    home = Path(environment.get("HOME") or Path.home())
    try:
        with tempfile.TemporaryFile(dir=home):
            return {}
    except OSError:
        folder = tempfile.mkdtemp(prefix="coldstart-")
    typer.echo(f"coldstart: {home} cannot be written; what kernels keep goes to {folder}", err=True)
    places = {"JUPYTER_RUNTIME_DIR": "runtime", "IPYTHONDIR": "ipython", "MPLCONFIGDIR": "matplotlib"}
    places |= {"NUMBA_CACHE_DIR": "numba", "COLDSTART_CACHE": "cache"}
    return {name: f"{folder}/{place}" for name, place in places.items() if name not in environment}


def build_folder(root: Path, *, quick: bool, changed: bool) -> Path:
    """Return where a run writes: what was asked for quickly, or with `changed` parameters, has a folder of its own."""
    return root / "build" / "quick" if quick else root / "build" / "parameters" if changed else root / "build"


def run_series(
    root: Path, paths: list[Path], parameters: dict[str, Any] | None = None, *, quick: bool = False, jobs: int = 2,
    renew_figures: bool = False,
) -> list[Result]:  # fmt: skip
    """Execute notebooks in parallel, write them and their figures under `build/`, and return a result for each.

    `renew_figures` draws into the project's `figures/` instead, which is under version control.
    A notebook that fails is told on stderr and the others go on. Raises ColdstartError for an unknown parameter, a
    value that it cannot have, or a `build/` that cannot be written.
    """
    given = (parameters or {}) | ({"QUICK": True} if quick else {})
    check(given)
    build = build_folder(root, quick=quick, changed=bool(parameters))
    figures = None if quick else root / "figures" if renew_figures else build / "figures"
    tasks = list(zip(paths, assign_parameters(paths, given)))
    _make(build)
    jobs = max(1, min(jobs, len(paths), os.cpu_count() or 1))
    context = multiprocessing.get_context("spawn")
    # For each task the cells begun so far: plain numbers without a lock, which a worker that is killed cannot hold.
    begun = context.Array("i", len(tasks), lock=False)
    # Processes, not threads: papermill changes the working folder, and an interrupt must reach every kernel.
    pool = ProcessPoolExecutor(jobs, context, _prepare_worker, (kernel_environment(jobs, figures), begun))
    futures = {pool.submit(_execute, path, build, own, n): path.stem for n, (path, own) in enumerate(tasks)}
    try:
        _watch(futures, begun, Watch(_count_cells(paths), _seconds_of(root)))
    except KeyboardInterrupt:
        for worker in multiprocessing.active_children():
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return [_outcome(future, name) for future, name in futures.items()]


def _make(folder: Path) -> None:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ColdstartError(f"{folder}: cannot be written ({error.strerror})") from None


def _count_cells(paths: list[Path]) -> dict[str, int]:
    cells = {path.stem: json.loads(path.read_text(encoding="utf-8"))["cells"] for path in paths}
    return {name: sum(cell["cell_type"] == "code" for cell in found) for name, found in cells.items()}


def _seconds_of(root: Path) -> dict[str, float]:
    return {name: result["seconds"] for name, result in read_results(root).items()}


def _watch(futures: dict[Future[Result], str], begun: Sequence[int], watch: Watch) -> None:
    """Show how far the notebooks are until all have ended, and tell on stderr what stopped one."""
    pending = set(futures)
    with watch:
        if sentence := first_run():
            typer.echo(sentence, err=True)
        while pending:
            ended, pending = wait(pending, timeout=0.5, return_when=FIRST_COMPLETED)
            for name, cell in zip(futures.values(), begun):
                watch.begin(name, cell)
            for future in ended:
                result = _outcome(future, futures[future])
                watch.end(result.notebook, result.seconds)
                if result.error:
                    typer.echo(result.error, err=True)


def _outcome(future: Future[Result], name: str) -> Result:
    try:
        return future.result()
    except BrokenExecutor:
        return Result(name, 0.0, error=f"{name}: the process that ran it, or one beside it, was killed; run it again")


# In a worker: what it shares with the process that watches.
_BEGUN: Any = None


def _prepare_worker(environment: dict[str, str], begun: Any) -> None:
    global _BEGUN
    import logging
    import warnings

    _BEGUN = begun
    os.environ.clear()
    os.environ.update(environment)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", module="papermill")  # it dislikes the suffix of a file written aside


def _begin(place: int) -> None:
    _BEGUN[place] += 1


def _execute(source: Path, build: Path, parameters: dict[str, Any], place: int) -> Result:
    import nbformat
    from papermill import PapermillExecutionError, execute_notebook
    from traitlets.config import Config

    name, error, executed = source.stem, None, build / "notebooks" / source.name
    started = time.perf_counter()
    try:
        with written_aside(executed) as aside:
            try:
                execute_notebook(
                    str(source),
                    str(aside),
                    parameters,
                    kernel_name="python3",
                    cwd=str(source.parent),
                    progress_bar=False,
                    request_save_on_cell_execute=False,
                    execution_timeout=CELL_TIMEOUT,
                    config=Config({"KernelManager": {"transport_encryption": "auto"}}),
                    extra_arguments=["--log-level=CRITICAL"],
                    on_cell_execute=lambda cell, cell_index: _begin(place),
                )
            except PapermillExecutionError as failure:
                # Caught inside: papermill has written the notebook as far as it got, which is worth keeping.
                expected = failure.ename == ColdstartError.__name__
                told = failure.evalue if expected else "\n".join(["", *failure.traceback])
                error = f"{name}, cell {_BEGUN[place]}: {told}"
        seconds = time.perf_counter() - started
        notebook = nbformat.read(executed, as_version=4)
        drop_widgets(notebook)
        nbformat.write(notebook, executed)
    except Exception as failure:  # the kernel died, a cell took too long: one notebook's trouble, not the series'
        return Result(name, time.perf_counter() - started, error=f"{name}, cell {_BEGUN[place]}: {failure}")
    return Result(name, seconds, read_record(notebook), error)


def save_results(root: Path, results: list[Result]) -> None:
    """Merge `results` into `build/results.json`; a notebook that left no record loses its row."""
    merged = read_results(root)
    for result in results:
        merged.pop(result.notebook, None)
        if result.record:
            merged[result.notebook] = {"seconds": round(result.seconds, 1), "record": result.record}
    merged = dict(sorted(merged.items()))
    with written_aside(root / "build" / "results.json") as aside:
        aside.write_text(json.dumps(merged, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
