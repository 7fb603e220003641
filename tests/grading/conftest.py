"""A class, graded once for all tests."""

import shutil

import pytest
from graded_class import SECONDS, Graded, make_class

from course_utils.authoring.grading import grade


@pytest.fixture(scope="session")
def needs_bwrap():
    if not shutil.which("bwrap"):
        pytest.fail("bubblewrap is not installed: apt-get install bubblewrap")


@pytest.fixture(scope="session")
def graded(tmp_path_factory, needs_bwrap):
    folder = tmp_path_factory.mktemp("class")
    submissions, out = folder / "submissions", folder / "out"
    submissions.mkdir()
    make_class(submissions)
    lines = grade.grade_class(submissions, out, seed="a secret", jobs=2, seconds=SECONDS)
    return Graded(submissions, out, lines)
