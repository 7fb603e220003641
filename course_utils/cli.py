"""The `course` command: argument parsing only."""

import sys

import click

import course_utils
from course_utils import runtime

LABS = click.argument("labs", nargs=-1, metavar="[LAB]...")


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(course_utils.__version__, prog_name="course")
def main():
    """Labs on recommender systems: fetch the data, work on a lab, build and run the notebooks."""


def _labs(wanted):
    from course_utils.authoring.labs import find_labs

    try:
        labs = find_labs(runtime.course_root(), wanted)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    if not labs:
        raise click.UsageError(f"no labs in {runtime.course_root() / 'solutions'}")
    return labs


def _points_of(exercise):
    from course_utils import exercises

    return exercises.get(exercise).points


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
                problems = verify.check_lab(lab, _points_of)
                failed |= bool(problems)
                lines = problems or [f"{lab.name}: both notebooks fit their source"]
            else:
                lines = builder.build_lab(lab, _points_of, run=not no_execute)
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
        sys.exit(runner.run_labs(_labs(labs), values, _points_of, resume))
    except KeyboardInterrupt:
        click.echo("\nStopped. What had finished is kept: `course run --resume` goes on from there.")
        sys.exit(130)
