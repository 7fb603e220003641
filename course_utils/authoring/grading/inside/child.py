"""What a forked process does: recover a notebook's objects, or run one object on the cases of an exercise."""

import contextlib
import dataclasses
import functools
import importlib.util
import json
import linecache
import os
import pickle
import re
import sys
import time
import traceback
import types

import wire

_PASSES = 3  # over the statements: one whose names are defined further down gets another chance


def work(task: dict, out: int) -> None:
    """Do the task and write the answer to the file `out`."""
    if task["kind"] == "recover":
        import recover

        _write(out, json.dumps(recover.recover(task["cells"], task["lab"])).encode())
    else:
        _observe(task, out)


def _write(out: int, data: bytes, write=os.write) -> None:
    view = memoryview(data)
    while view:
        view = view[write(out, view) :]


def _observe(task: dict, out: int, encode=wire.encode, write=_write, replace=dataclasses.replace) -> None:
    """Write the outcome of each case as soon as it is there.

    Its line is "cell 9, line 5" where something was raised. What was printed is nobody's business; in its
    place stands which statement could not be run: "cell 9, line 5: ModuleNotFoundError surprise".
    """
    _load_course(task["course"])
    from course_utils.exercises import observe
    from course_utils.exercises.calling import Case, Subject, call_function

    call = _define_call(task["call"]) if task["call"] else call_function
    restore, raised_at = _remember(), []
    subject = Subject(**task["subject"], call=functools.partial(_call, call, restore, raised_at))
    cases = [Case("", args) for args in pickle.loads(task["cases"])]
    name, deadline = task["name"], time.monotonic() + task["seconds"]
    namespace, problem = _define(task["program"], task["seconds"])
    restore()
    if isinstance(problem, observe.Outcome):
        outcomes = [problem]
    elif name not in namespace:
        outcomes = [observe.Outcome("refused", text=wire.NOT_DEFINED)]
    elif observe.of_the_package(subject, namespace[name]):
        outcomes = [observe.Outcome("refused", text=wire.PACKAGES_OWN)]
    else:
        outcomes = observe.observe_each(subject, namespace[name], cases, deadline - time.monotonic())
    for outcome in outcomes:
        line = raised_at[-1] if raised_at and outcome.status == "raised" else ""
        raised_at.clear()
        write(out, encode(replace(outcome, line=line, printed=problem if isinstance(problem, str) else "")))


def _remember():
    """A function that puts the modules which look at an answer back as they are now.

    Whoever patches numpy to please a comparison, or to hide what was written into an argument, has patched it
    only for themselves. Comparisons that count are made elsewhere; this keeps the outcome honest.
    """
    import torch

    watched = (
        "builtins",
        "copy",
        "inspect",
        "json",
        "numpy",
        "os",
        "torch",
        "types",
        "wire",
        "faiss",
        "course_call",
    )
    modules = [m for n, m in sys.modules.items() if n in watched or n.startswith(("course_utils", "numpy."))]
    saved = [(module.__dict__, dict(module.__dict__)) for module in modules]
    tensor, methods = torch.Tensor, dict(torch.Tensor.__dict__)
    loaded, all_loaded = sys.modules, dict(sys.modules)

    def restore(get=dict.get, set_on=type.__setattr__, update=dict.update):
        for now, before in saved:
            update(now, before)
        update(loaded, all_loaded)
        for name, method in methods.items():
            if get(dict(tensor.__dict__), name) is not method:
                set_on(tensor, name, method)

    return restore


def _call(call, restore, raised_at, learners, **args):
    """The exercise's own call, with everything put back before it looks at what came; where it raises, the
    place is added to a list.
    """

    @functools.wraps(learners)
    def restored(*given, **named):
        try:
            return learners(*given, **named)
        finally:
            restore()

    try:
        return call(learners if isinstance(learners, type) else restored, **args)
    except BaseException as error:
        raised_at.append(_place(error))
        raise
    finally:
        restore()


def _place(error: BaseException) -> str:
    """ "cell 9, line 5": the innermost line that stands in the notebook, or ""."""
    places = [(f.f_code.co_filename, line) for f, line in traceback.walk_tb(error.__traceback__)]
    found = [f"{name[1:-1]}, line {line}" for name, line in places if re.fullmatch(r"<cell \d+>", name)]
    return found[-1] if found else ""


def _load_course(folder: str) -> None:
    """Make this copy of the package the one that is imported."""
    path = f"{folder}/course_utils"
    spec = importlib.util.spec_from_file_location(
        "course_utils", f"{path}/__init__.py", submodule_search_locations=[path]
    )
    sys.modules["course_utils"] = module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)


def _define_call(call: dict):
    """The course's way to call the object, from statements of the declaration that know no answer."""
    sys.modules["course_call"] = module = types.ModuleType("course_call")
    for text, where in call["program"]:
        exec(compile(text, where, "exec"), module.__dict__)
        if "faiss" in text:  # before a learner's code could lay hands on it
            import faiss  # noqa: F401
    return module.__dict__[call["name"]]


def _define(program: list, seconds: float):
    """Run a learner's statements: the namespace, and the first problem that stays, as a text or as the
    Outcome of a time-out.
    """
    from course_utils.exercises.guard import TimeOut, fresh_state, quiet, time_limit
    from course_utils.exercises.observe import Outcome

    module = types.ModuleType("__main__")
    sys.modules["__main__"] = module
    module.__dict__["display"] = lambda *args, **kwargs: None  # IPython's
    waiting, problem = list(program), ""
    try:
        with fresh_state(), quiet(), time_limit(seconds):
            for _ in range(_PASSES):
                failed = []
                for text, where in waiting:
                    if error := _execute(text, where, module.__dict__):
                        failed.append((text, where, error))
                problem = failed[0][2] if failed else ""
                waiting = [(text, where) for text, where, _ in failed]
    except TimeOut:
        return module.__dict__, Outcome("time-out")
    return module.__dict__, problem


def _execute(text: str, where: str, namespace: dict) -> str:
    """Run a statement; if that fails, "cell 9, line 5: NameError", or that and the name of a module that is
    not there.
    """
    from course_utils.exercises.guard import TimeOut

    filename = f"<{where}>"
    lines = text.split("\n")
    known = linecache.cache.get(filename)
    if known:  # several statements of one cell: each has its own lines, and empty ones elsewhere
        longest = max(len(lines), len(known[2]))
        padded = [
            [*part, *[""] * (longest - len(part))] for part in (lines, [x.rstrip("\n") for x in known[2]])
        ]
        lines = [new or old for new, old in zip(*padded, strict=True)]
    linecache.cache[filename] = (len(text), None, [f"{line}\n" for line in lines], filename)
    with contextlib.suppress(ValueError):
        text = text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")
    try:
        exec(compile(text, filename, "exec", dont_inherit=True), namespace)
    except TimeOut:
        raise
    except BaseException as error:
        module = f" {error.name}" if type(error) is ModuleNotFoundError else ""
        return f"{_place(error) or where}: {type(error).__name__}{module}"
    return ""
