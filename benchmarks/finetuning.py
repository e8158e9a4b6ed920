"""Interactions a second that take part in fine-tuning on MovieLens-100K: pair by pair, and item by item, in one run.

    python benchmarks/finetuning.py [--steps 4]

Pair by pair is the source article's loop: a batch of 16 texts 'profile [SEP] film', padded to 128 tokens or to the
longest of the batch, all layers trained. Item by item encodes about 170 film texts a step and scores them against all
users, so that every interaction with these films takes part. Each way takes the same number of gradient steps, after
one that is not timed.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from transformers import BertForSequenceClassification

from coldstart_utils.catalogue import features, sources
from coldstart_utils.language import context, finetuning, towers
from coldstart_utils.language.encoders import TextEncoder
from coldstart_utils.models import teachers


def rate(loss: Callable[[Any], Any], model: Any, batches: Sequence[Any], interactions: Sequence[int]) -> float:
    """Return the interactions a second over all `batches` but the first, which warms up."""
    optimizer = torch.optim.AdamW([p for p in model.parameters() if p.requires_grad], lr=2e-5)
    finetuning.train_epoch(batches[:1], loss, optimizer)
    begun = time.perf_counter()
    finetuning.train_epoch(batches[1:], loss, optimizer)
    return sum(interactions[1:]) / (time.perf_counter() - begun)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=4, help="gradient steps that are timed, of each way")
    steps = parser.parse_args().steps + 1
    dataset, encoder = sources.load_dataset("ml-100k"), TextEncoder()
    texts = [text or "(no text)" for text in features.item_texts(dataset, ["title", "year", "genres"])]
    profiles, X = context.user_texts(dataset), dataset.matrix()
    some = dataset.interactions.sample(16 * steps, random_state=0)
    pairs = [(profiles[u], texts[i]) for u, i in zip(some["user"], some["item"])]
    data = finetuning.RecommendationDataset(pairs, (some["rating"] >= 4).astype(int), encoder.tokenizer)
    wide = partial(encoder.tokenizer.pad, padding="max_length", max_length=128, return_tensors="pt")
    rates: dict[str, float] = {}
    for name, collate in (("pairs, 128 wide", wide), ("pairs, longest of the batch", data.collate)):
        model = BertForSequenceClassification.from_pretrained(encoder.path, num_labels=2).train()
        batches = [collate([data[16 * n + j] for j in range(16)]) for n in range(steps)]
        rates[name] = rate(lambda batch, model=model: model(**batch).loss, model, batches, [16] * steps)
    counts = np.diff(X.tocsc().indptr)
    targets = teachers.principal_scores(X, teachers.ease(X, 300.0).T, 64)[1].astype(np.float32)
    for name, frozen in (("items, all layers", 0), ("items, upper three layers", 3)):
        tower = towers.ItemTower(encoder, texts, frozen=frozen)
        rows = towers.shuffled(np.flatnonzero(counts), 170, 0)(1)[:steps]
        loss = towers.bridge_loss(tower.encode, targets)
        rates[name] = rate(loss, tower.model, rows, [int(counts[part].sum()) for part in rows])
    first, *_ = rates.values()
    table = Table(title=f"Fine-tuning, {steps - 1} steps, {torch.get_num_threads()} threads")
    for heading in ("way", "interactions a second", "ratio"):
        table.add_column(heading, justify="left" if heading == "way" else "right")
    for name, value in rates.items():
        table.add_row(name, f"{value:,.0f}" if value > 100 else f"{value:.1f}", f"{value / first:,.1f}")
    Console().print(table)


if __name__ == "__main__":
    main()
