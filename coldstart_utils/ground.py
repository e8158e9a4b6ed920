"""What everything stands on: the error told in one sentence, folders, atomic writes, package files and versions."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.resources
import os
import platform
import tempfile
from collections.abc import Iterator
from pathlib import Path

import platformdirs

VERSIONED = ("numpy", "scipy", "pandas", "scikit-learn", "torch", "transformers", "matplotlib")


class ColdstartError(ValueError):
    """A fault in what the user gave (data, names, parameters), told in one sentence."""


def versions() -> dict[str, str]:
    """Return the versions of Python and of the libraries that numbers depend on."""
    return {"python": platform.python_version()} | {name: importlib.metadata.version(name) for name in VERSIONED}


def cache_dir() -> Path:
    """Return the folder for downloads and cached vectors: `$COLDSTART_CACHE`, else the platform's cache folder."""
    return Path(os.environ.get("COLDSTART_CACHE") or platformdirs.user_cache_dir("coldstart"))


def figures_dir() -> Path | None:
    """Return the folder that figures are saved in (`$COLDSTART_FIGURES`, set by the runner), or None: save nothing."""
    folder = os.environ.get("COLDSTART_FIGURES")
    return Path(folder) if folder else None


def package_file(name: str) -> Path:
    """Return where the file `name` of the package's own `data/` lies."""
    return Path(str(importlib.resources.files("coldstart_utils"))) / "data" / name


@contextlib.contextmanager
def written_aside(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside `path` that is renamed to it on success and removed on failure.

    A reader therefore sees the old file or the new one, never half of one. Raises ColdstartError where nothing can be
    written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    except OSError as error:
        raise ColdstartError(f"{path}: cannot be written ({error.strerror})") from None
    os.close(handle)
    aside = Path(name)
    try:
        yield aside
        aside.chmod(0o644)
        aside.replace(path)
    finally:
        aside.unlink(missing_ok=True)
