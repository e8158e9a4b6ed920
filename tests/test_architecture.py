"""The package is a house of floors: imports go down only, heavy libraries stay where they belong, and it stays thin."""

import ast
import importlib
import inspect
import json
import subprocess
import sys
from pathlib import Path

import pytest

import coldstart_utils

PACKAGE = Path(coldstart_utils.__file__).parent
NOTEBOOKS = sorted((PACKAGE.parent / "notebooks").glob("*.ipynb"))
FLOORS = {
    0: {"runtime", "metrics"},
    1: {"datasets", "splits", "fast"},
    2: {"encoders", "context", "factorization", "finetuning", "distillation", "longtail"},
    3: {"evaluation", "plotting", "pages"},
    4: {"whatif", "panels", "runner"},
}
FLOOR = {module: floor for floor, modules in FLOORS.items() for module in modules}
# An item tower is the encoder trained further: it pools as the encoder does.
SIDEWAYS = {("context", "encoders"), ("finetuning", "encoders"), ("distillation", "finetuning")}
# A student is a tower of fewer layers or a ridge solution, around the tokenizer of its teacher.
SIDEWAYS |= {("distillation", "encoders"), ("distillation", "factorization")}
# The pictures and widgets of a function stand apart from it.
SIDEWAYS |= {("panels", "whatif")}
RESERVED = {
    "torch": {"encoders", "finetuning", "distillation"},
    "transformers": {"encoders", "finetuning", "distillation"},
    "ipywidgets": {"panels"},
    "papermill": {"runner"},
}
LAZY = {"torch", "transformers", "papermill"}
MODULES = {path.stem: ast.parse(path.read_text(encoding="utf-8")) for path in sorted(PACKAGE.glob("*.py"))}
del MODULES["__init__"]
modules = pytest.mark.parametrize("module", MODULES)


def imports(tree):
    """Yield (own module or None, library or None) for every import, wherever it stands."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            names = [(alias.name, "") for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            base = "coldstart_utils" + ("." + node.module if node.module else "") if node.level else node.module
            names = [(base, alias.name) for alias in node.names]
        else:
            continue
        for base, name in names:
            root, *rest = base.split(".")
            if root == "coldstart_utils":
                yield (rest or [name])[0], None
            else:
                yield None, root


def at_import_time(tree):
    """Return a tree of what runs when the module is imported: no bodies of functions, no blocks for type checkers."""

    class Strip(ast.NodeTransformer):
        def visit_FunctionDef(self, node):
            return None

        visit_AsyncFunctionDef = visit_FunctionDef

        def visit_If(self, node):
            return None if "TYPE_CHECKING" in ast.dump(node.test) else self.generic_visit(node)

    return Strip().visit(ast.parse(ast.unparse(tree)))


def upward(importer, imported):
    return FLOOR[imported] >= FLOOR[importer] and (importer, imported) not in SIDEWAYS


@modules
def test_every_module_has_a_floor(module):
    assert module in FLOOR, "give a new module a floor in the design and here, or a home in another module"


@modules
def test_imports_go_down(module):
    assert [own for own, _ in imports(MODULES[module]) if own and upward(module, own)] == []


@modules
def test_heavy_libraries_stay_where_they_belong(module):
    found = {library for _, library in imports(MODULES[module]) if library in RESERVED}
    assert {library for library in found if module not in RESERVED[library]} == set()
    assert {library for _, library in imports(at_import_time(MODULES[module]))} & LAZY == set()


def test_the_rules_would_notice_a_breach():
    tree = ast.parse(
        "from .runtime import x\ndef f():\n    import torch.nn\n    from . import plotting\nimport papermill"
    )
    assert set(imports(tree)) == {("runtime", None), (None, "torch"), ("plotting", None), (None, "papermill")}
    assert set(imports(at_import_time(tree))) == {("runtime", None), (None, "papermill")}
    assert upward("metrics", "runtime") and upward("datasets", "evaluation") and upward("encoders", "context")
    assert not upward("context", "encoders") and not upward("evaluation", "splits")


def test_importing_the_package_loads_nothing_heavy():
    names = [f"coldstart_utils.{name}" for name in MODULES if name not in ("runner", "panels")]
    code = f"import sys, {', '.join(names)}; print(*sorted(sys.modules.keys() & {LAZY!r}))"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


def test_the_package_stays_thin():
    lines = {path.name: len(path.read_text(encoding="utf-8").splitlines()) for path in PACKAGE.glob("*.py")}
    # The design says 3,500; nine chapters stand on what was meant for three, and none of it is a library's work. A
    # thousand lines more are the what-if panels, which people see and touch: two thirds of them picture and view.
    assert sum(lines.values()) < 5050, f"something belongs to a library: {lines}"


def public(module):
    """Yield (name, object) of what a module defines for others: functions, classes, and their methods."""
    namespace = importlib.import_module(f"coldstart_utils.{module}")
    for name, item in vars(namespace).items():
        if name.startswith("_") or getattr(item, "__module__", None) != namespace.__name__:
            continue
        yield name, item
        if inspect.isclass(item):
            for method, body in vars(item).items():
                if inspect.isfunction(body) and (not method.startswith("_") or method == "__init__"):
                    yield f"{name}.{method}", body


@modules
def test_what_is_public_says_what_it_does(module):
    described = [(name, item) for name, item in public(module) if callable(item) and not name.endswith(".__init__")]
    assert [name for name, item in described if not inspect.getdoc(item)] == []


@modules
def test_what_is_public_is_annotated(module):
    bare = []
    for name, item in public(module):
        # What numba compiled is no plain function and takes no annotations.
        if inspect.isfunction(item):
            signature = inspect.signature(item)
            bare += [f"{name}({p.name})" for p in signature.parameters.values() if p.annotation is p.empty]
            bare += [f"{name} →"] if signature.return_annotation is signature.empty else []
    assert [name for name in bare if not name.endswith("(self)")] == []


def defined_in(notebook):
    """Return the names of the functions and classes that the cells of a notebook define."""
    names = set()
    for cell in json.loads(notebook.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            code = "".join(line for line in cell["source"] if not line.lstrip().startswith(("%", "!")))
            nodes = ast.walk(ast.parse(code))
            names |= {n.name for n in nodes if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef)}
    return names


@pytest.mark.parametrize("notebook", NOTEBOOKS, ids=lambda path: path.stem)
def test_no_notebook_defines_what_the_package_has(notebook):
    packaged = {name for module in MODULES for name, _ in public(module)}
    assert {"ridge", "evaluate", "save_figure", "Dataset"} <= packaged
    assert defined_in(notebook) & packaged == set()
