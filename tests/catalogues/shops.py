"""Small legal catalogues as readers bring them: each lacks something, or says it in its own way."""

import numpy as np

GENRES = ["Comedy", "Drama", "Thriller", "Western"]
WORDS = [
    "harbour",
    "winter",
    "letter",
    "brother",
    "river",
    "lantern",
    "garden",
    "border",
    "mirror",
    "orchard",
    "island",
]
DOLLARS = ["Ba$$in", "A$AP & K$ha", "$5 a Day", "Cost $_{x $ Rise", "Half^2$ of $_"]
MARKS = ["<b>Bold</b> & co", "*Stars* _lines_", "a | b", "100 %", "`tick` \\frac{1}{2}", "{curly} [square](x)"]
CHINESE = ["红灯笼", "春天的河", "沉默的山", "北方来信", "城南旧事", "黑夜与海", "雪国列车", "远方的家", "风中的信"]


def write(folder, **tables):
    """Write one atomic file a keyword, each a list of rows, and return the folder."""
    folder.mkdir(parents=True, exist_ok=True)
    for kind, rows in tables.items():
        text = "\n".join("\t".join(map(str, row)) for row in rows) + "\n"
        (folder / f"{folder.name}.{kind}").write_text(text, encoding="utf-8")
    return folder


def choices(
    users, items, per, *, seed=0, rating=lambda r: int(r.integers(1, 6)), time=lambda r: 1.6e9 + int(r.integers(9e6))
):
    """Return rows of an .inter file: each user chooses `per` items, those of one of four tastes more often."""
    r, rows = np.random.default_rng(seed), []
    for u in range(users):
        liking = np.array([4.0 if (i - u) % 4 == 0 else 1.0 for i in range(items)])
        n = per(u) if callable(per) else per
        for i in r.choice(items, min(n, items), replace=False, p=liking / liking.sum()):
            rows.append((f"u{u}", f"i{i}", rating(r), f"{time(r):.0f}"))
    return [("user_id:token", "item_id:token", "rating:float", "timestamp:float"), *rows]


def titles(n):
    r = np.random.default_rng(1)
    return [" ".join(r.choice(WORDS, 3)) + f" {i}" for i in range(n)]


def things(n, title=None, genres=lambda i: GENRES[i % 4], year=lambda i: 1950 + i % 60):
    """Return rows of an .item file with title, year and genres."""
    title = title or titles(n)
    header = ("item_id:token", "title:token_seq", "year:token", "genres:token_seq")
    return [header, *[(f"i{i}", title[i], year(i), genres(i)) for i in range(n)]]


def people(n):
    """Return rows of a .user file with age, gender and occupation."""
    rows = [(f"u{u}", 20 + u % 40, "MF"[u % 2], ["clerk", "nurse"][u % 2]) for u in range(n)]
    return [("user_id:token", "age:token", "gender:token", "occupation:token"), *rows]


def changed(rows, name, of):
    """Return the rows with a column in which row n has `of(n)`, in the place of the one of this name or as the last."""
    names = [field.split(":")[0] for field in rows[0]]
    at = names.index(name.split(":")[0]) if name.split(":")[0] in names else len(names)
    header = rows[0] if at < len(names) else (*rows[0], name)
    return [header, *[(*row[:at], of(n), *row[at + 1 :]) for n, row in enumerate(rows[1:])]]


def without(rows, *names):
    """Return the rows of a table less the columns of these names."""
    kept = [n for n, field in enumerate(rows[0]) if field.split(":")[0] not in names]
    return [tuple(row[n] for n in kept) for row in rows]


def whole(users=40, items=50, per=20, **options):
    """Return the tables of a catalogue that lacks nothing but a graph."""
    return {"inter": choices(users, items, per, **options), "item": things(items), "user": people(users)}


def _by_half(genres):
    return lambda i: genres[i % len(genres)]


def _described(n, of):
    return [("item_id:token", "description:token_seq"), *[(f"i{i}", of(i)) for i in range(n)]]


def _of_a_graph(n):
    facts = [(f"m{i}", ["by", "with"][j], f"p{(i * (j + 1)) % 7}") for i in range(n) for j in range(2)]
    return {
        "kg": [("head_id:token", "relation_id:token", "tail_id:token"), *facts],
        "link": [("item_id:token", "entity_id:token"), *[(f"i{i}", f"m{i}") for i in range(n)]],
    }


def _balanced():
    rows = [
        (f"u{(i * 7 + j) % 40}", f"i{i}", 1 + (i + j) % 5, 1_600_000_000 + 1000 * i + j)
        for i in range(50)
        for j in range(16)
    ]
    return [("user_id:token", "item_id:token", "rating:float", "timestamp:float"), *rows]  # fmt: skip


MIXED = [" ".join(pair) for pair in (("Comedy", "Drama"), ("Drama", "Comedy"), ("Western", "Thriller"), ("Thriller",))]
FAMILY = {
    "whole": whole,
    # What is absent.
    "no_genres": lambda: whole() | {"item": without(things(50), "genres")},
    "no_years": lambda: whole() | {"item": without(things(50), "year")},
    "no_titles": lambda: whole() | {"item": without(things(50), "title")},
    "no_ratings": lambda: whole() | {"inter": without(choices(40, 50, 20), "rating")},
    "no_times": lambda: whole() | {"inter": without(choices(40, 50, 20), "timestamp")},
    "no_users": lambda: without_user(whole()),
    "no_text": lambda: {"inter": choices(40, 50, 20)},
    "bare": lambda: {
        "inter": without(choices(40, 50, 20), "rating", "timestamp"),
        "item": _described(50, lambda i: f"A {GENRES[i % 4]} about a {WORDS[i % 11]} and a {WORDS[i % 7]}"),
    },
    "graph": lambda: whole() | _of_a_graph(50),
    # What the columns say, and how.
    "empty_titles": lambda: whole() | {"item": things(50, [""] * 50)},
    "empty_genres": lambda: whole() | {"item": things(50, genres=lambda i: "")},
    "one_genre": lambda: whole() | {"item": things(50, genres=lambda i: "Drama", year=lambda i: 2000)},
    "all_alike": lambda: whole() | {"item": things(50, ["Same"] * 50, genres=lambda i: "Drama", year=lambda i: 2000)},
    "no_words": lambda: whole() | {"item": without(things(50, ["?!", "—", "..."] * 17), "year", "genres")},
    "some_empty": lambda: whole() | {"item": things(50, [t if i % 3 else "" for i, t in enumerate(titles(50))])},
    "commas": lambda: whole() | {"item": things(50, genres=_by_half([m.replace(" ", ", ") for m in MIXED]))},
    "bars": lambda: whole() | {"item": things(50, genres=_by_half([m.replace(" ", "|") for m in MIXED]))},
    "chinese": lambda: whole() | {"item": things(50, [CHINESE[i % 9] + "一二三四五六"[i // 9] for i in range(50)],
                                                  _by_half(["喜剧", "剧情", "惊悚", "西部"]))},
    "dollars": lambda: whole() | {"item": things(50, [f"{DOLLARS[i % 5]} {i}" for i in range(50)],
                                                  _by_half(["$ale", "Co$t $x", "Drama"])),
                                  "user": [*people(40)[:1], *[(*row[:3], "$eller of $_{") for row in people(40)[1:]]]},
    "marks": lambda: whole() | {"item": things(50, [f"{MARKS[i % 6]} {i}" for i in range(50)])},
    # Scales and times.
    "likes": lambda: whole(rating=lambda r: int(r.random() < 0.6)),
    "same_rating": lambda: whole(rating=lambda r: 3),
    "signed_stars": lambda: whole(rating=lambda r: int(r.integers(-2, 3))),
    "percent": lambda: whole(rating=lambda r: round(100 * r.random(), 1)),
    "millis": lambda: whole(time=lambda r: 1.6e12 + int(r.integers(9e9))),
    "one_moment": lambda: whole(time=lambda r: 1.6e9),
    "minus": lambda: whole(rating=lambda r: -int(r.integers(1, 11))),
    "mostly_zero": lambda: whole(rating=lambda r: int(r.random() < 0.03)),
    "huge": lambda: whole(rating=lambda r: int(r.integers(1, 2_000_000_000))),
    "nanos": lambda: whole(time=lambda r: 1.6e18 + int(r.integers(9e15))),
    "before_1970": lambda: whole(time=lambda r: -2.5e9 + int(r.integers(9e6))),
    # Columns that say it otherwise.
    "brackets": lambda: whole() | {"item": things(50, genres=_by_half(["['Comedy', 'Drama']", "['Drama']", "[]"]))},
    "own_genres": lambda: whole() | {"item": things(50, genres=lambda i: f"G{i}")},
    "old_years": lambda: whole() | {"item": things(50, year=lambda i: 40 * i - 500)},
    "no_year": lambda: whole() | {"item": things(50, year=lambda i: ["unknown", "V", "c. 1950", ""][i % 4])},
    "true_false": lambda: whole() | {"item": changed(things(50), "adult:token", lambda n: n % 2 == 0),
                                     "user": changed(people(40), "member:token", lambda n: n % 3 == 0)},
    "numbers": lambda: whole() | {"item": changed(things(50), "price:float", lambda n: 1.5 * n if n % 3 else ""),
                                  "user": changed(people(40), "age:token", lambda n: ["25-34", "55+", "", 200][n % 4])},
    "long_texts": lambda: whole() | {"item": changed(things(50), "plot:token_seq",
                                                     lambda n: " ".join(WORDS * (3 if n % 7 else 400)))},
    # Histories and sizes.
    "single": lambda: whole(150, 50, lambda u: 1 if u % 5 else 12),
    "short": lambda: whole(120, 40, 3),
    "tiny": lambda: whole(30, 12, 5),
    "few_users": lambda: whole(12, 60, 25),
    "few_items": lambda: whole(80, 15, 6),
    "full": lambda: whole(20, 15, 15),
    "two_users": lambda: whole(2, 40, 20),
    "five_items": lambda: whole(40, 5, 2),
    "one_each": lambda: whole(60, 20, 1),
    "unseen": lambda: whole() | {"item": things(90), "user": people(70)},
    "balanced": lambda: whole() | {"inter": _balanced()},
}  # fmt: skip


def without_user(tables):
    """Return the tables less that of users."""
    return {kind: rows for kind, rows in tables.items() if kind != "user"}


def make(folder, name):
    """Write the catalogue `name` of the family into `folder`/`name` and return where it lies."""
    return write(folder / name, **FAMILY[name]())
