"""Notebooks as students hand them in, made from the solutions."""

import json
import zipfile

from course_utils import exercises, runtime
from course_utils.authoring import build
from course_utils.authoring.labs import Lab, exercise_of, exercise_sources, find_labs

NAMES = {lab.name[:2]: lab.name for lab in find_labs(runtime.course_root())}
LABS = [number for number in NAMES if exercises.of_lab(number)]


def lab(number):
    return Lab(NAMES[number], runtime.course_root())


def notebook(number, written=None, solved=True):
    """The learner's notebook of a lab: solved, or with the stubs; written: {exercise id: source} instead."""
    cells, title = build.read_source(lab(number))
    made = json.loads(build.as_text(build.learner_notebook(lab(number), cells, title)))
    solutions = exercise_sources(cells)
    for cell in made["cells"]:
        cell["source"] = "".join(cell["source"])
        if id := exercise_of(cell):
            source = (written or {}).get(id, solutions[id] if solved else cell["source"])
            cell["source"] = "\n".join(line for line in source.split("\n") if "SOLUTION" not in line)
    return made


def cell_of(made, id):
    """The cell of an exercise."""
    return next(cell for cell in made["cells"] if exercise_of(cell) == id)


def code(source):
    """A cell of code."""
    return {"cell_type": "code", "metadata": {}, "source": source, "outputs": [], "execution_count": None}


def in_class_body(made, id, lines):
    """The cell of an exercise whose forward is replaced by these lines, its given __init__ as it is."""
    source = cell_of(made, id)["source"]
    head = source[: source.index("def forward")] + source[source.index("def forward") :].split("\n")[0]
    return "\n".join([head, *(f"        {line}" for line in lines)])


def put(folder, name, made):
    """Write a notebook (or bytes, as they are) to a file of a submission."""
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(made if isinstance(made, bytes) else json.dumps(made).encode())
    return path


def put_zip(path, members):
    """A zip archive of {name: notebook or bytes}."""
    with zipfile.ZipFile(path, "w") as archive:
        for name, made in members.items():
            archive.writestr(name, made if isinstance(made, bytes) else json.dumps(made))


def cells_for_recovery(made):
    """The cells as notebook.read_notebook gives them."""
    return [
        {
            "type": "code" if cell["cell_type"] == "code" else "text",
            "source": "".join(cell["source"]),
            "exercise": exercise_of(cell),
        }
        for cell in made["cells"]
    ]
