"""RecBole's atomic files, read into one `Dataset` or refused with file, line and column.

Atomic files (Zhao et al. 2021, RecBole) are tab-separated with typed headers such as `movie_title:token_seq`. The
format knows no quoting: a quotation mark is a character.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pandas as pd

from ..ground import ColdstartError
from .cleaning import cleaned
from .dataset import Dataset

TYPES = ("token", "token_seq", "float", "float_seq")
# Data sets name the same thing differently; the chapters know one name for each.
ALIASES = {"movie_title": "title", "release_year": "year", "class": "genres", "genre": "genres", "categories": "genres"}


def read_atomic(folder: Path) -> Dataset:
    """Return the `cleaned` `Dataset` of a folder: `.inter`, and `.item`, `.user`, `.kg`, `.link` where they exist.

    Raises ColdstartError for a missing file or column, a wrong type, duplicate or dangling ids, a NaN rating.
    """
    name = folder.resolve().name
    inter_path = only_file(folder, "inter")
    if inter_path is None:
        raise ColdstartError(f"{folder}: expected a file that ends in .inter, found none")
    paths = {kind: only_file(folder, kind) for kind in ("item", "user", "kg", "link")}
    inter = read_table(inter_path, ("user_id", "item_id"))
    items = entity_table(paths["item"], "item_id", inter)
    users = entity_table(paths["user"], "user_id", inter)

    interactions = pd.DataFrame(
        {
            "user": rows_of(inter, "user_id", users, inter_path, paths["user"]),
            "item": rows_of(inter, "item_id", items, inter_path, paths["item"]),
        }
    )
    notes = []
    for column in ("rating", "timestamp"):
        if column in inter:
            refuse_nan(inter[column], inter_path, column)
            interactions[column] = inter[column]
        else:
            notes.append(f"{name} has no {column}s.")
    interactions, repeated = _each_pair_once(interactions)
    notes += repeated
    if users.shape[1] == 1:
        notes.append(f"{name} has no attributes of users.")
    triples, links = _graph(paths, items)
    if not len(links):
        notes.append(f"{name} has no knowledge graph.")
    return cleaned(Dataset(name, interactions, items, users, triples, links, tuple(notes)))


def _each_pair_once(interactions: pd.DataFrame) -> tuple[pd.DataFrame, list[str]]:
    repeated = interactions.duplicated(["user", "item"], keep="last")
    if not repeated.any():
        return interactions, []
    if "timestamp" in interactions:
        interactions = interactions.sort_values("timestamp", kind="stable")
    interactions = interactions.drop_duplicates(["user", "item"], keep="last").sort_index(ignore_index=True)
    return interactions, [f"{repeated.sum()} repeated pairs of user and item were reduced to their latest."]


def _graph(paths: dict[str, Path | None], items: pd.DataFrame) -> tuple[pd.DataFrame, pd.DataFrame]:
    triples = pd.DataFrame(columns=["head", "relation", "tail"])
    links = pd.DataFrame(columns=["item", "entity"])
    if paths["kg"] and paths["link"]:
        columns = ["head_id", "relation_id", "tail_id"]
        triples = read_table(paths["kg"], columns)[columns]
        triples.columns = ["head", "relation", "tail"]
        link = read_table(paths["link"], ("item_id", "entity_id"))
        codes = rows_of(link, "item_id", items, paths["link"], paths["item"])
        links = pd.DataFrame({"item": codes, "entity": link["entity_id"]})
    return triples, links


def read_table(path: Path, required: Sequence[str]) -> pd.DataFrame:
    """Return one atomic file as a frame: float columns as float64 (empty is NaN), all others as strings.

    Raises ColdstartError naming file, line and column for an empty file, a header without types, a missing column,
    a line with too many or too few fields, or a number that does not parse.
    """
    try:
        lines = path.read_bytes().decode("utf-8-sig").rstrip("\r\n").split("\n")
    except UnicodeDecodeError as error:
        place, byte = error.object.count(b"\n", 0, error.start) + 1, error.object[error.start]
        raise ColdstartError(f"{path}, line {place}: expected UTF-8, found the byte {byte:#04x}") from None
    if not lines[0].strip():
        raise ColdstartError(f"{path}: the file is empty; expected a header such as 'user_id:token\\titem_id:token'")
    if len(lines) == 1:
        raise ColdstartError(f"{path}: the file has a header but no line below it")
    header = lines[0].rstrip("\r").split("\t")
    names = _names(header, path, required)
    for number, line in enumerate(lines[1:], start=2):
        if line.count("\t") != len(header) - 1:
            found = line.count("\t") + 1
            raise ColdstartError(f"{path}, line {number}: expected {len(header)} tab-separated fields, found {found}")
    fields = [line.rstrip("\r").split("\t") for line in lines[1:]]
    frame = pd.DataFrame(fields, columns=names, dtype=str)
    for name, field in zip(names, header):
        if field.endswith(":float"):
            frame[name] = _as_float(frame[name], path, field.rpartition(":")[0])
    for name in required:
        if name.endswith("_id") and (empty := frame[name] == "").any():
            raise ColdstartError(f"{path}, line {empty.idxmax() + 2}, column {name!r}: expected an id, found nothing")
    return frame


def _names(header: Sequence[str], path: Path, required: Sequence[str]) -> list[str]:
    """Return the names by which the chapters know the columns; ColdstartError for a header that is none."""
    if len(header) == 1 and header[0].count(":") > 1:
        raise ColdstartError(f"{path}, line 1: expected columns with a tab between them, found none in {header[0]!r}")
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
        same = [written for written, name in zip(own, names) if name == repeated[0]]
        fault = "stands there more than once" if len({*same}) == 1 else f"stands there twice: as {' and '.join(same)}"
        raise ColdstartError(f"{path}, line 1: the column {repeated[0]!r} {fault}")
    return names


def _as_float(column: pd.Series, path: Path, name: str) -> pd.Series:
    numbers = pd.to_numeric(column, errors="coerce")
    wrong = numbers.isna() & ~column.str.lower().isin(["", "nan"])
    if wrong.any():
        line = wrong.idxmax()
        raise ColdstartError(f"{path}, line {line + 2}, column {name!r}: expected a number, found {column[line]!r}")
    return numbers.astype(float)


def refuse_nan(column: pd.Series, path: Path, name: str) -> None:
    """Raise ColdstartError naming file and line unless the column is of the type float and finite."""
    if column.dtype != float:
        raise ColdstartError(f"{path}, line 1: column {name!r}: expected the type float")
    wrong = ~np.isfinite(column)
    if wrong.any():
        raise ColdstartError(
            f"{path}, line {wrong.idxmax() + 2}, column {name!r}: expected a finite number, found none"
        )


def only_file(folder: Path, kind: str) -> Path | None:
    """Return the one file of the folder that ends in `kind`, or None; ColdstartError for several."""
    found = sorted(folder.glob(f"*.{kind}"))
    if len(found) > 1:
        raise ColdstartError(f"{folder}: expected one .{kind} file, found {', '.join(f.name for f in found)}")
    return found[0] if found else None


def entity_table(path: Path | None, key: str, inter: pd.DataFrame) -> pd.DataFrame:
    """Return the table at `path` with each id of `key` once; where there is no file, the ids that `inter` has."""
    if path is None:
        return pd.DataFrame({key: inter[key].drop_duplicates().tolist()})
    frame = read_table(path, (key,))
    refuse_twice(frame[key], path)
    return frame


def refuse_twice(ids: pd.Series, path: Path) -> None:
    """Raise ColdstartError naming file, line and column if an id stands in the column `ids` twice."""
    twice = ids.duplicated()
    if twice.any():
        line = twice.idxmax()
        raise ColdstartError(f"{path}, line {line + 2}, column {ids.name!r}: the id {ids[line]!r} stands there twice")


def rows_of(
    frame: pd.DataFrame, key: str, entities: pd.DataFrame, path: Path, known: Path | None, *, column: str = ""
) -> np.ndarray:
    """Return the row in `entities` of each id in a `column` of the frame (by default the one that is called `key` too).

    Raises ColdstartError naming the file at `path`, line, column and an id that `known`, the file of the entities, has
    not.
    """
    column = column or key
    codes = pd.Index(entities[key]).get_indexer(frame[column])
    if (codes < 0).any():
        line = int(np.argmax(codes < 0))
        where = known.name if known else "the .inter file"
        others = frame[column][codes < 0].nunique() - 1
        more = f" (nor are {others} other ids)" if others else ""
        raise ColdstartError(
            f"{path}, line {line + 2}, column {column!r}: the id {frame[column][line]!r} is not in {where}, "
            f"where it must be{more}"
        )
    return codes
