"""What wrote `ml-100k-smollm2.tsv` and its scores: chapter 10 runs this file where GENERATE is True.

It stands beside its products, not among the modules: nothing else needs a decoder.
"""

from __future__ import annotations

import csv
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pandas as pd

from coldstart_utils.catalogue.sources import small_model
from coldstart_utils.ground import ColdstartError, cache_dir, written_aside

Array = np.ndarray


class Generator:
    """SmolLM2-135M-Instruct from its GGUF file. Raises ColdstartError if it or the extra `[generate]` is missing."""

    def __init__(self) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        path = small_model()
        try:
            self.tokenizer, self.model = (
                kind.from_pretrained(path.parent, gguf_file=path.name) for kind in (AutoTokenizer, AutoModelForCausalLM)
            )
        except ImportError:
            raise ColdstartError(f"{path}: to read it, `pip install 'coldstart-utils[generate]'`") from None

    def chat(self, question: str) -> str:
        """Return the question in the form that the model was taught, up to where its answer begins."""
        turn = [{"role": "user", "content": question}]
        return self.tokenizer.apply_chat_template(turn, tokenize=False, add_generation_prompt=True)

    def write(self, questions: Sequence[str]) -> list[str]:
        """Return one answer of at most 40 tokens a question, always the likeliest token next.

        A token that has occurred counts less by the factor 1.1 (Keskar et al. 2019), against loops.
        """
        prompts, answers = [self.chat(question) for question in questions], {}
        order = np.argsort([-len(prompt) for prompt in prompts], kind="stable")
        for rows in np.array_split(order, -(-len(order) // 64)):
            batch = self._tokens([prompts[row] for row in rows], "left")
            tokens = self.model.generate(**batch, max_new_tokens=40, do_sample=False, repetition_penalty=1.1)
            texts = self.tokenizer.batch_decode(tokens[:, batch["input_ids"].shape[1] :], skip_special_tokens=True)
            answers |= {row: " ".join(text.split()) for row, text in zip(rows, texts)}
        return [answers[row] for row in range(len(prompts))]

    def verdict(self, history: Sequence[str], films: Sequence[str]) -> Array:
        """Return log p(Yes)/p(No) to the question whether who likes `history` would like each of `films` [films]."""
        liked = "; ".join(history) or "N/A"
        question = f"Someone likes these films: {liked}. Would they like this film: | Answer Yes or No."
        start, end = self.chat(question).split(" |")
        hidden, batch = self._after(start, [f" {film}{end}" for film in films])
        answer = self.model.lm_head(hidden[range(len(films)), batch["attention_mask"].sum(1) - 1]).detach()
        yes, no = (self.tokenizer.encode(word, add_special_tokens=False)[0] for word in ("Yes", "No"))
        return (answer[:, yes] - answer[:, no]).numpy()

    def likelihood(self, history: Sequence[str], films: Sequence[str]) -> Array:
        """Return log p of each of the titles `films` as the next in a list of liked ones, or as the first [films]."""
        start, mark = "Films that one person likes", ";" if len(history) else ":"
        told = start + ": " * bool(len(history)) + "; ".join(history)
        hidden, batch = self._after(told, [f"{mark} {film}" for film in films])
        log_p = self.model.lm_head(hidden).detach().log_softmax(-1)
        of_next = log_p[:, :-1].gather(2, batch["input_ids"][:, 1:, None])[..., 0]
        return (of_next * batch["attention_mask"][:, 1:]).sum(1).numpy()

    def scores(
        self, pairs: pd.DataFrame, history: Mapping[int, Array], texts: Sequence[str], titles: Sequence[str]
    ) -> pd.DataFrame:
        """Return verdict and likelihood of `pairs` (user, item; a user's rows together), with history and without.

        The history is told in titles; a verdict is asked on texts.
        """
        columns, asked = {}, pairs["item"].unique()
        for ask, told in ((self.verdict, texts), (self.likelihood, titles)):
            own = [
                ask([titles[j] for j in history[u]], [told[i] for i in part["item"]])
                for u, part in pairs.groupby("user", sort=False)
            ]
            alone = [ask([], [told[i] for i in part]) for part in np.array_split(asked, -(-len(asked) // 30))]
            columns[ask.__name__] = np.concatenate(own)
            columns[f"{ask.__name__}, film alone"] = pd.Series(np.concatenate(alone), asked)[pairs["item"]].to_numpy()
        return pd.DataFrame(columns)

    @staticmethod
    def keep(table: pd.DataFrame, name: str) -> None:
        """Write `table` into the cache folder as `name`.tsv, in the form in which the package keeps it."""
        with written_aside(cache_dir() / f"{name}.tsv") as path:
            table.to_csv(path, sep="\t", index=False, quoting=csv.QUOTE_NONE, float_format="%.5f")

    def _tokens(self, texts: Sequence[str], side: str) -> Any:
        options = {"return_tensors": "pt", "padding": True, "padding_side": side, "add_special_tokens": False}
        return self.tokenizer(list(texts), **options)

    def _after(self, start: str, ends: Sequence[str]) -> tuple[Any, Any]:
        # What all ends share is read once; its keys and values serve them all.
        import torch

        with torch.no_grad():
            memory = self.model(**self._tokens([start], "right"), use_cache=True).past_key_values
            seen = torch.ones(len(ends), memory.get_seq_length(), dtype=torch.int64)
            memory.batch_repeat_interleave(len(ends))
            batch = self._tokens(ends, "right")
            mask = torch.cat([seen, batch["attention_mask"]], dim=1)
            inputs = {"input_ids": batch["input_ids"], "attention_mask": mask, "past_key_values": memory}
            return self.model.model(**inputs).last_hidden_state, batch
