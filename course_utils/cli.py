"""The `course` command: argument parsing only."""

import sys
from contextlib import contextmanager
from pathlib import Path

import click

import course_utils
from course_utils import runtime

LABS = click.argument("labs", nargs=-1, metavar="[LAB]...")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(course_utils.__version__, prog_name="course")
def main():
    """Labs on recommender systems: fetch the data, work on a lab, build and run the notebooks."""


def _labs(wanted, room="solutions"):
    from course_utils.authoring.labs import find_labs

    try:
        labs = find_labs(runtime.course_root(), wanted, room)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not labs:
        raise click.UsageError(f"no labs in {runtime.course_root() / room}")
    return labs


@main.command()
@LABS
@click.option("--check", is_flag=True, help="Write nothing; exit 1 when a notebook does not fit its source.")
@click.option("--no-execute", is_flag=True, help="Write only the learner's notebook, while you edit text.")
def build(labs, check, no_execute):
    """Write both notebooks of each LAB (all of them by default) from solutions/NN_topic.py."""
    from course_utils.authoring import build as builder
    from course_utils.authoring import verify
    from course_utils.authoring.execute import ExecutionError

    failed = False
    for lab in _labs(labs):
        try:
            if check:
                problems = verify.check_lab(lab)
                failed |= bool(problems)
                lines = problems or [f"{lab.name}: both notebooks fit their source"]
            else:
                lines = builder.build_lab(lab, run=not no_execute)
        except (builder.BuildError, ExecutionError) as error:
            failed, lines = True, [f"{lab.name}: {error}"]
        click.echo("\n".join(lines))
    if check and not labs:
        strays = verify.check_strays(runtime.course_root(), _labs(()))
        failed |= bool(strays)
        click.echo("".join(f"{line}\n" for line in strays), nl=False)
    sys.exit(int(failed))


@main.command()
@LABS
@click.option("-p", "--parameter", "parameters", nargs=2, multiple=True, metavar="NAME VALUE",
              help="Set a parameter of the labs, as -p SEED 3.")  # fmt: skip
@click.option("--resume", is_flag=True, help="Skip the labs that finished well and have not changed.")
def run(labs, parameters, resume):
    """Run the solution of each LAB (all of them by default) and print every claim.

    Writes executed notebooks, HTML and results.json to build/. Exit code 1 when a cell or a claim fails.
    """
    from course_utils.authoring import run as runner

    values = {name: runner.parse_value(value) for name, value in parameters}
    try:
        sys.exit(runner.run_labs(_labs(labs), values, resume))
    except KeyboardInterrupt:
        click.echo("\nStopped. What had finished is kept: `course run --resume` goes on from there.")
        sys.exit(130)


@main.command()
@click.argument("file", required=False, type=click.Path(dir_okay=False, path_type=Path))
def release(file):
    """Write the zip that students get to FILE (build/recsys-course-VERSION.zip by default)."""
    from course_utils.authoring import release as releases

    root = runtime.course_root()
    with _told():
        click.echo("\n".join(releases.write_release(root, file or root / "build" / f"{releases.NAME}.zip")))


@main.command()
@click.argument("folder", metavar="DIR", type=click.Path(file_okay=False, path_type=Path))
@LABS
def nbgrader(folder, labs):
    """Make a course folder for nbgrader in DIR, with an assignment for each LAB (all of them by default).

    Then, in DIR: nbgrader generate_assignment, autograde, generate_feedback; or formgrader in JupyterLab.
    """
    from course_utils.authoring import nbgrader as course_folder

    with _told():
        click.echo("\n".join(course_folder.make_course(folder, _labs(labs))))


@main.command(context_settings={"ignore_unknown_options": True})
@click.argument("jupyter_arguments", nargs=-1, type=click.UNPROCESSED)
def lab(jupyter_arguments):
    """Copy the notebooks to work/, never over your own, and open JupyterLab there.

    Arguments are handed on to JupyterLab, as --no-browser or --port 8890.
    """
    from course_utils.authoring import workspace

    with _told():
        click.echo("".join(f"{line}\n" for line in workspace.make_copies(runtime.course_root())), nl=False)
        sys.exit(workspace.open_lab(runtime.course_root(), jupyter_arguments))


@main.command()
@click.argument("exercise")
def reset(exercise):
    """Put EXERCISE (as 1.3) in work/ back as it was; a backup of your notebook is kept."""
    from course_utils.authoring import workspace

    with _told():
        click.echo("\n".join(workspace.reset_exercise(runtime.course_root(), exercise)))


@main.command()
@LABS
def progress(labs):
    """Show which exercises in work/ pass."""
    from rich.console import Console

    from course_utils.authoring import progress as standing

    begun = [lab for lab in _labs(labs, "notebooks") if lab.copy.exists()]
    if not begun:
        click.echo("There is nothing in work/ yet: `course lab` puts the notebooks there.")
    with _told():
        standing.print_progress(begun, Console())


@contextmanager
def _told():
    """Show what the course itself complains of as a message, not as a traceback."""
    from course_utils.authoring.labs import BuildError
    from course_utils.authoring.workspace import WorkspaceError

    try:
        yield
    except (BuildError, WorkspaceError) as error:
        raise click.ClickException(str(error)) from error


@main.command()
@click.argument("size", default="100k", type=click.Choice(["100k", "1m", "32m"]))
def data(size):
    """Fetch MovieLens SIZE (100k by default) into data/ and verify it."""
    from course_utils.data import DataError, cache_file, load_movielens

    try:
        ratings = load_movielens(size)
    except DataError as error:
        raise click.ClickException(str(error)) from error
    click.echo(
        f"MovieLens {size}: {len(ratings):,} ratings, {ratings.n_users:,} users, {ratings.n_items:,} items, "
        f"verified ({cache_file(size)})"
    )


@main.command()
def doctor():
    """Say what is installed and what is missing, with the command that mends it."""
    from course_utils import doctor as physician

    findings = physician.examine()
    click.echo("\n".join(finding.line() for finding in findings))
    sys.exit(int(not all(finding.ok for finding in findings)))


@main.command()
@click.argument("submissions", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--out", required=True, type=click.Path(file_okay=False, path_type=Path), metavar="DIR",
              help="Where grades, feedback and overview go; a next run goes on from there.")  # fmt: skip
@click.option("--seed", metavar="TEXT", help="Of the hidden cases; by default random, and kept in DIR.")
@click.option("--jobs", default=1, type=click.IntRange(min=1), help="Notebooks at a time on this machine.")
@click.option("--scheduler", metavar="ADDRESS", help="A dask.distributed scheduler, to grade on its workers.")
@click.option("--sandbox", default="auto", type=click.Choice(["auto", "bwrap", "unshare"]),
              help="auto: bubblewrap, and nothing is run without it. unshare is weaker.")  # fmt: skip
@click.option("--seconds", default=20.0, type=click.FloatRange(min=1), show_default=True,
              help="For one exercise.")  # fmt: skip
def grade(submissions, out, seed, jobs, scheduler, sandbox, seconds):
    """Grade the notebooks in SUBMISSIONS: grades.csv, feedback/ and class.html in DIR.

    SUBMISSIONS is the folder as it was downloaded. What was graded before and has not changed stays.
    """
    settings = dict(seed=seed, jobs=jobs, scheduler=scheduler, sandbox=sandbox, seconds=seconds)
    try:
        from course_utils.authoring.grading import grade as grader  # takes seconds, which may be interrupted

        try:
            lines = grader.grade_class(submissions, out, **settings)
        except grader.GradingError as error:
            raise click.ClickException(str(error)) from error
    except KeyboardInterrupt:
        click.echo("\nStopped. What had finished is kept: the same command goes on from there.")
        sys.exit(130)
    click.echo("\n".join(lines))
