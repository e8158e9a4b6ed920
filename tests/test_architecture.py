"""The package is a house of wings: imports go down only, heavy libraries stay where they belong, rooms stay small."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from graphlib import TopologicalSorter
from pathlib import Path

import pytest

import coldstart_utils

PACKAGE = Path(coldstart_utils.__file__).parent
NOTEBOOKS = sorted((PACKAGE.parent / "notebooks").glob("*.ipynb"))
# What each wing may use beside its own rooms. Ground and palette are rooms of their own, below all others.
MAY_USE = {
    "ground": set(),
    "palette": set(),
    "catalogue": {"ground"},
    "models": {"ground", "catalogue"},
    "language": {"ground", "catalogue", "models"},
    "measure": {"ground", "catalogue", "models"},
    "whatif": {"ground", "palette", "catalogue", "models", "language", "measure"},
    "serving": {"ground", "catalogue", "models", "language"},
    "rivals": {"ground", "catalogue", "models", "language", "measure"},
    "book": {"ground", "palette", "catalogue", "models", "language", "measure", "whatif", "serving", "rivals"},
}
# Wings, or one room of one.
RESERVED = {
    "torch": {"language", "rivals"},
    "transformers": {"language"},
    "optuna": {"rivals.tuning"},
    "ipywidgets": {"whatif"},
    "solara": {"whatif"},
    "fastapi": {"serving"},
    "papermill": {"book.run"},
    "sphinx": {"book.site"},
    "pyspark": {"serving.spark"},  # and the rooms that are called after it
    "pyarrow": {"serving.spark"},
}
LAZY = {"torch", "transformers", "optuna", "papermill", "sphinx", "pyspark"}  # pandas imports pyarrow where it finds it
LONGEST_ROOM, LONGEST_FUNCTION = 350, 42


def name_of(path):
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


# What lies in data/ are products and the program that made some of them, no rooms.
PATHS = [path for path in sorted(PACKAGE.rglob("*.py")) if path.parent.name != "data" and path.stem != "__init__"]
ROOMS = {name_of(path): path.read_text(encoding="utf-8") for path in PATHS}
TREES = {room: ast.parse(source) for room, source in ROOMS.items()}
rooms = pytest.mark.parametrize("room", ROOMS)


def imports(tree, room):
    """Yield (own room or wing or None, library or None) for every import in `room`, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = ["coldstart_utils", *room.split(".")][: -node.level] if node.level else []
            base = ".".join([*base, *([node.module] if node.module else [])])
            names = [(base, alias.name) for alias in node.names]
        else:
            continue
        for base, name in names:
            root, *rest = base.split(".")
            if root != "coldstart_utils":
                yield None, root
            else:
                whole = ".".join([*rest, name])
                yield whole if whole in ROOMS else ".".join(rest) or name, None


def at_import_time(tree):
    """Return a tree of what runs when a room is imported: no bodies of functions, no blocks for type checkers."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            return None

        visit_AsyncFunctionDef = visit_FunctionDef

        def visit_If(self, node):
            return None if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)

    return Strip().visit(ast.parse(ast.unparse(tree)))


def wing(room):
    return room.split(".")[0]


def allowed(importer, imported):
    return wing(imported) == wing(importer) or wing(imported) in MAY_USE[wing(importer)]


def belongs(library, room):
    homes = RESERVED[library]
    return bool({room, wing(room)} & homes) or any(room.startswith(f"{home}_") for home in homes)


@rooms
def test_every_room_has_a_wing(room):
    assert wing(room) in MAY_USE, "give a new wing a line in the design and here, or its rooms a home in another wing"
    assert room.count(".") == (wing(room) not in ("ground", "palette"))


def test_a_wing_says_in_a_sentence_what_lives_there_and_nothing_else():
    for name in {wing(room) for room in ROOMS if "." in room}:
        (only,) = ast.parse((PACKAGE / name / "__init__.py").read_text(encoding="utf-8")).body
        assert only.value.value.endswith(".") and "\n" not in only.value.value


@rooms
def test_imports_go_down(room):
    assert [own for own, _ in imports(TREES[room], room) if own and not allowed(room, own)] == []


def test_no_room_needs_itself():
    needs = {room: {own for own, _ in imports(TREES[room], room) if own} for room in ROOMS}
    assert set().union(*needs.values()) <= set(ROOMS)
    assert len([*TopologicalSorter(needs).static_order()]) == len(ROOMS)


@rooms
def test_heavy_libraries_stay_where_they_belong(room):
    found = {library for _, library in imports(TREES[room], room) if library in RESERVED}
    assert {library for library in found if not belongs(library, room)} == set()
    assert {library for _, library in imports(at_import_time(TREES[room]), room)} & LAZY == set()


def test_the_rules_would_notice_a_breach():
    tree = ast.parse(
        "from ..ground import x\ndef f():\n    import torch.nn\n    from . import study\nimport papermill\n"
        "from ..models import als\nfrom coldstart_utils import book"
    )
    own = {("ground", None), ("measure.study", None), ("models.als", None), ("book", None)}
    assert set(imports(tree, "measure.ranking")) == own | {(None, "torch"), (None, "papermill")}
    assert set(imports(at_import_time(tree), "measure.ranking")) == own - {("measure.study", None)} | {
        (None, "papermill")
    }
    assert not allowed("measure.metrics", "language.encoders") and not allowed("ground", "palette")
    assert not allowed("whatif.page", "book.run") and not allowed("models.als", "measure.metrics")
    assert allowed("language.context", "language.encoders") and allowed("book.cli", "whatif.page")
    assert belongs("torch", "language.towers") and belongs("torch", "rivals.content")
    assert belongs("papermill", "book.run")
    assert belongs("pyspark", "serving.spark") and belongs("pyspark", "serving.spark_lists")
    assert not belongs("pyspark", "serving.service")
    assert not belongs("torch", "models.als") and not belongs("papermill", "book.cli")


def test_importing_the_package_loads_nothing_heavy():
    names = [f"coldstart_utils.{room}" for room in ROOMS]
    code = f"import sys, {', '.join(names)}; print(*sorted(sys.modules.keys() & {LAZY!r}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_rooms_are_small():
    assert {room for room, source in ROOMS.items() if len(source.splitlines()) > LONGEST_ROOM} == set()


def test_functions_are_short():
    found = set()
    for room, tree in TREES.items():
        functions = (node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
        found |= {f"{room}.{f.name}" for f in functions if f.end_lineno - f.lineno + 1 > LONGEST_FUNCTION}
    assert found == set()


def public(room):
    """Yield (name, object) of what a room defines for others: functions, classes, and their methods."""
    namespace = importlib.import_module(f"coldstart_utils.{room}")
    for name, item in vars(namespace).items():
        if name.startswith("_") or getattr(item, "__module__", None) != namespace.__name__:
            continue
        yield name, item
        if inspect.isclass(item):
            for method, body in vars(item).items():
                if inspect.isfunction(body) and (not method.startswith("_") or method == "__init__"):
                    yield f"{name}.{method}", body


@rooms
def test_what_is_public_says_what_it_does(room):
    described = [(name, item) for name, item in public(room) if callable(item) and not name.endswith(".__init__")]
    assert [name for name, item in described if not inspect.getdoc(item)] == []


@rooms
def test_what_is_public_is_annotated(room):
    bare = []
    for name, item in public(room):
        # What numba compiled is no plain function and takes no annotations.
        if inspect.isfunction(item) and item.__module__.startswith("coldstart_utils"):
            signature = inspect.signature(item)
            bare += [f"{name}({p.name})" for p in signature.parameters.values() if p.annotation is p.empty]
            bare += [f"{name} →"] if signature.return_annotation is signature.empty else []
    assert [name for name in bare if not name.endswith("(self)")] == []


def nodes_of(notebook):
    """Yield all that the code cells of a notebook are made of."""
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            code = "".join(line for line in cell["source"] if not line.lstrip().startswith(("%", "!")))
            yield from ast.walk(ast.parse(code))


def defined_in(notebook):
    """Return the names of the functions and classes that the cells of a notebook define."""
    kinds = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef
    return {node.name for node in nodes_of(notebook) if isinstance(node, kinds)}


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_notebook_defines_what_the_package_has(notebook):
    packaged = {name for room in ROOMS for name, _ in public(room)}
    assert {"ridge", "evaluate", "save_figure", "Dataset", "compare"} <= packaged
    assert defined_in(notebook) & packaged == set()


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_notebook_gives_the_name_of_a_room_it_uses_to_something_else(notebook):
    nodes = [*nodes_of(notebook)]
    imported = {
        alias.asname or alias.name
        for node in nodes
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("coldstart_utils")
        for alias in node.names
    }
    assigned = {node.id for node in nodes if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store)}
    assert imported & (assigned | {node.arg for node in nodes if isinstance(node, ast.arg)}) == set()
