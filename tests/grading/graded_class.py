"""The submissions of a class, and what came out when it was graded."""

import csv
import json
from textwrap import dedent

import hostile
import students
from classroom import LABS, NAMES, code, in_class_body, notebook, put, put_zip

SECONDS = 12.0  # for an exercise; an endless loop costs the tests as much


def as_hostile(number, sources, forwards, top=None):
    """A notebook of which every exercise is an attack, or else as it was given."""
    made = notebook(
        number, {id: source.strip("\n") for id, (_, _, source) in _dedented(sources).items()}, solved=False
    )
    bare = notebook(number)
    for id, (_, _, lines) in forwards.items():
        cell = next(c for c in made["cells"] if c["metadata"].get("course", {}).get("exercise") == id)
        cell["source"] = in_class_body(bare, id, lines)
    if top:
        made["cells"].insert(0, code(top))
    return made


def _dedented(sources):
    return {id: (a, b, dedent(source)) for id, (a, b, source) in sources.items() if source}


def make_class(folder):
    """The submissions of a class, as three platforms name them."""
    for number in LABS:
        put(folder, f"perfect/{NAMES[number]}.ipynb", notebook(number))
    put(folder, f"empty_11_21_{NAMES['01']}.ipynb", notebook("01", solved=False))
    put(
        folder, f"partial_LATE_12_22_{NAMES['02']}-1.ipynb", notebook("02", {"2.2": "def sample_negatives(:"})
    )
    put(folder, "Mistaken Student_13_assignsubmission_file_/homework.ipynb", students.mistaken())
    put(folder, f"twin_{NAMES['01']}.ipynb", students.mistaken())
    put_zip(folder / "fair.zip", {f"some folder/{NAMES['01']}.ipynb": students.fair()})
    put(folder, "damaged/lab1.ipynb", students.damaged())
    whole = json.dumps(notebook("01")).encode()
    put(folder, "cut/lab1.ipynb", whole[: whole.index(b"def sgd_step")])
    put(folder, "nothing/lab1.ipynb", b"")
    put(folder, "noise/lab1.ipynb", bytes(range(256)) * 4)
    (folder / "linked").mkdir()
    (folder / "linked" / "lab1.ipynb").symlink_to("/etc/passwd")
    (folder / "broken.zip").write_bytes(b"PK no archive")
    put(folder, "hostile/1.ipynb", as_hostile("01", hostile.LAB_1, {"1.7": hostile.LAB_1_FORWARD}))
    put(folder, "hostile/2.ipynb", as_hostile("02", hostile.LAB_2, hostile.LAB_2_FORWARD))
    put(folder, "hostile/3.ipynb", as_hostile("03", hostile.LAB_3, hostile.LAB_3_FORWARD, hostile.LAB_3_TOP))


class Graded:
    """Where a class was graded, what the command said, and the rows of grades.csv."""

    def __init__(self, submissions, out, lines):
        self.submissions, self.out, self.lines = submissions, out, lines
        with open(out / "grades.csv", encoding="utf-8-sig", newline="") as file:
            self.rows = {(row["student"], row["lab"][:2]): row for row in csv.DictReader(file)}

    def points(self, student, number):
        """{exercise: points} of a notebook."""
        row = self.rows[student, number]
        skipped = ("student", "lab", "total", "of", "flags", "file")
        return {name: float(value) for name, value in row.items() if name not in skipped and value}

    def feedback(self, student, number):
        return (self.out / "feedback" / student / f"{NAMES[number]}.html").read_text(encoding="utf-8")

    def record(self, student, number):
        return json.loads(
            (self.out / "records" / student / f"{NAMES[number]}.json").read_text(encoding="utf-8")
        )
