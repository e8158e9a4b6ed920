"""Alternating least squares, ours and others', side by side: implicit feedback, rank 64, one thread.

    python benchmarks/least_squares.py [--sizes 100k 1m 10m]

100k is MovieLens-100K (943 × 1,682); 1m (6,000 × 4,000) and 10m (70,000 × 10,000) are drawn with power-law users and
items. All solvers minimise one objective from the same random start, each in a process of its own, so that the peak of
memory is its own. Needs the extra `[bench]`. LensKit pins pandas 2: to see its rows, install this package with
`[bench]` and lenskit in an environment of their own and run the script there.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from scipy import sparse
from tqdm import tqdm

from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.models import als

RANK, REG, ALPHA = 64, 10.0, 1.0
SHAPES = {"1m": (6_000, 4_000, 1_000_000), "10m": (70_000, 10_000, 10_000_000)}
SWEEPS = {"100k": 20, "1m": 10, "10m": 4}
THREADS = "OPENBLAS_NUM OMP_NUM MKL_NUM RAYON_NUM LK_NUM LK_NUM_BACKEND LK_NUM_CHILD"
ONE_THREAD = {f"{name}_THREADS": "1" for name in THREADS.split()}

Array = np.ndarray
Sweep = Callable[[], tuple[Array, Array]]


def interactions(size: str) -> sparse.csr_matrix:
    """Return ratings 1 to 5 [users, items]: MovieLens-100K, or a seeded draw whose degrees follow power laws."""
    if size == "100k":
        return load_dataset("ml-100k").matrix("rating").astype(np.float32)
    users, items, wanted = SHAPES[size]
    rng = np.random.default_rng(0)
    # n·u^a for uniform u is the number r with density ∝ r^(1/a − 1). Popular pairs come more than once: draw double.
    user, item = ((n * rng.random(wanted * 2) ** a).astype(int) for n, a in ((users, 3), (items, 4)))
    pairs = rng.permutation(np.unique(user * items + item))[:wanted]
    ratings = rng.integers(1, 6, len(pairs)).astype(np.float32)
    return sparse.csr_matrix((ratings, np.divmod(pairs, items)), shape=(users, items))


def ours(solver: str) -> Callable[..., Sweep]:
    def prepare(X: sparse.csr_matrix, XT: sparse.csr_matrix, U: Array, V: Array) -> Sweep:
        def sweep() -> tuple[Array, Array]:
            nonlocal U, V
            U = als._implicit_half(X, U, V, REG, ALPHA, solver)
            V = als._implicit_half(XT, V, U, REG, ALPHA, solver)
            return U, V

        return sweep

    return prepare


def implicits(use_cg: bool) -> Callable[..., Sweep]:
    def prepare(X: sparse.csr_matrix, XT: sparse.csr_matrix, U: Array, V: Array) -> Sweep:
        from implicit.cpu.als import AlternatingLeastSquares

        solve = AlternatingLeastSquares(factors=RANK, use_cg=use_cg).solver
        for matrix in (X, XT):
            # implicit takes the confidence 1 + alpha·r itself.
            matrix.data = 1 + ALPHA * matrix.data

        def sweep() -> tuple[Array, Array]:
            solve(X, U, V, REG, num_threads=1)
            solve(XT, V, U, REG, num_threads=1)
            return U, V

        return sweep

    return prepare


def lenskits(X: sparse.csr_matrix, XT: sparse.csr_matrix, U: Array, V: Array) -> Sweep:
    import pandas as pd
    from lenskit.als import ImplicitMFScorer
    from lenskit.data import from_interactions_df
    from lenskit.training import TrainingOptions

    user, item = X.nonzero()
    frame = pd.DataFrame({"user_id": user, "item_id": item, "rating": X.data})
    scorer = ImplicitMFScorer(embedding_size=RANK, regularization=REG, weight=ALPHA, use_ratings=True)
    trainer = scorer.create_trainer(from_interactions_df(frame), TrainingOptions(rng=0))
    # It leaves out who has no interaction, and keeps its factors in arrays of its own: the same start goes into those.
    users, items = scorer.users.ids().astype(int), scorer.items.ids().astype(int)
    scorer.user_embeddings[:], scorer.item_embeddings[:] = U[users], V[items]

    def sweep() -> tuple[Array, Array]:
        trainer.train_epoch()
        U[users], V[items] = scorer.user_embeddings, scorer.item_embeddings
        return U, V

    return sweep


SOLVERS: dict[str, Callable[..., Sweep]] = {
    "implicit CG": implicits(use_cg=True),
    "implicit exact": implicits(use_cg=False),
    "LensKit exact": lenskits,
    "ours exact": ours("exact"),
    "ours CG [fast]": ours("cg"),
}


def peak() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def measure(name: str, path: str, sweeps: int) -> dict[str, float]:
    """Return the CPU seconds of the fastest sweep, the objective after all of them, and the peak of memory in GiB."""
    given = sparse.load_npz(path)
    X, XT, U, V = als._start(given.copy(), RANK, seed=0)
    loaded = peak()
    sweep = SOLVERS[name](X, XT, U, V)
    seconds = []
    for _ in range(sweeps):
        start = time.process_time()
        U, V = sweep()
        seconds.append(time.process_time() - start)
    highest = peak()
    objective = als.implicit_objective(given, U, V, REG, ALPHA)
    return {"seconds": min(seconds), "objective": objective, "loaded": loaded, "peak": highest}


def measure_apart(name: str, path: Path, sweeps: int) -> dict[str, float]:
    command = [sys.executable, __file__, "--measure", name, str(path), str(sweeps)]
    found = subprocess.run(command, env=os.environ | ONE_THREAD, stdout=subprocess.PIPE, text=True, check=True)
    return json.loads(found.stdout.splitlines()[-1])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", nargs="+", choices=SWEEPS, default=list(SWEEPS))
    parser.add_argument("--measure", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        name, path, sweeps = options.measure
        print(json.dumps(measure(name, path, int(sweeps))))
        return
    table = Table(title=f"Rank {RANK}, one thread; CPU seconds of the fastest sweep, GiB loaded and peak")
    for heading in ("size", "solver", "seconds", "ratio", "objective", "after", "loaded", "peak"):
        table.add_column(heading, justify="left" if heading in ("size", "solver") else "right", no_wrap=True)
    names = [name for name in SOLVERS if name != "LensKit exact" or importlib.util.find_spec("lenskit")]
    with tempfile.TemporaryDirectory() as folder, tqdm(total=len(options.sizes) * len(names), leave=False) as bar:
        for size in options.sizes:
            path = Path(folder) / f"{size}.npz"
            sparse.save_npz(path, interactions(size), compressed=False)
            for name in names:
                bar.set_description(f"{size}, {name}")
                row = measure_apart(name, path, SWEEPS[size])
                if name == names[0]:
                    reference = row["seconds"]
                seconds, ratio = f"{row['seconds']:.3f}", f"{row['seconds'] / reference:.2f}"
                memory = f"{row['loaded']:.2f}", f"{row['peak']:.2f}"
                numbers = seconds, ratio, f"{row['objective']:,.0f}", str(SWEEPS[size]), *memory
                table.add_row(size, escape(name), *numbers, end_section=name == names[-1])
                bar.update()
    console = Console()
    console.print(table)
    if "LensKit exact" not in names:
        console.print("LensKit is not installed here (it pins pandas 2): no row for it.")


if __name__ == "__main__":
    main()
