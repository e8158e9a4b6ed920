"""Chapters executed without a kernel each: one process imports what they need, and each chapter runs in a fork of it.

A kernel costs ten seconds before it computes anything; a fork of a warm process costs none. So that a small catalogue
goes through all chapters in the time that a kernel takes to start.
"""

import contextlib
import io
import logging
import multiprocessing
import multiprocessing.connection
import os
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import nbformat

from coldstart_utils.book.record import RECORD_MIME
from coldstart_utils.ground import ColdstartError

ROOT = Path(__file__).parents[2]
NOTEBOOKS = {path.stem[:2]: path for path in sorted((ROOT / "notebooks").glob("[0-9]*.ipynb"))}


@dataclass(frozen=True)
class Outcome:
    """What a chapter did: `kind` is 'ran', 'said' (stopped by one sentence) or 'broke'; `text` what it said."""

    chapter: str
    kind: str
    seconds: float
    cell: str = ""
    text: str = ""
    told: str = ""
    broken_claims: tuple[str, ...] = ()


def warm_up():
    """Import what the chapters import, so that no fork has to."""
    import bqplot  # noqa: F401
    import ipywidgets  # noqa: F401
    import sklearn.feature_extraction.text
    import sklearn.linear_model  # noqa: F401
    import torch
    import transformers
    from IPython.core.interactiveshell import InteractiveShell  # noqa: F401
    from threadpoolctl import threadpool_limits

    from coldstart_utils.book import beliefs, data_plots, exposure, plotting  # noqa: F401
    from coldstart_utils.language import context, encoders, finetuning, sequences, towers  # noqa: F401
    from coldstart_utils.whatif import panels  # noqa: F401

    torch.set_num_threads(1)
    threadpool_limits(1)  # two chapters at a time on two cores: threads of both would wait for each other
    transformers.BertModel, transformers.BertForSequenceClassification, transformers.AutoTokenizer  # noqa: B018


def sources(path, parameters):
    """Return (id, source) of the code cells of a notebook, with `parameters` set after its own."""
    cells = []
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "code":
            cells.append((cell.id, cell.source))
            if "parameters" in cell.metadata.get("tags", []):
                cells.append(("injected", "\n".join(f"{name} = {value!r}" for name, value in parameters.items())))
    return cells


def _execute(path, parameters, pipe):
    from IPython.core.interactiveshell import InteractiveShell
    from IPython.utils.capture import capture_output
    from traitlets.config import Config

    os.chdir(path.parent)
    os.environ.pop("COLDSTART_FIGURES", None)
    logging.getLogger().handlers.clear()  # what pytest put there would keep warnings from the page
    quiet = Config({"HistoryManager": {"enabled": False}})
    shell, begun, record, told = InteractiveShell.instance(config=quiet), time.perf_counter(), None, []
    kind, at, text = "ran", "", ""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as noise:
        for at, source in sources(path, parameters):  # noqa: B007
            with capture_output() as shown:
                result = shell.run_cell(source)
            told.append(shown.stderr)
            for output in shown.outputs:
                record = output.data.get(RECORD_MIME, record)
                told.append(output.data.get("text/markdown", ""))
            if failure := (result.error_before_exec or result.error_in_exec):
                expected = isinstance(failure, ColdstartError)
                kind, text = "said" if expected else "broke", str(failure) if expected else shown.stdout
                text = text or repr(failure)
                break
        else:
            kind, text = ("ran", "") if record else ("broke", "left no record")
    told = "\n".join(filter(None, told)) + noise.getvalue()
    broken = tuple(claim for claim, held in (record or {"claims": []})["claims"] if not held)
    pipe.send(Outcome(path.stem[:2], kind, time.perf_counter() - begun, at, text, told, broken))


def start(chapter, parameters):
    """Start a chapter, named by its number, in a fork, in QUICK mode, and return the process and its end of a pipe."""
    here, there = multiprocessing.Pipe(duplex=False)
    asked = (NOTEBOOKS[chapter], {"QUICK": True} | parameters, there)
    child = multiprocessing.get_context("fork").Process(target=_execute, args=asked)
    child.start()
    there.close()
    return child, here


def run_all(asked, jobs=2):
    """Return the `Outcome` of each of `asked` (key → chapter, parameters), so many at a time.

    The forks come from a fresh interpreter: one that has computed by several threads may leave a fork waiting for them.
    """
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as fresh:
        return fresh.submit(_run_all, asked, jobs).result()


def _run_all(asked, jobs):
    warm_up()
    waiting, running, found = dict(asked), {}, {}
    while waiting or running:
        while waiting and len(running) < jobs:
            key, (chapter, parameters) = waiting.popitem()
            child, pipe = start(chapter, parameters)
            running[pipe] = (key, chapter, child)
        for pipe in multiprocessing.connection.wait(running):
            key, chapter, child = running.pop(pipe)
            try:
                found[key] = pipe.recv()
            except EOFError:
                child.join()
                found[key] = Outcome(chapter, "broke", 0.0, text=f"the process ended with {child.exitcode}")
            child.join()
    return found
