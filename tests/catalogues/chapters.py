"""Chapters executed without a kernel each: one process imports what they need, and each chapter runs in a fork of it.

A kernel costs ten seconds before it computes anything; a fork of a warm process costs none. So that a small catalogue
goes through all chapters in the time that a kernel takes to start.
"""

import contextlib
import io
import multiprocessing
import os
import time
import warnings
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

    from coldstart_utils.book import beliefs, data_plots, exposure, plotting  # noqa: F401
    from coldstart_utils.language import context, encoders, finetuning, sequences, towers  # noqa: F401
    from coldstart_utils.whatif import panels  # noqa: F401

    torch.set_num_threads(1)
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

    os.chdir(path.parent)
    os.environ.pop("COLDSTART_FIGURES", None)
    shell, begun, record, told = InteractiveShell.instance(), time.perf_counter(), None, []
    kind, at, text = "ran", "", ""
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()) as noise:
        for at, source in sources(path, parameters):  # noqa: B007
            with capture_output() as shown:
                result = shell.run_cell(source)
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


def run(chapter, **parameters):
    """Return the `Outcome` of a chapter, named by its number, in QUICK mode with other `parameters`."""
    here, there = multiprocessing.Pipe(duplex=False)
    parameters = {"QUICK": True} | parameters
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # forks of a process with threads: ours rest
        child = multiprocessing.get_context("fork").Process(
            target=_execute, args=(NOTEBOOKS[chapter], parameters, there)
        )
        child.start()
    there.close()
    try:
        return here.recv()
    except EOFError:
        child.join()
        return Outcome(chapter, "broke", 0.0, text=f"the process ended with {child.exitcode}")
    finally:
        child.join()
