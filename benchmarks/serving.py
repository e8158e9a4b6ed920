"""The service under load, one click beside its peers, a million items, a start with a million events.

python benchmarks/serving.py [--parts load click items start] [--seconds 20]

Load is offered on the loopback address at a steady rate, half clicks, half rankings for the user who has just clicked;
the service has one core, the load another. Films are those of MovieLens-100K. The million items and events are
generated (`catalogue_of`, `events_in`). `implicit` recalculates the user's factor from all of their choices; the naive
loop solves the whole system for each click and adds up scores in Python.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

# Before NumPy is loaded, which reads it once.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import faiss
import implicit
import numpy as np
from rich.console import Console
from rich.table import Table
from scipy import sparse

from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.models.als import als_implicit
from coldstart_utils.serving import ranking
from coldstart_utils.serving.belief import Belief
from coldstart_utils.serving.load import ask, offered, percentiles, running
from coldstart_utils.serving.start import filled, newest
from coldstart_utils.serving.state import State
from coldstart_utils.serving.store import Store

Array = np.ndarray

GOALS = {"/recommend p50": 3, "/recommend p99": 15, "/items p50": 60, "start s": 10, "recall": 0.98}
SIZES, RANK, K = (10_000, 30_000, 100_000, 300_000, 1_000_000), 64, 20


def shown(title: str, rows: list[dict[str, object]]) -> None:
    """Print rows as a table."""
    table = Table(*rows[0], title=title, title_justify="left")
    for row in rows:
        table.add_row(*(f"{value:,.4g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=120).print(table)


# --- Load ------------------------------------------------------------------------------------------------------------


def clicks(n: int, seed: int) -> list[tuple[str, str, object]]:
    """Return n pairs of a click of one of 900 users on a film and the ranking that is to take it into account."""
    rng, asks = np.random.default_rng(seed), []
    for time_ in range(n):
        user, film = f"load {rng.integers(900)}", str(rng.integers(1, 1_683))
        asks.append(("POST", "/events", {"user": user, "item": film, "value": 1, "time": seed * 1e6 + time_}))
        asks.append(("GET", f"/recommend?user={user.replace(' ', '%20')}&k={K}", None))
    return asks


def under_load(folder: Path, seconds: float) -> None:
    """Offer 200 requests a second, then more and more until the service falls behind; then insert films."""
    cores = sorted(os.sched_getaffinity(0))
    rows = []
    with running(folder, core=cores[-1]) as address:
        os.sched_setaffinity(0, set(cores[:-1]) or set(cores))
        inserted(address, "the first", "The encoder is loaded once, which is not measured.")
        offered(address, clicks(200, 0), 100)
        for n, rate in enumerate((200, 400, 600, 800, 1000, 1200)):
            found = percentiles(offered(address, clicks(int(rate * (seconds if n == 0 else 5) / 2), n + 1), rate))
            rows += [{"requests a second": rate, "path": path, **row} for path, row in found.to_dict("index").items()]
        shown("Load: ms from the moment a request is due", rows)
        shown("Insertion of a film, with encoding: ms", [*insertions(address)])
    os.sched_setaffinity(0, set(cores))


def insertions(address: str) -> Iterator[dict[str, object]]:
    """Yield how long films with ever longer texts take, 40 of each kind."""
    films = attach_expansion(load_dataset("ml-100k")).items
    kinds = {
        "title, year, genres": [""] * 40,
        "and a generated synopsis": films["synopsis"].tolist()[:40],
        "and all that the suite has": (films["synopsis"] + " " + films["keywords"] + " " + films["people"]).tolist(),
        "and 1,000 words, of which 256 tokens are read": ["A new film that nobody has seen. " * 143] * 40,
    }
    for name, texts in kinds.items():
        took = [inserted(address, f"{name} {n}", words) for n, words in enumerate(texts[:40])]
        rows = {"p50": float(np.median(took)), "p95": float(np.percentile(took, 95))}
        yield {"/items": name, "words": int(np.mean([len(words.split()) for words in texts[:40]])), **rows}


def inserted(address: str, name: str, words: str) -> float:
    """Return the ms in which a new film is read, stored, and acknowledged."""
    film = {"item": name, "title": f"The Return of Number {name}", "text": words}
    begun = time.perf_counter()
    ask(address, "/items", film | {"attributes": {"year": 1998, "genres": ["Drama", "Comedy"]}})
    return 1000 * (time.perf_counter() - begun)


# --- One click, beside peers -----------------------------------------------------------------------------------------


def one_click() -> None:
    """Time what one click and the next ranking cost without HTTP and disk, for users with ever more choices."""
    X = load_dataset("ml-100k").matrix()
    factors = als_implicit(X, rank=RANK, reg=10.0, sweeps=3)
    V, rows = factors.V.astype(float), []
    prior, catalogue = Belief(factors.U.mean(axis=0).astype(float), np.eye(RANK) * 0.05, 0.1), ranking.Ranking(V)
    peer = implicit.als.AlternatingLeastSquares(factors=RANK, num_threads=1, use_gpu=False, use_native=True)
    peer.fit(X.astype(np.float32), show_progress=False)
    rng = np.random.default_rng(0)
    for many in (10, 100, 500):
        films = rng.choice(len(V), many, replace=False)
        belief = prior.after_all(V[films[:-1]], np.ones(many - 1))
        history = sparse.csr_matrix((np.ones(many, np.float32), ([0] * many, films)), shape=(1, len(V)))
        methods: dict[str, Callable[[], object]] = {
            "rank-one update, ours": partial(clicked, catalogue, belief, V[films[-1]], films),
            "implicit, recalculate_user": partial(peer.recommend, 0, history, N=K, recalculate_user=True),
            "naive loop": partial(naive, prior, V, films),
        }
        for name, method in methods.items():
            rows.append({"choices": many, "method": name, "ms": timed(method, 5 if name.startswith("naive") else 200)})
    shown("One click and the next 20 films, in process: median ms", rows)


def clicked(catalogue: ranking.Ranking, belief: Belief, v: Array, films: Array) -> Array:
    """Return the best films after one more yes."""
    return catalogue.top(belief.after(v, 1.0).mean, K, films)[0]


def naive(prior: Belief, V: Array, films: Array) -> list[int]:
    """Return the best films as one would write it first: the whole system anew, scores one by one."""
    precision, right = np.linalg.inv(prior.covariance), np.linalg.solve(prior.covariance, prior.mean)
    for film in films:
        precision, right = precision + np.outer(V[film], V[film]) / prior.noise, right + V[film] / prior.noise
    x, seen = np.linalg.solve(precision, right), set(films.tolist())
    scores = [(sum(a * b for a, b in zip(x, v)), film) for film, v in enumerate(V) if film not in seen]
    return [film for _, film in sorted(scores, reverse=True)[:K]]


def timed(method: Callable[[], object], times: int) -> float:
    """Return the median ms of a call."""
    took = []
    for _ in range(times):
        begun = time.perf_counter()
        method()
        took.append(1000 * (time.perf_counter() - begun))
    return float(np.median(took))


# --- A million items -------------------------------------------------------------------------------------------------


def catalogue_of(n: int, seed: int = 0) -> tuple[Array, Array]:
    """Return factors of n items, float32 [n, rank], and of 200 users.

    Items lie around 1,000 centres, half as far from them as these from each other, with log-normal lengths: few are
    liked by many. A user is the mean of five items of one centre.
    """
    rng = np.random.default_rng(seed)
    centres = rng.standard_normal((1_000, RANK), np.float32)
    kind = rng.integers(0, 1_000, n)
    V = centres[kind]
    V += 0.5 * rng.standard_normal(V.shape, np.float32)
    V *= rng.lognormal(-1, 0.5, n).astype(np.float32)[:, None] / np.linalg.norm(V, axis=1, keepdims=True)
    users = [V[rng.choice(np.flatnonzero(kind == kind[first]), 5)].mean(axis=0) for first in rng.integers(0, n, 200)]
    return V, np.array(users)


def many_items() -> None:
    """Compare a product with all items, the index, `implicit`, and a naive loop, for ever more items."""
    rows = []
    for n in SIZES:
        V, users = catalogue_of(n)
        exact = ranking.Ranking(V, approximate=False)
        begun = time.perf_counter()
        index = ranking.Ranking(V, approximate=True)
        built = time.perf_counter() - begun
        right = [set(exact.top(x, K)[0].tolist()) for x in users]
        found = [set(index.top(x, K)[0].tolist()) for x in users]
        recall = float(np.mean([len(a & b) / K for a, b in zip(right, found)]))
        rows.append({"items": n, "exact ms": answered(lambda x, r=exact: r.top(x, K), users[:30]),
                     "index ms": answered(lambda x, r=index: r.top(x, K), users[:30]),
                     "implicit ms": answered(peer_of(V), users[:30]),
                     "naive loop ms": answered(lambda x, V=V: looped(x, V), users[:1]),
                     "recall@20": recall, "build s": built, "lists": index.index.nlist,
                     "probed": index.index.nprobe})  # fmt: skip
        print(rows[-1], flush=True)
    shown(f"The 20 best of many items, rank {RANK}, one thread (faiss {faiss.__version__})", rows)


def answered(answer: Callable[[Array], object], users: Array) -> float:
    """Return the median ms of an answer, each of the users asked once."""
    return float(np.median([timed(partial(answer, x), 1) for x in users]))


def peer_of(V: Array) -> Callable[[Array], object]:
    """Return how `implicit` finds the best of items with given factors for the factor of a user."""
    peer = implicit.als.AlternatingLeastSquares(factors=RANK, num_threads=1, use_gpu=False)
    peer.item_factors, nothing = V, sparse.csr_matrix((1, len(V)), dtype=np.float32)

    def answer(x: Array) -> object:
        peer.user_factors = x[None]
        return peer.recommend(0, nothing, N=K)

    return answer


def looped(x: Array, V: Array) -> list[int]:
    """Return the best as one would write it first: scores one by one, all of them sorted."""
    scores = [(float(v @ x), item) for item, v in enumerate(V)]
    return [item for _, item in sorted(scores, reverse=True)[:K]]


# --- A start with a million events -----------------------------------------------------------------------------------


def events_in(folder: Path, n: int) -> None:
    """Put n events of 20,000 users on films into a store, in one transaction past the checks of the service."""
    rng, store = np.random.default_rng(0), Store(folder)
    users, items = rng.integers(0, 20_000, n), rng.integers(1, 1_683, n)
    rows = ((f"many {u}", int(i), float(t), 1.0, 2e9 + t * 1e-3) for t, (u, i) in enumerate(zip(users, items)))
    with store.writing():
        store.db.executemany("INSERT INTO events VALUES (?, ?, ?, ?, ?)", rows)
    store.close()


def start(folder: Path) -> None:
    """Time the opening of a store with a million events more, until the first answer."""
    store = Store(folder)
    filled(store, "ml-100k", TextEncoder().encode, print)
    newest(folder, print)
    store.close()
    events_in(folder, 1_000_000)
    begun = time.perf_counter()
    store = Store(folder)
    state = State(newest(folder, print), store.reader())
    opened = time.perf_counter() - begun
    first = timed(lambda: state.recommend(state.user("many 7"), K), 1)
    fresh = iter(range(100, 200))
    other = timed(lambda: state.recommend(state.user(f"many {next(fresh)}"), K), 50)
    begun = time.perf_counter()
    with running(folder):
        whole = time.perf_counter() - begun
    rows = [{"events": state.reader.count(), "store, model, items s": opened, "first answer ms": first,
             "a user read from disk ms": other, "whole process to ready s": whole}]  # fmt: skip
    shown("Start with a million events", rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", default=["load", "click", "items", "start"])
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--store", type=Path, help="a folder to use again; else a fresh one")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as fresh:
        folder = options.store or Path(fresh)
        parts: dict[str, Callable[[], None]] = {
            "load": lambda: under_load(folder, options.seconds), "click": one_click, "items": many_items,
            "start": lambda: start(folder),
        }  # fmt: skip
        for part in options.parts:
            parts[part]()
    print("Goals:", ", ".join(f"{name} {goal}" for name, goal in GOALS.items()))


if __name__ == "__main__":
    main()
