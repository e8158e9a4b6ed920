"""Figures on a page and on disk: `show` displays one, and keeps the picture and its data where the runner asked."""

from __future__ import annotations

import hashlib
import io
import json
from pathlib import Path
from typing import Any

import matplotlib.image
import numpy as np
import pandas as pd
from filelock import FileLock
from matplotlib.figure import Figure

from ..ground import figures_dir, versions, written_aside
from ..palette import png, shown_width
from .plotting import gains
from .record import Run


def show(run: Run, name: str, figure: Figure, data: pd.DataFrame, *, alt: str) -> None:
    """Display a figure and keep it as `save_figure` does."""
    from IPython.display import display

    display(save_figure(figure, name, data, run, alt=alt))


def show_gains(run: Run, name: str, table: pd.DataFrame, title: str, *, metric: str, reach: float = 0.0) -> None:
    """Draw the differences of a `study.compare` table by `plotting.gains`; display and keep the figure."""
    show(
        run,
        name,
        gains(table, title=title, metric=metric, reach=reach),
        table,
        alt=f"{title}: differences in {metric}.",
    )


def save_figure(fig: Figure, name: str, data: pd.DataFrame, run: Run, *, alt: str) -> Any:
    """Return the picture for display, with `alt` for those who cannot see it; keep it where the runner asked for it.

    Beside `name.png` lie the plotted data (`name.csv`, six significant digits), and `manifest.json` notes the
    notebook, its parameters, the hash of the data, and versions. Nothing is kept in QUICK mode. Where the data differ
    from those kept by less than 0.1 % and the picture by nothing that can be seen, the old files stay.
    """
    from IPython.display import Image

    picture = png(fig)
    shown = Image(data=picture, format="png", width=shown_width(picture), alt=alt)
    folder = figures_dir()
    if folder is not None and not run.quick:
        folder.mkdir(parents=True, exist_ok=True)
        table = data.to_csv(index=False, float_format="%.6g").encode()
        entry = {
            "notebook": run.notebook,
            "parameters": run.parameters,
            "data_sha256": hashlib.sha256(table).hexdigest(),
            "alt": alt,
            "versions": versions(),
        }
        # Two notebooks may save at the same time.
        with FileLock(folder / ".manifest.lock"):
            manifest = folder / "manifest.json"
            entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
            told = all(entries.get(name, {}).get(key) == entry[key] for key in ("notebook", "parameters", "alt"))
            told = told and entries[name]["data_sha256"] == _hash(folder / f"{name}.csv")
            if told and _same(folder, name, table, picture):
                return shown
            for suffix, content in (("png", picture), ("csv", table)):
                with written_aside(folder / f"{name}.{suffix}") as path:
                    path.write_bytes(content)
            entries[name] = entry
            _write_manifest(manifest, entries)
    return shown


def _same(folder: Path, name: str, table: bytes, picture: bytes) -> bool:
    """Return whether `name` is kept in `folder` already, with these data but for the last digits of a machine."""
    try:
        old, new = (matplotlib.image.imread(source) for source in (folder / f"{name}.png", io.BytesIO(picture)))
        before, after = (pd.read_csv(source) for source in (folder / f"{name}.csv", io.BytesIO(table)))
        pd.testing.assert_frame_equal(before, after, rtol=1e-3, atol=1e-9)
    except (FileNotFoundError, AssertionError):
        return False
    return old.shape == new.shape and bool(np.abs(old - new).max() < 0.1)


def _hash(path: Path) -> str | None:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else None


def drop_stale(root: Path) -> list[str]:
    """Remove from `root`/figures what no notebook draws any more, and return the names."""
    folder = root / "figures"
    manifest = folder / "manifest.json"
    entries = json.loads(manifest.read_text(encoding="utf-8")) if manifest.is_file() else {}
    sources = {path.stem: path.read_text(encoding="utf-8") for path in (root / "notebooks").glob("*.ipynb")}
    stale = [name for name, entry in entries.items() if f'\\"{name}\\"' not in sources.get(entry["notebook"], "")]
    for name in stale:
        del entries[name]
        for suffix in ("png", "csv"):
            (folder / f"{name}.{suffix}").unlink(missing_ok=True)
    if stale:
        _write_manifest(manifest, entries)
    return stale


def _write_manifest(path: Path, entries: dict[str, Any]) -> None:
    with written_aside(path) as aside:
        aside.write_text(json.dumps(entries, indent=1, sort_keys=True, ensure_ascii=False) + "\n", encoding="utf-8")
