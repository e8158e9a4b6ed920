"""Official archives of other worlds: fetched with progress, counted, and written as atomic files, all or nothing."""

from __future__ import annotations

import importlib.util
import io
import re
import zipfile
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

import pandas as pd

from ..ground import ColdstartError, written_aside

RETAIL_URL = "https://archive.ics.uci.edu/static/public/352/online+retail.zip"
RETAIL_COUNTS = {"rows": 541_909, "customers": 4_334, "products": 3_659, "pairs": 266_221}
LASTFM_URL = "https://files.grouplens.org/datasets/hetrec2011/hetrec2011-lastfm-2k.zip"
LASTFM_COUNTS = {"listeners": 1_892, "artists": 17_632, "pairs": 92_834, "friendships": 25_434}
RETAIL_COLUMNS = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"]
LASTFM_FILES = {
    "artists": ["id", "name"],
    "tags": ["tagID", "tagValue"],
    "user_artists": ["userID", "artistID", "weight"],
    "user_friends": ["userID", "friendID"],
    "user_taggedartists": ["userID", "artistID", "tagID"],
}
TAGS_AN_ARTIST, USERS_A_QUERY, USERS_A_JUDGEMENT = 10, 10, 2

# What an atomic file holds: its header, and its lines.
Tables = dict[str, tuple[str, Iterable[str]]]


def install_online_retail(
    folder: Path, url: str = RETAIL_URL, expected: Mapping[str, int] = RETAIL_COUNTS
) -> Path:  # fmt: skip
    """Fetch UCI's Online Retail (Chen, Sain & Guo 2012), write it as atomic files to `folder`, and return the folder.

    No checksum is published: the columns and the numbers of rows, customers, products and pairs have to be `expected`.
    Raises ColdstartError, and leaves nothing behind, if it cannot be reached or read, or is another table, and
    without the extra `[shop]`, which reads workbooks.
    """
    if importlib.util.find_spec("python_calamine") is None:
        raise ColdstartError("online-retail is a workbook; to read it: pip install 'coldstart-utils[shop]'")
    return _install(folder, url, _retail, expected)


def install_lastfm(folder: Path, url: str = LASTFM_URL, expected: Mapping[str, int] = LASTFM_COUNTS) -> Path:
    """Fetch GroupLens' HetRec 2011 Last.fm (Cantador, Brusilovsky & Kuflik 2011) likewise, with friends and tags.

    Beside .inter and .item it writes .net (friendships), .topics (tags that a user gave), .queries and .qrels.
    """
    return _install(folder, url, _lastfm, expected)


INSTALLERS: dict[str, Callable[[Path], Path]] = {
    "online-retail": install_online_retail,
    "lastfm-2k": install_lastfm,
}


def _install(
    folder: Path,
    url: str,
    read: Callable[[zipfile.ZipFile], tuple[Tables, dict[str, int]]],
    expected: Mapping[str, int],
) -> Path:
    name = folder.name
    if (folder / f"{name}.inter").is_file():
        return folder
    archive = _fetched(url, folder)
    try:
        with zipfile.ZipFile(archive) as opened:
            tables, found = read(opened)
        if wrong := [f"{what} {found[what]:,} for {n:,}" for what, n in expected.items() if found[what] != n]:
            raise ColdstartError(f"{url}: expected the table as published, found {', '.join(wrong)}")
    except (zipfile.BadZipFile, KeyError, ValueError, UnicodeDecodeError) as error:
        # Another try has to fetch it anew.
        archive.unlink(missing_ok=True)
        if isinstance(error, ColdstartError):
            raise
        raise ColdstartError(f"{url}: expected the archive as published, could not read it ({error})") from None
    # .inter goes last: its presence says that the folder is complete.
    for kind in sorted(tables, key=lambda kind: kind == "inter"):
        header, lines = tables[kind]
        with written_aside(folder / f"{name}.{kind}") as path:
            path.write_text("\n".join([header, *lines]) + "\n", encoding="utf-8")
    return folder


def _fetched(url: str, folder: Path) -> Path:
    import pooch

    # Without a checksum to compare, pooch would print that of what came.
    pooch.get_logger().setLevel("WARNING")
    name = f"{folder.name}.zip"
    try:
        return Path(pooch.retrieve(url, None, path=folder.parent, fname=name, progressbar=True))
    except Exception as error:  # pooch raises requests' and its own errors alike; the reader needs one sentence
        raise ColdstartError(
            f"{url}: could not be downloaded ({error}). "
            f"With the files at hand, set COLDSTART_DATA to a folder that holds {folder.name}/"
        ) from None


def _lines(frame: pd.DataFrame) -> list[str]:
    return ["\t".join(row) for row in frame.astype(str).itertuples(index=False)]


def _plain(text: object) -> str:
    return " ".join(str(text).split())


# --- Online Retail ---------------------------------------------------------------------------------------------------


def _retail(archive: zipfile.ZipFile) -> tuple[Tables, dict[str, int]]:
    """Return the atomic files of the shop: what known customers bought and kept, one row a customer and product."""
    (member,) = [name for name in archive.namelist() if name.lower().endswith(".xlsx")] or [""]
    if not member:
        raise KeyError("no .xlsx file in it")
    try:
        sheet = pd.read_excel(io.BytesIO(archive.read(member)), engine="calamine", dtype={"StockCode": str})
    except Exception as error:  # the reader of workbooks has errors of its own
        raise ValueError(f"{member}: {error}") from None
    if missing := [column for column in [*RETAIL_COLUMNS, "Country"] if column not in sheet]:
        raise KeyError(f"no column {missing[0]!r} in {member}")
    rows, sheet = len(sheet), sheet[sheet["CustomerID"].notna()]
    sheet = sheet.assign(
        item=sheet["StockCode"].astype(str).str.strip().str.upper(),
        user=sheet["CustomerID"].astype(float).astype(int),
        # The hour is that of the shop, taken as UTC.
        time=(pd.to_datetime(sheet["InvoiceDate"]) - pd.Timestamp(0)) // pd.Timedelta("1s"),
    )
    # Cancelled, returned and given away is not bought; postage and fees have no number of five digits.
    sold = (sheet["Quantity"] > 0) & (sheet["UnitPrice"] > 0) & ~sheet["InvoiceNo"].astype(str).str.startswith("C")
    sheet = sheet[sold & sheet["item"].map(lambda code: bool(re.fullmatch(r"\d{5}[A-Z]*", code)))]
    pairs = sheet.groupby(["user", "item"], sort=False).agg(orders=("InvoiceNo", "nunique"), time=("time", "min"))
    titles = sheet.assign(title=sheet["Description"].map(_plain)).groupby("item")["title"].agg(_commonest)
    items = pd.DataFrame({"title": titles, "price": sheet.groupby("item")["UnitPrice"].median().map("{:g}".format)})
    users = sheet.groupby("user")["Country"].agg(_commonest)
    tables: Tables = {
        "item": ("item_id:token\ttitle:token_seq\tprice:float", _lines(items.reset_index())),
        "user": ("user_id:token\tcountry:token", _lines(users.reset_index())),
        "inter": ("user_id:token\titem_id:token\torders:float\ttimestamp:float", _lines(pairs.reset_index())),
    }
    return tables, {"rows": rows, "customers": len(users), "products": len(items), "pairs": len(pairs)}


def _commonest(values: pd.Series) -> str:
    return str(values.mode().iloc[0])


# --- Last.fm ---------------------------------------------------------------------------------------------------------


def _lastfm(archive: zipfile.ZipFile) -> tuple[Tables, dict[str, int]]:
    """Return the atomic files of the listeners: what they played, their friends, and the tags that they gave."""
    files = {name: _dat(archive, name, columns) for name, columns in LASTFM_FILES.items()}
    played, friends, artists = files["user_artists"], files["user_friends"], files["artists"]
    given = files["user_taggedartists"].drop_duplicates()
    words = files["tags"].set_index("tagID")["tagValue"].map(_plain)
    given = given[given["tagID"].isin(words.index)]
    on_known = given[given["artistID"].isin(artists["id"])]
    judged = on_known.groupby(["tagID", "artistID"]).size().rename("relevance").reset_index()
    most = judged.sort_values(["relevance", "tagID"], ascending=[False, True], kind="stable")
    most = most.groupby("artistID").head(TAGS_AN_ARTIST)
    tags = most.assign(tag=most["tagID"].map(words)).groupby("artistID")["tag"].agg(", ".join)
    items = artists.assign(name=artists["name"].map(_plain), tags=artists["id"].map(tags).fillna(""))
    topics = given.groupby(["userID", "tagID"], sort=False).size().rename("times").reset_index()
    topics["tagID"] = topics["tagID"].map(words)
    asked = given.groupby("tagID")["userID"].nunique()
    asked = asked[asked >= USERS_A_QUERY].index
    judged = judged[judged["tagID"].isin(asked) & (judged["relevance"] >= USERS_A_JUDGEMENT)]
    queries = pd.DataFrame({"id": asked, "text": asked.map(words)})
    tables: Tables = {
        "item": ("item_id:token\ttitle:token_seq\ttags:token_seq", _lines(items[["id", "name", "tags"]])),
        "net": ("source_id:token\ttarget_id:token", _lines(friends)),
        "topics": ("user_id:token\ttag:token_seq\ttimes:float", _lines(topics)),
        "queries": ("query_id:token\ttext:token_seq", _lines(queries)),
        "qrels": ("query_id:token\titem_id:token\trelevance:float", _lines(judged)),
        "inter": ("user_id:token\titem_id:token\tlistens:float", _lines(played)),
    }
    counts = {"listeners": played["userID"].nunique(), "artists": len(items), "pairs": len(played)}
    return tables, counts | {"friendships": len(friends)}


def _dat(archive: zipfile.ZipFile, name: str, columns: list[str]) -> pd.DataFrame:
    """Return columns of one tab-separated file, which knows no quoting; names are UTF-8, tags Latin-1."""
    content = archive.read(f"{name}.dat").decode("latin-1" if name == "tags" else "utf-8")
    header, *lines = (line.rstrip("\r").split("\t") for line in content.rstrip("\n").split("\n"))
    if missing := [column for column in columns if column not in header]:
        raise KeyError(f"no column {missing[0]!r} in {name}.dat")
    return pd.DataFrame(lines, columns=header, dtype=str)[columns]
