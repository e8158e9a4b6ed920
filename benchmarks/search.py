"""Search at 1.7 thousand, 100 thousand and 1 million items: questions a second, and what an approximate index misses.

    python benchmarks/search.py [--sizes 1.7k 100k 1m] [--methods exact graph] [--into FILE]

Exact, BM25, both, and what is approximate (graphs, codes, clusters): ours beside `bm25s` and `faiss` used plainly, on
one thread. The first size are the films of MovieLens-100K; larger ones join the synopsis of one film to the keywords of
another: their texts side by side, and the mean of their vectors (with a little noise, so that no two are alike).
Questions are those of the package. Past 200,000 items the package takes codes (`language/codes.py`), and the plain
graph has fewer links, so that it is built in minutes.

`--into` keeps the rows in a table, which may be filled in pieces. `recorded/README.md` has a run.
"""

from __future__ import annotations

import argparse
import os
import resource
import time
from collections.abc import Callable
from functools import lru_cache
from pathlib import Path

# Before NumPy and faiss are loaded, which read it once.
os.environ |= dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"), "1")

import bm25s
import faiss
import numpy as np
import pandas as pd
from rich.console import Console
from rich.table import Table

from coldstart_utils.catalogue.movielens import attach_expansion
from coldstart_utils.catalogue.questions import generated_questions
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.language.search import GRAPH_UP_TO, VectorIndex, WordIndex
from coldstart_utils.models.scores import reciprocal_ranks

SIZES = {"1.7k": 1_682, "5k": 5_000, "10k": 10_000, "30k": 30_000, "100k": 100_000, "1m": 1_000_000}
K, DEPTH = 10, 100

Array = np.ndarray
Answer = Callable[[list[str], Array], Array]


def catalogue(n: int) -> tuple[tuple[str, ...], Array]:
    """Return n texts and their vectors, float32 [n, 384]."""
    films = attach_expansion(load_dataset("ml-100k")).items
    texts = {name: films[name].tolist() for name in ("synopsis", "keywords")}
    parts = {name: TextEncoder().encode(text) for name, text in texts.items()}
    rng = np.random.default_rng(0)
    # The first are the films themselves, the others a synopsis and the keywords of two films drawn at random.
    one, other = (np.r_[np.arange(1_682), rng.integers(0, 1_682, n)][:n] for _ in range(2))
    vectors = np.empty((n, 384), np.float32)
    for start in range(0, n, 50_000):
        rows = slice(start, start + 50_000)
        mean = parts["synopsis"][one[rows]] + parts["keywords"][other[rows]]
        mean += 0.02 * rng.standard_normal(mean.shape, np.float32)
        vectors[rows] = mean / np.linalg.norm(mean, axis=1, keepdims=True)
    return tuple(f"{texts['synopsis'][a]} {texts['keywords'][b]}" for a, b in zip(one, other)), vectors


def exact(texts: tuple[str, ...], vectors: Array) -> Answer:
    index = VectorIndex(vectors, approximate=False)
    return lambda questions, asked: index.top(asked, K)[0]


def approximate(texts: tuple[str, ...], vectors: Array) -> Answer:
    index = VectorIndex(vectors, approximate=True)
    return lambda questions, asked: index.top(asked, K)[0]


@lru_cache(maxsize=1)
def word_index(texts: tuple[str, ...]) -> WordIndex:
    return WordIndex(texts)


def words(texts: tuple[str, ...], vectors: Array) -> Answer:
    index = word_index(texts)
    return lambda questions, asked: index.top(questions, K)[0]


def both(texts: tuple[str, ...], vectors: Array) -> Answer:
    by_word, by_meaning = word_index(texts), VectorIndex(vectors)

    def answer(questions: list[str], asked: Array) -> Array:
        return reciprocal_ranks([by_word.top(questions, DEPTH)[0], by_meaning.top(asked, DEPTH)[0]], K)[0]

    return answer


def plain_faiss(texts: tuple[str, ...], vectors: Array) -> Answer:
    # Below this many questions at once faiss leaves BLAS aside (its default is 20; some builds ship 128,000).
    faiss.cvar.distance_compute_blas_threshold = 20
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    return lambda questions, asked: index.search(asked, K)[1]


def plain_clusters(texts: tuple[str, ...], vectors: Array) -> Answer:
    lists = int(np.sqrt(len(vectors)))
    index = faiss.IndexIVFFlat(faiss.IndexFlatIP(384), 384, lists, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, len(vectors) // (40 * lists))])
    index.add(vectors)
    index.nprobe = max(8, lists // 10)
    return lambda questions, asked: index.search(asked, K)[1]


def plain_graph(texts: tuple[str, ...], vectors: Array) -> Answer:
    # One byte a dimension, and half the links of the package's graph: a million would not be built in a quarter hour.
    links, effort = (32, 128) if len(vectors) <= GRAPH_UP_TO else (16, 40)
    index = faiss.IndexHNSWSQ(384, faiss.ScalarQuantizer.QT_8bit, links, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors[:: max(1, len(vectors) // 20_000)])
    index.hnsw.efConstruction, index.hnsw.efSearch = effort, 2 * effort
    index.add(vectors)
    return lambda questions, asked: index.search(asked, K)[1]


def plain_bm25s(texts: tuple[str, ...], vectors: Array) -> Answer:
    index = bm25s.BM25(method="lucene")
    index.index(bm25s.tokenize(list(texts), stopwords="en_plus", show_progress=False), show_progress=False)

    def answer(questions: list[str], asked: Array) -> Array:
        tokens = bm25s.tokenize(questions, stopwords="en_plus", show_progress=False)
        return index.retrieve(tokens, k=K, show_progress=False)[0]

    return answer


METHODS = {
    "exact, ours": exact,
    "exact, faiss": plain_faiss,
    "approximate, ours": approximate,  # a graph, and past `GRAPH_UP_TO` codes
    "graph (HNSW, 8 bits), faiss": plain_graph,
    "clusters (IVF), faiss": plain_clusters,
    "BM25, ours": words,
    "words and meaning by ranks, ours": both,  # its index of words is that of 'BM25, ours', and not built again
    "BM25, bm25s": plain_bm25s,
}
NO_RECALL = ("BM25", "words")
LIMIT = 30  # seconds after which no further question is asked alone


def timed(answer: Answer, questions: list[str], asked: Array) -> tuple[Array, float, float]:
    """Return what is found, the questions a second of all at once, and the median seconds of one at a time."""
    begun = time.perf_counter()
    found = answer(questions, asked)
    all_at_once = len(questions) / (time.perf_counter() - begun)
    alone = []
    for row in range(min(20, len(questions))):
        if sum(alone) > LIMIT:
            break
        begun = time.perf_counter()
        answer(questions[row : row + 1], asked[row : row + 1])
        alone.append(time.perf_counter() - begun)
    return found, all_at_once, float(np.median(alone))


def measured(size: str, questions: list[str], asked: Array, methods: list[str]) -> list[dict[str, object]]:
    texts, vectors = catalogue(SIZES[size])
    rows = []
    right = plain_faiss(texts, vectors)(questions, asked)
    for name, make in METHODS.items():
        wanted = any(name.startswith(start) for start in methods)
        if not wanted:
            continue
        begun = time.perf_counter()
        answer = make(texts, vectors)
        built = time.perf_counter() - begun
        found, fast, alone = timed(answer, questions, asked)
        del answer
        recall = np.nan if name.startswith(NO_RECALL) else np.mean([np.isin(a, b).mean() for a, b in zip(right, found)])
        rows.append({"items": SIZES[size], "method": name, "build s": built, "questions a second": fast,
                     "one question ms": 1000 * alone, "recall@10": recall,
                     "peak GB": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6})  # fmt: skip
        print(f"{size}: {name}, {built:.1f} s to build, {fast:.0f} a second", flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("--questions", type=int, default=100)
    parser.add_argument("--methods", nargs="+", default=[""], help="how their names begin; all if left out")
    parser.add_argument("--into", type=Path)
    options = parser.parse_args()
    questions = generated_questions(load_dataset("ml-100k")).texts[: options.questions]
    asked = TextEncoder().encode(questions)
    rows: list[dict[str, object]] = []
    for size in options.sizes:
        rows += measured(size, questions, asked, options.methods)
        word_index.cache_clear()
        if options.into:
            keep(pd.DataFrame(rows), options.into)
    table = Table(*rows[0])
    for row in rows:
        table.add_row(*(f"{value:,.3g}" if isinstance(value, float) else str(value) for value in row.values()))
    Console(width=120).print(table)


def keep(rows: pd.DataFrame, path: Path) -> None:
    """Write the rows into a table, in the place of earlier ones of the same size and method."""
    earlier = [pd.read_csv(path, sep="\t")] if path.is_file() else []
    table = pd.concat([*earlier, rows]).drop_duplicates(["items", "method"], keep="last")
    table["order"] = table["method"].map(list(METHODS).index)
    table = table.sort_values(["items", "order"]).drop(columns="order")
    table.to_csv(path, sep="\t", index=False, float_format="%.4g")


if __name__ == "__main__":
    main()
