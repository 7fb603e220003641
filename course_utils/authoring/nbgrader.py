"""A course folder for nbgrader: its source notebooks, its configuration, and the kernel of its autograde."""

import json
import sys
from pathlib import Path

from course_utils import runtime
from course_utils.authoring import build
from course_utils.authoring.grading import sandbox
from course_utils.authoring.labs import Lab, exercise_of, exercise_sources, write_atomically

KERNEL = "recsys-course"
CELL_SECONDS = 120  # nothing in a lab takes as long in FAST mode

CONFIG = '''\
# nbgrader's configuration, made by `course nbgrader`; once you have changed it, it is left alone.
import os
import sys
from pathlib import Path

c = get_config()  # noqa: F821
folder = Path(__file__).resolve().parent

c.CourseDirectory.root = str(folder)
c.CourseDirectory.course_id = "recsys-course"

# What learners find in place of a solution; the check knows the message.
c.ClearSolutions.code_stub = {{"python": {stub!r}}}

# nbgrader starts alembic by its bare name.
os.environ["PATH"] = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])

# autograde runs the notebooks in a kernel of its own, which sets COURSE_FAST, and COURSE_STRICT: a failed
# check raises, which costs its points.
paths = [str(folder / "jupyter"), os.environ.get("JUPYTER_PATH", "")]
os.environ["JUPYTER_PATH"] = os.pathsep.join(path for path in paths if path)
c.Execute.kernel_name = "{kernel}"
c.Execute.timeout = {seconds}  # for one cell; then it is interrupted, and the next one runs

# nbgrader takes all points from a check cell that wrote to stderr, be it a warning. So drop that first.
c.IgnorePattern.enabled = True
c.IgnorePattern.pattern = "^"
'''


def make_course(folder: Path, labs: list[Lab]) -> list[str]:
    """Write the course folder; one line for each file that was written, or left alone since it was changed.

    folder/source/LAB/LAB.ipynb, nbgrader_config.py, jupyter/kernels/, and an empty submitted/. The kernel
    runs in a sandbox where bubblewrap can make one, else without one, which the last line says. Raises
    build.BuildError for a source that breaks a rule.
    """
    sandboxed = _sandbox_works()
    files = {f"source/{lab.name}/{lab.name}.ipynb": build.as_text(source_notebook(lab)) for lab in labs}
    files["nbgrader_config.py"] = CONFIG.format(
        stub="\n".join(build.STUB).replace("Exercise {exercise}", "This exercise"),
        kernel=KERNEL,
        seconds=CELL_SECONDS,
    )
    lines = [_write(folder, name, text) for name, text in files.items()]
    (folder / "submitted").mkdir(exist_ok=True)
    name = f"jupyter/kernels/{KERNEL}/kernel.json"
    write_atomically(folder / name, json.dumps(kernel_spec(sandboxed), indent=1) + "\n")
    lines.append(f"{name}: written")
    if not sandboxed:
        lines.append(
            "WARNING: without bubblewrap, autograde will run what students wrote with your rights, on your "
            f"files. Install it: {sandbox.INSTALL}, see that `bwrap --unshare-all --ro-bind / / true` works, "
            "and give this command again."
        )
    return lines


def source_notebook(lab: Lab):
    """The learner's notebook with the solution regions still in it: what generate_assignment starts from."""
    cells, title = build.read_source(lab)
    solved = exercise_sources(cells)
    notebook = build.learner_notebook(lab, cells, title)
    for cell in notebook.cells:
        cell.source = solved.get(exercise_of(cell), cell.source)
    return notebook


def kernel_spec(sandboxed: bool) -> dict:
    """Jupyter's description of the kernel that runs what students wrote.

    -P: the current folder, which is the student's, holds no modules.
    """
    module = "course_utils.authoring.sandboxed_kernel" if sandboxed else "ipykernel_launcher"
    file = ["{connection_file}"] if sandboxed else ["-f", "{connection_file}"]
    switches = ("COURSE_FAST", "COURSE_STRICT", "COURSE_HEADLESS")
    return {
        "argv": [sys.executable, "-P", "-m", module, *file],
        "display_name": "Recommender systems (autograde)",
        "language": "python",
        "interrupt_mode": "message",  # a signal would end the sandbox
        "env": {"COURSE_ROOT": str(runtime.course_root()), **dict.fromkeys(switches, "1")},
    }


def _sandbox_works() -> bool:
    try:
        return sandbox.choose("bwrap") == "bwrap"
    except sandbox.SandboxError:
        return False


def _write(folder: Path, name: str, text: str) -> str:
    path = folder / name
    if path.exists() and path.read_text(encoding="utf-8") != text:
        return f"{name}: was changed, so it is left as it is; without it, this command makes a new one"
    write_atomically(path, text)
    return f"{name}: written"
