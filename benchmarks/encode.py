"""The 1,682 film texts of MovieLens-100K as vectors: the ways to compute them side by side, on default threads.

    python benchmarks/encode.py [--rounds 3]

Needs the extra `[bench]`. The two ways that pad to 128 tokens, the second of them the source article's, are timed on
every 17th text (99) and given per second. sentence-transformers runs its `encode` in batches of 32.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from sentence_transformers import SentenceTransformer

from coldstart_utils.catalogue.features import item_texts
from coldstart_utils.catalogue.sources import load_dataset
from coldstart_utils.language.encoders import TextEncoder, model_path, pool

Array = np.ndarray
Encode = Callable[[Sequence[str]], Array]


def padded_to_128(encoder: TextEncoder, batch_size: int) -> Encode:
    """Return the way of the source article: every text as long as the longest that could come."""

    def encode(texts: Sequence[str]) -> Array:
        vectors = []
        for start in range(0, len(texts), batch_size):
            part = list(texts[start : start + batch_size])
            batch = encoder.tokenizer(part, padding="max_length", max_length=128, truncation=True, return_tensors="pt")
            with torch.inference_mode():
                vectors.append(pool(encoder.model(**batch).last_hidden_state, batch["attention_mask"], "mean"))
        return torch.nn.functional.normalize(torch.cat(vectors)).numpy()

    return encode


def ways() -> dict[str, tuple[Encode, bool]]:
    """Return what is compared, by name: (function, whether a sample must do)."""
    ours, onnx = TextEncoder(cache=False), TextEncoder(cache=False, backend="onnx")
    theirs = SentenceTransformer(model_path(ours.name), device="cpu")
    return {
        "one by one, 128 wide": (padded_to_128(ours, 1), True),
        "16 a batch, 128 wide": (padded_to_128(ours, 16), True),
        "sentence-transformers": (lambda texts: theirs.encode(list(texts), batch_size=32), False),
        "ours, torch": (ours.encode, False),
        "ours, onnxruntime": (onnx.encode, False),
    }


def seconds(function: Callable[[], object]) -> float:
    start = time.perf_counter()
    function()
    return time.perf_counter() - start


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3, help="the fastest round counts")
    rounds = parser.parse_args().rounds
    texts = item_texts(load_dataset("ml-100k"), ["title", "year", "genres"])
    sample = texts[::17]
    compared = ways()
    # What loads or exports on first use is done here, before the clock runs.
    vectors = {name: encode(sample) for name, (encode, _) in compared.items()}
    speed, latency = dict.fromkeys(compared, 0.0), dict.fromkeys(compared, np.inf)
    for _ in range(rounds):
        for name, (encode, sampled) in compared.items():
            given = sample if sampled else texts
            speed[name] = max(speed[name], len(given) / seconds(lambda: encode(given)))  # noqa: B023
            alone = [seconds(lambda: encode([text])) for text in sample]  # noqa: B023
            latency[name] = min(latency[name], float(np.median(alone)))
    first = next(iter(compared))
    table = Table(title=f"{len(texts):,} film texts, {torch.get_num_threads()} threads, best of {rounds} rounds")
    for heading in ("way", "texts/s", "ratio", "least cos", "mean cos", "ms for one"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name in compared:
        cosine = (vectors[name] * vectors[first]).sum(1)
        table.add_row(
            name, f"{speed[name]:,.0f}", f"{speed[name] / speed[first]:.1f}", f"{cosine.min():.6f}",
            f"{cosine.mean():.6f}", f"{1000 * latency[name]:.1f}",
        )  # fmt: skip
    console = Console()
    console.print(table)
    console.print(
        f"Cosine to the first row, and ms for one text at a time (median), on {len(sample)} texts. Ours is "
        f"{speed['ours, torch'] / speed['sentence-transformers']:.2f} times sentence-transformers; for one "
        f"text onnxruntime is {latency['ours, torch'] / latency['ours, onnxruntime']:.1f} times torch.",
        highlight=False,
    )


if __name__ == "__main__":
    main()
