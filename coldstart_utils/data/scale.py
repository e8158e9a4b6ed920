"""What wrote `scale.tsv`: seconds, processor seconds, memory and traffic of one process and of Spark, at three sizes.

    python -m coldstart_utils.data.scale --engine "one process" --times 1 [--file scale.tsv]
    python -m coldstart_utils.data.scale --facts build/results.json

An engine is "one process", "Spark" (local[2], extra `[scale]`), or "any" (the language model, which both use alike). It
stands beside its product, not among the modules. Each call is a process of its own, so that its peak of memory is its
own, and adds its rows to the file. `--facts` keeps what the chapter recorded in a full run with Spark. Processor
seconds are those of the whole tree of processes, Java and Python.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import re
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from coldstart_utils.catalogue.recordings import keep, recorded, with_rows
from coldstart_utils.ground import package_file
from coldstart_utils.models.als import als_implicit
from coldstart_utils.models.summed import moments, ridge_from
from coldstart_utils.serving import growth
from coldstart_utils.serving.spark_lists import Best, top

FILE, FACTS, CHAPTER = "scale.tsv", "ml-100k-spark.tsv", "14_past_one_machine"
COLUMNS = ["engine", "times", "step", "units", "seconds", "cpu", "moved", "peak"]
RANK, ASKED = 32, 2_000  # numbers of a factor; users whose lists are made


def read(path: Path | None = None) -> pd.DataFrame:
    """Return the recorded rows: engine, times, step, units of work, seconds, cpu seconds, moved bytes, peak of MB."""
    return recorded(path or package_file(FILE), COLUMNS)


@dataclass
class Watch:
    """Measures steps of a tree of processes into `rows`."""

    engine: str
    times: float
    rows: list[dict[str, Any]] = field(default_factory=list)
    session: Any = None

    def now(self) -> tuple[float, float, float]:
        """Return wall-clock seconds, processor seconds of the tree, and bytes that shuffles wrote."""
        import psutil

        here, cpu = psutil.Process(), 0.0
        for process in [here, *here.children(recursive=True)]:
            with contextlib.suppress(psutil.NoSuchProcess):
                cpu += sum(process.cpu_times()[:4])  # its own, and of children that have ended
        return time.perf_counter(), cpu, self._moved()

    def _moved(self) -> float:
        if self.session is None:
            return 0.0
        executors = self.session.sparkContext._jsc.sc().statusStore().executorList(True)
        return float(sum(executors.apply(n).totalShuffleWrite() for n in range(executors.size())))

    def peak(self) -> float:
        """Return the largest memory so far in MB, summed over the tree (Linux)."""
        import psutil

        here, total = psutil.Process(), 0.0
        for process in [here, *here.children(recursive=True)]:
            with contextlib.suppress(OSError):
                # One that has just ended has no such line.
                found = re.search(r"VmHWM:\s+(\d+)", Path(f"/proc/{process.pid}/status").read_text())
                total += int(found[1]) / 1e3 if found else 0
        return total

    @contextlib.contextmanager
    def step(self, name: str, units: float) -> Iterator[None]:
        """Measure what is done inside, for so many units of work."""
        before = self.now()
        yield
        seconds, cpu, moved = (b - a for a, b in zip(before, self.now()))
        self.note(name, units, seconds, cpu, moved)

    def note(self, name: str, units: float, seconds: float, cpu: float, moved: float = 0.0) -> None:
        """Add a row."""
        row = [self.engine, self.times, name, units, seconds, cpu, moved, self.peak()]
        self.rows.append(dict(zip(COLUMNS, row)))
        print(time.strftime("%H:%M:%S"), *row, flush=True)

    def slope(self, units: float) -> None:
        """Turn 'one sweep' and 'five sweeps' into what one sweep takes, and what comes before the first."""
        one, five = self.rows[-2:]
        each = {key: (five[key] - one[key]) / 4 for key in ("seconds", "cpu", "moved")}
        self.note("sweep", units, **each)
        self.note("before the sweeps", units, **{key: one[key] - each[key] for key in each})


def made(items: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return made-up text vectors of length 1 [items, 384] and factors [items, RANK]: sums cost what they cost."""
    rng = np.random.default_rng(seed)
    Z = rng.standard_normal((items, growth.WIDTH), np.float32)
    return Z / np.linalg.norm(Z, axis=1, keepdims=True), rng.standard_normal((items, RANK), np.float32)


def as_files(times: float, folder: Path, *, choices: bool) -> tuple[int, int]:
    """Write the tables of a grown catalogue into `folder` (ids are texts), and return how many items and choices."""
    items = round(growth.ITEMS * times)
    n = 0
    if choices:
        coo = growth.grown(times).tocoo()
        n = coo.nnz
        (folder / "choices").mkdir()
        for part, rows in enumerate(np.array_split(np.arange(n), 8)):
            ids = {"user": coo.row[rows], "item": coo.col[rows]}
            frame = pd.DataFrame({name: pd.Series(v).astype(str).radd(name[0]) for name, v in ids.items()})
            frame.assign(value=1.0).to_parquet(folder / "choices" / f"{part}.parquet", index=False)
        (folder / "texts").mkdir()
        texts = pd.DataFrame({"item": [f"i{n}" for n in range(items)], "text": "made up"})
        texts.to_parquet(folder / "texts" / "0.parquet", index=False)
    return items, n


def one_process(watch: Watch, folder: Path) -> None:
    """Measure this package in one process, on one core."""
    items, n = as_files(watch.times, folder, choices=watch.times <= 10)
    if watch.times <= 10:
        with watch.step("read", n):
            table = pd.read_parquet(folder / "choices")
            codes = [pd.factorize(table[name])[0] for name in ("user", "item")]
        assert len(codes[0]) == n
        del table, codes
    X = growth.grown(watch.times)
    for solver in ("exact", "cg") if watch.times <= 10 else ("exact",):
        fit = {"rank": RANK, "reg": 10.0, "solver": solver}
        if solver == "cg":
            als_implicit(X[:50], sweeps=1, **fit)  # compiled once
        with watch.step(f"one sweep, {solver}", X.nnz):
            als_implicit(X, sweeps=1, **fit)
        if watch.times > 10:
            one = watch.rows[-1]
            watch.note("sweep", X.nnz, one["seconds"], one["cpu"])
            continue
        with watch.step(f"five sweeps, {solver}", X.nnz):
            als_implicit(X, sweeps=5, **fit)
        watch.slope(X.nnz)
        if solver == "cg":
            for row in watch.rows[-2:]:
                row["step"] += ", cg"
    del X
    Z, V = made(items)
    with watch.step("bridge", items):
        parts = range(0, items, 4_096)
        ridge_from(sum(moments(Z[a : a + 4_096], V[a : a + 4_096]) for a in parts), growth.WIDTH, 10.0)
    del Z
    U = np.random.default_rng(1).standard_normal((ASKED, RANK))
    with watch.step("pair", ASKED * items):
        best = []
        for a in range(0, items, 4_096):
            numbers = np.arange(a, min(a + 4_096, items))
            scores = U @ V[numbers].astype(float).T
            best.append(top(Best(np.arange(ASKED), np.broadcast_to(numbers, scores.shape), scores), 20))
        top(Best(best[0].users, np.hstack([b.items for b in best]), np.hstack([b.scores for b in best])), 20)


def spark(watch: Watch, folder: Path) -> None:
    """Measure the job's own steps in Spark, local[2]."""
    items, n = as_files(watch.times, folder, choices=watch.times <= 10)
    from coldstart_utils.serving.spark import started

    with watch.step("start", 1):
        watch.session = started("local[2]", parts=4, memory="4g")
        watch.session.range(1_000).count()
    session = watch.session
    session.sparkContext.setCheckpointDir(str(folder / "checkpoints"))
    if watch.times <= 10:
        _sweeps(watch, folder, n)
    Z, V = made(items)
    (folder / "pairs").mkdir()
    for part, rows in enumerate(np.array_split(np.arange(items), 4)):
        frame = pd.DataFrame({"number": rows.astype(np.int32), "vector": list(Z[rows]), "factor": list(V[rows])})
        frame.to_parquet(folder / "pairs" / f"{part}.parquet", index=False)
    del Z
    _products(watch, folder, items)
    session.stop()


def _sweeps(watch: Watch, folder: Path, n: int) -> None:
    from coldstart_utils.serving.spark_factors import Settings, als_model
    from coldstart_utils.serving.spark_job import _by_number
    from coldstart_utils.serving.spark_rows import numbered, sound_rows

    with watch.step("read", n):
        rows = sound_rows(watch.session, str(folder), f"{folder}/quarantine")
        users = numbered(rows.choices.select("user"), f"{folder}/users")
        known = numbered(rows.choices.select("item"), f"{folder}/items")
        choices = _by_number(rows.choices, users, known).persist()
        assert choices.count() == n
    als_model(choices, Settings(rank=RANK, sweeps=1))  # Java compiles while it runs: the first time takes longer
    for sweeps, name in ((1, "one sweep"), (5, "five sweeps")):
        with watch.step(name, n):
            als_model(choices, Settings(rank=RANK, sweeps=sweeps))
    watch.slope(n)
    watch.session.catalog.clearCache()


def _products(watch: Watch, folder: Path, items: int) -> None:
    from coldstart_utils.serving.spark_bridge import learnt_bridge
    from coldstart_utils.serving.spark_lists import best_lists

    pairs = watch.session.read.parquet(str(folder / "pairs"))
    learnt_bridge(pairs.limit(100), RANK, 10.0)  # the first time starts the workers
    with watch.step("bridge", items):
        learnt_bridge(pairs, RANK, 10.0)
    rows = [(u, row.tolist()) for u, row in enumerate(np.random.default_rng(1).standard_normal((ASKED, RANK)))]
    users = watch.session.createDataFrame(rows, "number int, factor array<float>")
    nobody = watch.session.createDataFrame([], "user int, item int")
    with watch.step("pair", ASKED * items):
        best_lists(users, pairs.select("number", "factor"), nobody, 20).count()


def language_model(watch: Watch, folder: Path) -> None:
    """Measure how long a text takes: 300 film texts of MovieLens-100K, nothing kept."""
    from coldstart_utils.catalogue.features import item_texts
    from coldstart_utils.catalogue.sources import load_dataset
    from coldstart_utils.language.encoders import TextEncoder

    texts, encoder = item_texts(load_dataset("ml-100k"))[:300], TextEncoder(cache=False)
    encoder.encode(texts[:32])
    with watch.step("text", len(texts)):
        encoder.encode(texts)


ENGINES = {"one process": one_process, "Spark": spark, "any": language_model}


def facts(path: Path | None = None) -> dict[str, float]:
    """Return what chapter 14 found with Spark on MovieLens-100K, by name; nothing where nothing was kept."""
    path = path or package_file(FACTS)
    if not path.is_file():
        return {}
    table = pd.read_csv(path, sep="\t", keep_default_na=False)
    return dict(zip(table["fact"], table["value"]))


def keep_facts(results: Path, path: Path) -> None:
    """Write the metrics of chapter 14 in the results of a full run with Spark, build/results.json, as its facts."""
    metrics = json.loads(results.read_text(encoding="utf-8"))[CHAPTER]["record"]["metrics"]
    keep(pd.DataFrame(metrics.items(), columns=["fact", "value"]), path, numbers=None)


def main() -> None:
    """Measure one engine at one size, and add the rows to the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--engine", choices=ENGINES)
    parser.add_argument("--times", type=float, default=1, help="times the size of MovieLens-1M")
    parser.add_argument("--file", type=Path, default=package_file(FILE))
    parser.add_argument("--facts", type=Path, help="results of a full run with Spark")
    given = parser.parse_args()
    if given.facts:
        keep_facts(given.facts, package_file(FACTS))
    if given.engine is None:
        return
    watch = Watch(given.engine, given.times)
    if given.engine == "one process":
        watch.note("start", 1, 0.0, 0.0)
    with tempfile.TemporaryDirectory() as folder:
        ENGINES[given.engine](watch, Path(folder))
    found = pd.DataFrame(watch.rows, columns=COLUMNS)
    there = read(given.file)
    others = there[(there["engine"] != given.engine) | (there["times"] != given.times)]
    keep(with_rows(others, found), given.file, numbers="%.6g")


if __name__ == "__main__":
    main()
