"""The rules of the house, read from the source of every file in course_utils.

A room is a module or a package directly in course_utils: `course_utils/data/cache.py` is in room `data`.
"""

import ast
import subprocess
import sys
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

import course_utils

PACKAGE = Path(course_utils.__file__).parent
LEAVES = {"data", "models", "losses", "metrics", "rerank", "retrieval", "plots", "runtime"}
# Who may import the rooms at the top; nobody else may.
IMPORTERS = {"exercises": {"authoring", "cli"}, "authoring": {"cli"}, "cli": set()}
WITHOUT_TORCH = {"data", "splits", "baselines", "metrics", "rerank"}
MAY_SEED = {"runtime", "exercises"}  # a check seeds for the learner's code, and puts the state back


def room_of(path, package):
    first = path.relative_to(package).parts[0]
    return first.removesuffix(".py")


def sources(package):
    """{path: syntax tree} of every file but the package's own __init__."""
    paths = sorted(path for path in package.rglob("*.py") if path != package / "__init__.py")
    return {path: ast.parse(path.read_text(encoding="utf-8"), str(path)) for path in paths}


def imported_names(tree, path, package):
    """Every absolute dotted name that a file imports, wherever in it: "torch.nn", "course_utils.data"."""
    parents = (package.name, *path.relative_to(package).parts[:-1])
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = parents[: len(parents) - node.level + 1] if node.level else ()
            base = ".".join([*above, *filter(None, [node.module])])
            yield from (f"{base}.{alias.name}" for alias in node.names)


def room_imports(package):
    """{room: the other rooms it imports}."""
    trees = sources(package)
    rooms = {room_of(path, package) for path in trees}
    graph = {room: set() for room in rooms}
    for path, tree in trees.items():
        for name in imported_names(tree, path, package):
            parts = name.split(".")
            if parts[0] == package.name:
                graph[room_of(path, package)] |= rooms & set(parts[1:2])
    return {room: imports - {room} for room, imports in graph.items()}


def wrong_imports(package):
    found = []
    graph = room_imports(package)
    for room, imports in graph.items():
        for other in sorted(imports):
            if room in LEAVES:
                found.append(f"{room} is a leaf but imports {other}")
            if room not in IMPORTERS.get(other, {room}):
                found.append(f"{room} imports {other} back")
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        found.append("circle: " + " <- ".join(error.args[1]))
    for path, tree in sources(package).items():
        room = room_of(path, package)
        imports_torch = any(name.split(".")[0] == "torch" for name in imported_names(tree, path, package))
        if room in WITHOUT_TORCH and imports_torch:
            found.append(f"{room} imports torch")
    return found


def wrong_deeds(package):
    """Changes of sys.path or of the working directory anywhere; global seeds where none belong."""
    found = []
    for path, tree in sources(package).items():
        room = room_of(path, package)
        for node in ast.walk(tree):
            code = ast.unparse(node) if isinstance(node, ast.Attribute | ast.Name) else ""
            if code == "sys.path" or code.split(".")[-1] == "chdir":
                found.append(f"{room}: {code}")
            if code in ("random.seed", "np.random.seed", "numpy.random.seed") and room not in MAY_SEED:
                found.append(f"{room}: {code}")
        for name in imported_names(tree, path, package):
            if name in ("sys.path", "os.chdir", "contextlib.chdir"):
                found.append(f"{room}: {name}")
    return found


def test_imports_only_point_down():
    assert wrong_imports(PACKAGE) == []


def test_nothing_moves_the_ground_under_the_learner():
    assert wrong_deeds(PACKAGE) == []


def test_what_needs_no_torch_comes_without_it():
    # The tree above sees a room's own imports; this sees what they bring with them.
    rooms = sorted(WITHOUT_TORCH & room_imports(PACKAGE).keys())
    code = f"import sys, importlib\nfor room in {rooms}: importlib.import_module(f'course_utils.{{room}}')\n"
    done = subprocess.run(
        [sys.executable, "-c", code + "sys.exit('torch' in sys.modules)"], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr or f"importing {rooms} brings torch"


# The rules themselves: each sees a house that breaks it, and is content with one that does not.


def build(folder, files):
    package = folder / "course_utils"
    for name, text in ({"__init__.py": ""} | files).items():
        path = package / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return package


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ({"metrics.py": "from course_utils import splits"}, "metrics is a leaf but imports splits"),
        ({"metrics.py": "from . import splits"}, "metrics is a leaf but imports splits"),
        ({"metrics.py": "from .splits import k_fold"}, "metrics is a leaf but imports splits"),
        ({"metrics.py": "import course_utils.splits as s"}, "metrics is a leaf but imports splits"),
        ({"metrics.py": "def f():\n    from .splits import x"}, "metrics is a leaf but imports splits"),
        ({"data/a.py": "from ..splits import x"}, "data is a leaf but imports splits"),
        ({"a.py": "from course_utils.exercises import f", "exercises/b.py": ""}, "a imports exercises back"),
        ({"exercises.py": "import course_utils.cli", "cli.py": ""}, "exercises imports cli back"),
        ({"a.py": "from course_utils import b", "b.py": "import course_utils.a"}, "circle"),
        ({"data/a.py": "from torch import nn"}, "data imports torch"),
        ({"baselines.py": "def f():\n    import torch.nn"}, "baselines imports torch"),
    ],
)  # fmt: skip
def test_a_wrong_import_is_seen(tmp_path, files, expected):
    found = wrong_imports(build(tmp_path, {"splits.py": ""} | files))
    assert len(found) == 1
    assert expected in found[0]


def test_right_imports_are_not_complained_of(tmp_path):
    files = {
        "data/__init__.py": "from course_utils.data.a import x\nfrom .a import y\nimport numpy",
        "data/a.py": "from course_utils import __version__",
        "runtime.py": "import torch",
        "training.py": "from course_utils import runtime, data",
        "exercises/__init__.py": "from course_utils import training",
        "authoring/run.py": "from course_utils.exercises import check\nfrom . import build",
        "authoring/build.py": "",
        "cli.py": "from course_utils.authoring import build\nfrom course_utils import exercises",
    }
    assert wrong_imports(build(tmp_path, files)) == []


@pytest.mark.parametrize(
    "code",
    [
        "import sys\nsys.path.insert(0, '.')",
        "import sys\ndef f():\n    sys.path += ['.']",
        "from sys import path",
        "import os\nos.chdir('/')",
        "from contextlib import chdir",
        "import numpy as np\nnp.random.seed(0)",
        "import random\nrandom.seed(0)",
    ],
)
def test_a_wrong_deed_is_seen(tmp_path, code):
    assert len(wrong_deeds(build(tmp_path, {"splits.py": code}))) == 1


def test_runtime_may_seed(tmp_path):
    assert wrong_deeds(build(tmp_path, {"runtime.py": "import random\nrandom.seed(0)"})) == []
