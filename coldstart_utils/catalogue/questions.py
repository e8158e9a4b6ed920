"""Questions put to a catalogue: `.queries` and `.qrels` of a folder, those of the package, those of real people."""

from __future__ import annotations

import json
import os
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import sparse

from ..ground import ColdstartError, cache_dir, package_file, written_aside
from .atomic import only_file, read_table, refuse_nan, refuse_twice, rows_of
from .dataset import Dataset
from .movielens import package_table

# The authors' release, mapped by them to the corpus of TREC's track on such questions.
TOMT_URL = "https://raw.githubusercontent.com/samarthbhargav/tomt-data/91715717363665c72f020ed29264f83318ecbc08/trec_dataset.zip"
TOMT_SHA256 = "sha256:1104a167a95424f8dce69e315b7a6a459682adc9ccd44781be853ec069e4ec49"
TOMT = "tomt-ml-100k"


@dataclass(frozen=True, eq=False)
class Questions:
    """Questions and what answers them: `table` (query_id, text, and what else is known), one row a question.

    `relevant` [questions, items] holds the grade of each item that was judged above 0, in the order of the catalogue;
    `judged` [questions, items] is True where somebody looked, whatever they said. `notes` says what was left out.
    """

    name: str
    table: pd.DataFrame
    relevant: sparse.csr_matrix
    judged: sparse.csr_matrix
    notes: tuple[str, ...] = ()

    def __len__(self) -> int:
        return len(self.table)

    @property
    def texts(self) -> list[str]:
        """The questions as they were asked."""
        return self.table["text"].tolist()

    @property
    def right(self) -> np.ndarray:
        """The item with the highest grade for each question [questions], the lowest row where several tie."""
        return np.asarray(self.relevant.argmax(axis=1)).ravel()

    def part(self, rows: np.ndarray) -> Questions:
        """Return the questions of these rows, by number or by a mask."""
        rows = np.arange(len(self))[rows]
        table = self.table.iloc[rows].reset_index(drop=True)
        return Questions(self.name, table, self.relevant[rows], self.judged[rows], self.notes)


def read_questions(folder: str | Path, dataset: Dataset) -> Questions:
    """Return the questions about `dataset` in a folder with one `.queries` and one `.qrels` file.

    `.queries` has query_id and text, `.qrels` query_id, item_id and, if not all are alike, relevance (0: does not
    answer). Raises ColdstartError naming file, line and column for a missing file or column, an empty text, an id or
    a judgement twice, a judgement on an unknown question or item, a relevance below 0 or none.
    """
    folder = Path(folder)
    if not folder.is_dir():
        raise ColdstartError(f"questions: expected a folder with a .queries and a .qrels file, got {str(folder)!r}")
    queries, qrels = (_file(folder, kind) for kind in ("queries", "qrels"))
    table = read_table(queries, ("query_id", "text"))
    refuse_twice(table["query_id"], queries)
    if (empty := table["text"].str.strip() == "").any():
        raise ColdstartError(f"{queries}, line {empty.idxmax() + 2}, column 'text': expected a question, found nothing")
    judged = read_table(qrels, ("query_id", "item_id"))
    grades = judged["relevance"] if "relevance" in judged else pd.Series(1.0, judged.index)
    refuse_nan(grades, qrels, "relevance")
    if (below := grades < 0).any():
        raise ColdstartError(f"{qrels}, line {below.idxmax() + 2}, column 'relevance': expected 0 or more")
    # Grades of one pair would be added up.
    if (twice := judged.duplicated(["query_id", "item_id"])).any():
        raise ColdstartError(f"{qrels}, line {twice.idxmax() + 2}: this question and item are judged twice")
    rows = rows_of(judged, "query_id", table, qrels, queries)
    items = rows_of(judged, "item_id", dataset.items, qrels, Path(f"the items of {dataset.name}"))
    return _questions(folder.name, table, rows, items, grades.to_numpy(float), dataset)


def _file(folder: Path, kind: str) -> Path:
    path = only_file(folder, kind)
    if path is None:
        raise ColdstartError(f"{folder}: expected a file that ends in .{kind}, found none")
    return path


def _questions(
    name: str, table: pd.DataFrame, rows: np.ndarray, items: np.ndarray, grades: np.ndarray, dataset: Dataset
) -> Questions:
    shape = (len(table), dataset.n_items)
    relevant = sparse.csr_matrix((grades, (rows, items)), shape=shape)
    relevant.eliminate_zeros()
    judged = sparse.csr_matrix((np.ones(len(rows), bool), (rows, items)), shape=shape)
    found = Questions(name, table.reset_index(drop=True), relevant, judged)
    answered = np.diff(relevant.indptr) > 0
    if not answered.any():
        raise ColdstartError(f"{name}: expected judgements, found no question with an item of {dataset.name}")
    left_out = int((~answered).sum())
    note = f"{name}: {left_out} of {len(table)} questions have no right item in {dataset.name} and are left out."
    found = found.part(answered)
    return found if not left_out else Questions(name, found.table, found.relevant, found.judged, (note,))


def generated_questions(dataset: Dataset, style: str = "long") -> Questions:
    """Return what a large language model asked about ml-100k without naming the film: 'long' or 'short' (*generated*).

    Raises ColdstartError for another data set or style.
    """
    table = _own(dataset, "known_items").rename(columns={"query": "text"})
    if style not in set(table["style"]):
        raise ColdstartError(f"style: expected one of {', '.join(table['style'].unique())}, got {style!r}")
    # A part of the catalogue, such as its best-known films, has a part of the questions.
    own = (table["style"] == style) & table["item_id"].isin(dataset.items["item_id"])
    table = table[own].reset_index(drop=True)
    items = pd.Index(dataset.items["item_id"]).get_indexer(table["item_id"])
    return _questions(f"generated, {style}", table, np.arange(len(table)), items, np.ones(len(table)), dataset)


def generated_needs(dataset: Dataset) -> Questions:
    """Return 120 needs with no film in mind, graded 2 (fits), 1 (in part), 0 (does not) in a pool (*generated*)."""
    table, grades = _own(dataset, "needs").rename(columns={"query": "text"}), _own(dataset, "needs_grades")
    grades = grades[grades["item_id"].isin(dataset.items["item_id"])]
    rows = pd.Index(table["query_id"]).get_indexer(grades["query_id"])
    items = pd.Index(dataset.items["item_id"]).get_indexer(grades["item_id"])
    return _questions("generated needs", table, rows, items, grades["relevance"].to_numpy(float), dataset)


def _own(dataset: Dataset, name: str) -> pd.DataFrame:
    if dataset.name != "ml-100k":
        raise ColdstartError(f"{dataset.name}: the generated questions are about ml-100k only")
    return package_table(f"ml-100k-queries/{name}")


def questions_from_texts(dataset: Dataset, texts: list[str], *, seed: int = 0, most: int = 500) -> Questions:
    """Return questions made of the catalogue itself: half of the words of an item's text, drawn at random.

    They serve a catalogue that has no questions, to see that everything runs; they say nothing about how people ask.
    """
    rng = np.random.default_rng(seed)
    asked = [item for item in rng.permutation(len(texts)) if texts[item].split()][:most]
    halves = []
    for item in asked:
        own = np.array(texts[item].split())
        halves.append(" ".join(own[np.sort(rng.permutation(len(own))[: max(1, len(own) // 2)])]))
    table = pd.DataFrame({"query_id": dataset.items["item_id"].to_numpy()[asked], "text": halves})
    name = f"half of the words of {dataset.name}'s own texts"
    return _questions(name, table, np.arange(len(asked)), np.array(asked), np.ones(len(asked)), dataset)


def questions_for(dataset: Dataset, place: str | Path, texts: list[str], *, seed: int = 0) -> Questions:
    """Return the questions of the folder `place`, where it has some; else the generated ones of ml-100k; else such as
    are made of the `texts`.
    """
    if place and Path(place).is_dir() and any(Path(place).glob("*.queries")):
        return read_questions(place, dataset)
    if dataset.name == "ml-100k":
        return generated_questions(dataset)
    return questions_from_texts(dataset, texts, seed=seed)


# --- Questions of real people ----------------------------------------------------------------------------------------


def real_questions(dataset: Dataset) -> Questions | None:
    """Return the questions that people asked about films of ml-100k (Bhargav et al. 2022), or None if not installed.

    They lie in `$COLDSTART_DATA/tomt-ml-100k`, or where `coldstart data install tomt` put them.
    """
    folder = tomt_folder()
    return read_questions(folder, dataset) if folder and dataset.name == "ml-100k" else None


def tomt_folder() -> Path | None:
    """Return the folder of the real questions, or None where they are not installed."""
    own = os.environ.get("COLDSTART_DATA")
    places = ([Path(own) / TOMT] if own else []) + [cache_dir() / TOMT]
    return next((place for place in places if any(place.glob("*.queries"))), None)


def download_tomt(folder: Path, url: str = TOMT_URL, checksum: str = TOMT_SHA256) -> Path:
    """Fetch the authors' release, verify it, write the questions about films of ml-100k to `folder`, and return it.

    Which thread asks for which film stands in the package's table of ids. Raises ColdstartError if the release cannot
    be reached, differs, or lacks one of these threads; no half file is left behind.
    """
    import pooch

    try:
        archive = pooch.retrieve(url, checksum, path=folder.parent, fname="tomt.zip", progressbar=False)
    except Exception as error:  # pooch raises requests' and its own errors alike; the reader needs one sentence
        raise ColdstartError(f"{url}: could not be downloaded and verified ({error})") from None
    ids = pd.read_csv(package_file(f"{TOMT}-ids.tsv"), sep="\t", dtype=str)
    texts = _release(Path(archive))
    if missing := [thread for thread in ids["query_id"] if thread not in texts]:
        raise ColdstartError(f"{archive}: {len(missing)} of {len(ids)} threads are not in it, such as {missing[0]!r}")
    lines = [f"{thread}\t{texts[thread]}" for thread in ids["query_id"]]
    judged = [f"{row.query_id}\t{row.item_id}\t1" for row in ids.itertuples()]
    for kind, header, body in (
        ("qrels", "query_id:token\titem_id:token\trelevance:float", judged),
        ("queries", "query_id:token\ttext:token_seq", lines),
    ):
        with written_aside(folder / f"{TOMT}.{kind}") as path:
            path.write_text("\n".join([header, *body]) + "\n", encoding="utf-8")
    return folder


def _release(archive: Path) -> dict[str, str]:
    """Return the text of each thread of the release: JSON lines with id, title and text, in one or more files.

    That form is what the authors' TREC.md and the guidelines of TREC's track say; the archive itself was never opened
    here. Whatever is otherwise in it is told with file and line. Raises ColdstartError.
    """
    texts: dict[str, str] = {}
    try:
        with zipfile.ZipFile(archive) as release:
            # What a Mac leaves beside each file of an archive, '._queries.jsonl', is none of them.
            names = [name for name in release.namelist() if "queries" in (own := Path(name).name) and own[:2] != "._"]
            files = {name: release.read(name) for name in names if Path(name).suffix in (".json", ".jsonl")}
    except zipfile.BadZipFile as error:
        raise ColdstartError(f"{archive}: expected a zip archive ({error})") from None
    if not files:
        raise ColdstartError(f"{archive}: expected a file queries.jsonl in it, found none")
    for name, content in files.items():
        for number, line in enumerate(content.splitlines(), start=1):
            try:
                thread = json.loads(line.decode("utf-8"))
                parts = [" ".join((thread.get(part) or "").split()) for part in ("title", "text")]
                texts[str(thread["id"])] = " ".join(part if part[-1] in ".?!" else f"{part}." for part in parts if part)
            except (ValueError, KeyError, AttributeError) as error:
                fault = f"expected a JSON object with id, title and text ({error!r})"
                raise ColdstartError(f"{archive}, {name}, line {number}: {fault}") from None
    return texts
