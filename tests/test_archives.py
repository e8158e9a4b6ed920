"""catalogue/archives: official archives become the atomic files that they should, or one sentence and nothing else."""

import io
import zipfile
from xml.sax.saxutils import escape

import pytest
from typer.testing import CliRunner

from coldstart_utils.book import cli
from coldstart_utils.catalogue import archives
from coldstart_utils.catalogue.atomic import read_atomic, read_table
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.catalogue.worlds import friendships, open_world, topics_given
from coldstart_utils.ground import ColdstartError

# --- A shop ----------------------------------------------------------------------------------------------------------

HEAD = ["InvoiceNo", "StockCode", "Description", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID", "Country"]
SALES = [
    ("536365", "85123a", "WHITE  HEART HOLDER", 6, 40513.25, 2.55, 17850, "United Kingdom"),
    ("536365", 71053, "WHITE METAL LANTERN", 6, 40513.25, 3.39, 17850, "United Kingdom"),
    ("536370", "85123A", "WHITE HEART HOLDER", 2, 40514.5, 2.95, 17850, "United Kingdom"),
    ("536371", "85123A", "WHITE HEART HOLDER", 1, 40515.0, 2.95, 12583, "France"),
    ("C536379", "71053", "WHITE METAL LANTERN", -1, 40515.0, 3.39, 12583, "France"),  # cancelled
    ("536380", "POST", "POSTAGE", 1, 40515.0, 18, 12583, "France"),  # no product
    ("536381", "71053", "WHITE METAL LANTERN", 1, 40515.0, 0, 12583, "France"),  # given away
    ("536382", "71053", "WHITE METAL LANTERN", 1, 40515.0, 3.39, "", "France"),  # by nobody
]
COUNTS = {"rows": 8, "customers": 2, "products": 2, "pairs": 3}


def workbook(rows, head=HEAD):
    """Return an .xlsx file of one sheet, as small as the format allows; dates are numbers with a date's style."""
    kind = "http://schemas.openxmlformats.org/officeDocument/2006/relationships"
    main = 'xmlns="http://schemas.openxmlformats.org/spreadsheetml/2006/main"'
    of = "application/vnd.openxmlformats-officedocument.spreadsheetml"

    def cell(value, style=""):
        if isinstance(value, str):
            return f'<c t="inlineStr"><is><t>{escape(value)}</t></is></c>' if value else "<c/>"
        return f"<c{style}><v>{value}</v></c>"

    date = head.index("InvoiceDate") if "InvoiceDate" in head else -1
    lines = ["".join(map(cell, head))]
    lines += ["".join(cell(v, ' s="1"' if n == date else "") for n, v in enumerate(row)) for row in rows]
    sheet = "".join(f"<row>{line}</row>" for line in lines)
    parts = {
        "[Content_Types].xml": '<Types xmlns="http://schemas.openxmlformats.org/package/2006/content-types">'
        '<Default Extension="rels" ContentType="application/vnd.openxmlformats-package.relationships+xml"/>'
        f'<Override PartName="/xl/workbook.xml" ContentType="{of}.sheet.main+xml"/>'
        f'<Override PartName="/xl/worksheets/sheet1.xml" ContentType="{of}.worksheet+xml"/>'
        f'<Override PartName="/xl/styles.xml" ContentType="{of}.styles+xml"/></Types>',
        "_rels/.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/relationships">'
        f'<Relationship Id="r1" Type="{kind}/officeDocument" Target="xl/workbook.xml"/></Relationships>',
        "xl/workbook.xml": f'<workbook {main} xmlns:r="{kind}"><sheets><sheet name="Online Retail" sheetId="1" '
        'r:id="r1"/></sheets></workbook>',
        "xl/_rels/workbook.xml.rels": '<Relationships xmlns="http://schemas.openxmlformats.org/package/2006/'
        f'relationships"><Relationship Id="r1" Type="{kind}/worksheet" Target="worksheets/sheet1.xml"/>'
        f'<Relationship Id="r2" Type="{kind}/styles" Target="styles.xml"/></Relationships>',
        "xl/styles.xml": f'<styleSheet {main}><cellXfs><xf numFmtId="0"/><xf numFmtId="22" applyNumberFormat="1"/>'
        "</cellXfs></styleSheet>",
        "xl/worksheets/sheet1.xml": f"<worksheet {main}><sheetData>{sheet}</sheetData></worksheet>",
    }
    return zipped(parts)


def zipped(parts):
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as z:
        for name, content in parts.items():
            z.writestr(name, content)
    return buffer.getvalue()


def shop(rows=SALES, head=HEAD):
    return zipped({"Online Retail.xlsx": workbook(rows, head)})


def test_the_shop_becomes_what_known_customers_bought_and_kept(serve, tmp_path):
    folder = archives.install_online_retail(tmp_path / "online-retail", serve(shop()), COUNTS)
    sold = read_atomic(folder)
    assert sold.items["item_id"].tolist() == ["71053", "85123A"], "one code in two spellings is one product"
    assert sold.items["title"].tolist() == ["WHITE METAL LANTERN", "WHITE HEART HOLDER"]
    assert sold.items["price"].tolist() == [3.39, 2.95]
    assert dict(zip(sold.users["user_id"], sold.users["country"])) == {"12583": "France", "17850": "United Kingdom"}
    assert sold.matrix().sum() == 3
    raw = read_table(folder / "online-retail.inter", ("user_id", "item_id"))
    twice = raw[(raw["user_id"] == "17850") & (raw["item_id"] == "85123A")].iloc[0]
    assert (twice["orders"], twice["timestamp"]) == (2, (40513.25 - 25569) * 86_400), "its first purchase, in seconds"


def test_an_installed_world_is_read_by_its_name_and_not_fetched_again(serve, tmp_path, monkeypatch):
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path))
    monkeypatch.delenv("COLDSTART_DATA", raising=False)
    with pytest.raises(ColdstartError, match="coldstart data install online-retail"):
        load_dataset("online-retail")
    folder = archives.install_online_retail(tmp_path / "online-retail", serve(shop()), COUNTS)
    assert load_dataset("online-retail").n_items == 2
    assert archives.install_online_retail(folder, "http://127.0.0.1:9/refuses", COUNTS) == folder


@pytest.mark.parametrize(
    "content, fault",
    [
        (b"<html>busy</html>", "could not read it"),
        (shop()[:400], "could not read it"),
        (zipped({"readme.txt": "gone"}), "no .xlsx file in it"),
        (zipped({"Online Retail.xlsx": b"no workbook"}), "could not read it"),
        (shop(head=["Invoice", *HEAD[1:]]), "no column 'InvoiceNo'"),
        (shop(SALES[:-1]), "rows 7 for 8"),
        (shop([*SALES[:3], *SALES[4:], SALES[4]]), "customers 1 for 2"),
    ],
)
def test_another_shop_is_told_in_one_sentence_and_leaves_nothing(serve, tmp_path, content, fault):
    url = serve(content)
    with pytest.raises(ColdstartError) as refused:
        archives.install_online_retail(tmp_path / "data" / "online-retail", url, COUNTS)
    assert str(refused.value).startswith(url) and fault in str(refused.value)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_no_network_says_what_else_to_do(tmp_path, monkeypatch):
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    with pytest.raises(ColdstartError, match=r"could not be downloaded.*COLDSTART_DATA.*lastfm-2k/"):
        archives.install_lastfm(tmp_path / "lastfm-2k", "http://127.0.0.1:9/lastfm.zip")


# --- Listeners -------------------------------------------------------------------------------------------------------


def listeners(**changed):
    users = range(1, 13)
    given = [(u, 1, 1) for u in users] + [(1, 2, 2), (2, 2, 2), (3, 9, 1), (1, 1, 1)]
    parts = {
        "artists": "id\tname\turl\tpictureURL\r\n1\tMALICE MIZER\thttp://x\t\r\n2\tSigur  Rós\thttp://y\t\r\n",
        "tags": "tagID\ttagValue\n1\tmetal\n2\tbossa nôva\n",
        "user_artists": "userID\tartistID\tweight\n" + "".join(f"{u}\t{1 + u % 2}\t{10 * u}\n" for u in users),
        "user_friends": "userID\tfriendID\n1\t2\n2\t1\n3\t4\n4\t3\n",
        "user_taggedartists": "userID\tartistID\ttagID\tday\tmonth\tyear\n"
        + "".join(f"{u}\t{a}\t{t}\t1\t4\t2009\n" for u, a, t in given),
    } | changed
    return zipped(
        {f"{name}.dat": text.encode("latin-1" if name == "tags" else "utf-8") for name, text in parts.items()}
    )


HEARD = {"listeners": 12, "artists": 2, "pairs": 12, "friendships": 4}


def test_listeners_bring_friends_topics_and_questions(serve, tmp_path):
    folder = archives.install_lastfm(tmp_path / "lastfm-2k", serve(listeners()), HEARD)
    heard = load_dataset(folder)
    assert heard.items["title"].tolist() == ["MALICE MIZER", "Sigur Rós"]
    assert heard.items["tags"].tolist() == ["metal", "bossa nôva"]
    A = friendships(folder, heard)
    assert A.nnz == 4 and (A != A.T).nnz == 0
    table, T = topics_given(folder, heard)
    assert set(table["tag"]) == {"metal", "bossa nôva"} and T.shape == (12, 1), "a topic needs ten who gave it"
    queries = read_table(folder / "lastfm-2k.queries", ("query_id", "text"))
    assert queries["text"].tolist() == ["metal"]
    judged = read_table(folder / "lastfm-2k.qrels", ("query_id", "item_id"))
    assert judged[["item_id", "relevance"]].to_numpy().tolist() == [["1", 12.0]], "each listener counts once"
    assert "tags" not in open_world(folder).items, "what its audience wrote, a new artist has not"


@pytest.mark.parametrize(
    "changed, fault",
    [
        ({"artists": "number\tname\n1\tA\n"}, "no column 'id' in artists.dat"),
        ({"user_friends": "userID\tfriendID\n1\t2\n"}, "friendships 1 for 4"),
        ({"user_artists": "userID\tartistID\tweight\n1\t1\n"}, "could not read it"),
    ],
)
def test_other_listeners_are_refused(serve, tmp_path, changed, fault):
    with pytest.raises(ColdstartError, match=fault):
        archives.install_lastfm(tmp_path / "lastfm-2k", serve(listeners(**changed)), HEARD)
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


def test_the_command_installs_both(monkeypatch, tmp_path):
    monkeypatch.setenv("COLDSTART_CACHE", str(tmp_path))
    monkeypatch.setattr(archives, "INSTALLERS", {name: lambda folder: folder for name in archives.INSTALLERS})
    for name in ("online-retail", "lastfm-2k"):
        outcome = CliRunner().invoke(cli.app, ["data", "install", name])
        assert outcome.exit_code == 0 and str(tmp_path / name) in outcome.output.replace("\n", "")
