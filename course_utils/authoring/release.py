"""The zip that students get: the labs, and what they need to run; no solutions, tests or scripts."""

import io
import zipfile
from pathlib import Path

import course_utils
from course_utils.authoring import verify
from course_utils.authoring.labs import BuildError, find_labs, write_atomically

NAME = f"recsys-course-{course_utils.__version__}"
CONTENT = (
    "notebooks/[0-9][0-9]_*.ipynb",
    "notebooks/*.md",
    "course_utils/**/*.py",
    "course_utils/*.toml",
    "data/README.md",
    "data/sample/*",
    "benchmarks/results/*.json",  # read by the labs
    "setup.mk",
    "pyproject.toml",
    "requirements.lock",
    "environment.yml",
)
STUDENTS = Path(__file__).parent / "students"  # its files take the place of the course's own
MOMENT = (1980, 1, 1, 0, 0, 0)  # of every file, so that the same course gives the same bytes


def write_release(root: Path, target: Path) -> list[str]:
    """Write the zip of the course in `root`, the whole of it or nothing; lines that tell what is in it.

    All lies in one folder, NAME. Of the package nothing is left out: the checks need the exercise
    declarations, so their references are in the zip. Raises BuildError when a learner's notebook does not fit
    its source, and in a folder without sources, as a student's.
    """
    labs, sources = find_labs(root, room="notebooks"), find_labs(root)
    if not sources:
        raise BuildError(f"no labs in {root / 'solutions'}: a release is made in the course's own folder")
    problems = [line for lab in labs if lab in sources for line in verify.check_learner(lab)]
    if problems or not labs:
        raise BuildError("\n".join([*problems, f"{root / 'notebooks'}: `course build` first"]))
    files = contents(root)
    archive = io.BytesIO()
    with zipfile.ZipFile(archive, "w", zipfile.ZIP_DEFLATED) as zipped:
        for name, path in files.items():
            entry = zipfile.ZipInfo(f"{NAME}/{name}", MOMENT)
            entry.create_system, entry.external_attr = 3, 0o644 << 16  # Unix, whatever it is written on
            zipped.writestr(entry, path.read_bytes(), zipfile.ZIP_DEFLATED, 9)
    write_atomically(target, archive.getvalue())
    waiting = ", ".join(lab.name for lab in sources if lab not in labs)
    return [
        f"{target}: {len(files)} files, {len(archive.getvalue()) / 1e6:.1f} MB",
        f"labs: {', '.join(lab.name for lab in labs)}",
        *([f"left out, as not built yet: {waiting}"] if waiting else []),
    ]


def contents(root: Path) -> dict[str, Path]:
    """Name in the zip -> file of the course in `root`, in order."""
    found = {path.relative_to(root).as_posix(): path for one in CONTENT for path in root.glob(one)}
    found |= {path.name: path for path in STUDENTS.iterdir()}
    return {name: path for name, path in sorted(found.items()) if path.is_file()}
