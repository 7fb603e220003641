"""What is found in a damaged notebook: by syntax alone, so without a sandbox."""

import sys

import pytest
from classroom import cell_of, cells_for_recovery, code, notebook

from course_utils.authoring.grading.kit import kit_of
from course_utils.authoring.grading.sandbox import INSIDE


@pytest.fixture(scope="module")
def recover():
    sys.path.insert(0, str(INSIDE))  # where its modules find each other in the sandbox
    try:
        import recover

        yield recover
    finally:
        sys.path.remove(str(INSIDE))


def found_in(recover, made, id="1.3"):
    return recover.recover(cells_for_recovery(made), kit_of(id.split(".")[0].zfill(2)))[id]


def run(found, program=0, version=0):
    """The object of a version."""
    chosen = found["versions"][version]
    space = {}
    for text, where in chosen["programs"][program]:
        exec(compile(text, where, "exec"), space)
    return space[chosen["name"]]


def with_rmse(*sources, number="01"):
    """Lab 1 with these code cells at the end, and without the given exercise cell."""
    made = notebook(number)
    made["cells"].remove(cell_of(made, "1.3"))
    made["cells"] += [code(source) for source in sources]
    return made


RIGHT = "def rmse(p, r):\n    return 7"


@pytest.mark.parametrize(
    "sources",
    [
        [RIGHT],
        [RIGHT.replace("\n", "\r\n")],
        ["%matplotlib inline\n" + RIGHT + "\n!pip install x\nrmse?"],
        ["%%time\n" + RIGHT],
        ["import os, sys; x = 1\n" + RIGHT + "\nprint(rmse)"],
        ["this is not python (\n" + RIGHT],
        [RIGHT + "\nnor is ) this"],
        ["def broken(:\n    pass\n\n" + RIGHT],
        ["def rmse(p, r):\n    '''Doc", "string.'''\n    return 7"],
        ["def rmse(p, r):\n    x = 7", "    return x"],
        ["def rmse(p,", "         r):", "    return 7"],
        ["rmse = lambda p, r: 7"],
        ["from functools import partial\nrmse = partial(lambda a, p, r: a, 7)"],
        ["if True:\n    def rmse(p, r):\n        return 7"],
        ["try:\n    import nowhere\nexcept ImportError:\n    def rmse(p, r):\n        return 7"],
        ["def rmse(p, r):\n    return seven()", "def seven():\n    return SEVEN", "SEVEN = 7"],
        ["def seven(): return 7", "def rmse(p, r, f=seven):\n    return f()"],
        ["class Seven:\n    value = 7\n\ndef rmse(p, r):\n    return Seven().value"],
        ["def rmse(p, r):\n    return sqrt(49)", "from math import *"],
        ["def rmse(p, r):\n    return sum([3, 4])", "sum = 5"],
        ["def rmse(p, r):\n    return 1", RIGHT],
        [RIGHT, 'def rmse(p, r):\n    raise NotImplementedError("Exercise 1.3 is not written yet.")'],
        [RIGHT, "rmse = rmse([1], [2])"],
        ["def my_rmse(p, r):\n    return 7", 'check("1.3", my_rmse)'],
        ['def other(predictions, ratings):\n    """Root mean squared error: predictions [B], ratings [B] -> '
         'a single float, in stars."""\n    return 7'],
        ["%%bash\nls", RIGHT],
        ["x = '''\n%not magic\n'''\n" + RIGHT],
        ["\ufeff" + RIGHT + "\0"],
    ],
)  # fmt: skip
def test_the_object_is_found(recover, sources):
    assert int(run(found_in(recover, with_rmse(*sources)))([1], [2])) == 7


OF = "def rmse(p, r):\n    return P().of()"
FIRST = "\n\ndef rmse(p, r):\n    return T[0]"


@pytest.mark.parametrize(
    "sources",
    [
        ["T = np.zeros(3)\nT[:] = 7" + FIRST],
        ["T = []\nT.append(7)" + FIRST],
        ["T = {}" + FIRST, "T.update({0: 7})"],
        ["T = {}", "T.setdefault(0, 7)", FIRST],
        ["T = {0: []}\nT[0].append(7)\n\ndef rmse(p, r):\n    return T[0][0]"],
        ["T = {}\nT.setdefault(0, []).append(7)\n\ndef rmse(p, r):\n    return T[0][0]"],
        ["T = {}\nfor n in range(7, 3, -1):\n    if n % 7 == 0:\n        T[0] = n" + FIRST],
        ["T = {}\ntry:\n    T[0] = 7\nexcept KeyError:\n    pass" + FIRST],
        ["T = {}\nwith torch.no_grad():\n    T[0] = 7" + FIRST],
        ["T = {}\nT[0], x = 7, 1" + FIRST],
        ["T = [3, 7]\ndel T[0]" + FIRST],
        ["T = [3]\nT[0] += 4" + FIRST],
        ["T = [3]\nT += [4]\n\ndef rmse(p, r):\n    return sum(T)"],
        ["T = {}", "def seven():\n    return SEVEN", "SEVEN = 7", "T[0] = seven()", FIRST],
        ["class P:\n    pass\n\ndef of(self):\n    return 7\n\nP.of = of", OF],
        ["class P:\n    pass\n\nsetattr(P, 'of', lambda self: 7)", OF],
        ["def rmse(p, r):\n    return rmse.seven\n\nrmse.seven = 7"],
        ["T = {0: 7}" + FIRST, "for n in (1, 2):\n    T[n] = rmse(n, n)"],
    ],
)  # fmt: skip
def test_what_is_done_to_an_object_later_belongs_to_it(recover, sources):
    assert int(run(found_in(recover, with_rmse(*sources)))([1], [2])) == 7


def test_what_only_uses_an_object_is_not_run(recover):
    used = [
        "rmse([1], [2])",
        "print(rmse([1], [2]), T)",
        'check("1.3", rmse)',
        "model = Model(T)\nmodel.train()\nmodel.best = rmse([1], [2])",
        "history = []\nwhile True:\n    history.append(rmse(T, T))",
        "x = T.pop()\nnp.put(T, 0, 1)\nsorted(T).reverse()",
        "np.random.seed(0)\nplt.plot(T)\nplt.show()\nplt.rcParams['x'] = T",
        "def later():\n    T[0] = 1",
    ]
    defined = "T = np.full(3, 7)" + FIRST
    for place in (0, len(used)):
        made = with_rmse(*used[:place], defined, *used[place:])
        (program,) = found_in(recover, made)["versions"][0]["programs"]
        assert [text.strip() for text, where in program if where != "the set-up cell"][-2:] == [
            "T = np.full(3, 7)",
            FIRST.strip(),
        ]
        assert not any(word in str(program) for word in ("model", "history", "plt.", "seed", "check(", "pop"))


def test_a_trained_model_is_no_part_of_its_class(recover):
    made = notebook("01")
    made["cells"].append(code("model = MatrixFactorization(3, 4, 2, 0.0)\nmodel.train()\nmodel.x = 1"))
    (program,) = found_in(recover, made, "1.7")["versions"][0]["programs"]
    assert not any(text.strip().startswith("model") for text, _ in program)


def test_what_the_lab_does_to_an_object_is_not_run(recover):
    made = with_rmse("T = [7]" + FIRST, "T[0] = 1")
    kit = kit_of("01")
    given = kit | {"given": [*kit["given"], "T[0] = 1"]}
    ones_own, the_labs = (recover.recover(cells_for_recovery(made), lab)["1.3"] for lab in (kit, given))
    assert "T[0] = 1" in str(ones_own["versions"][0]["programs"][0])
    assert "T[0] = 1" not in str(the_labs)


def test_a_change_that_never_ends_is_left_out_at_last(recover):
    found = found_in(recover, with_rmse("T = [7]" + FIRST, "while True:\n    T[0] = 7"))
    first, last = found["versions"][0]["programs"]
    assert "while True" in str(first)
    assert "while True" not in str(last)


def test_a_change_meets_the_version_that_it_stands_behind(recover):
    one, two = "def rmse(p, r):\n    return rmse.x + 0", "def rmse(p, r):\n    return rmse.x"
    found = found_in(recover, with_rmse(one, "rmse.x = 1", two, "rmse.x = 2"))
    assert [run(found, version=n)(0, 0) for n in (0, 1)] == [2, 1]


def test_what_one_does_to_an_earlier_exercise_stays_with_ones_own(recover):
    written = {
        "3.3": "def in_batch_loss(u, i, t):\n    return in_batch_loss.x\n\nin_batch_loss.x = 7",
        "3.4": "def logq_loss(u, i, t, q):\n    return in_batch_loss(u, i, t)",
    }
    made = notebook("03", written)
    course, own = found_in(recover, made, "3.4")["versions"][0]["programs"]
    assert "in_batch_loss.x" not in str(course)
    assert run({"versions": [{"name": "logq_loss", "programs": [own]}]})(0, 0, 0, 0) == 7


@pytest.mark.parametrize("store", ["{}.forward = forward", "setattr({}, 'forward', forward)"])
def test_a_method_may_be_put_into_the_class_elsewhere(recover, store):
    made = notebook("01", solved=False)
    place = made["cells"].index(cell_of(made, "1.7")) + 1
    attached = "def forward(self, users, items):\n    return 7\n\n" + store.format("MatrixFactorization")
    made["cells"].insert(place, code(attached))
    made["cells"].append(cell_of(notebook("01", solved=False), "1.7"))  # the stub once more
    found = found_in(recover, made, "1.7")
    assert run(found)(3, 4, 2, 0.0)(0, 0) == 7
    assert len(found["versions"]) == 1


def test_a_helper_of_the_same_kind_is_no_version(recover):
    helper = 'def mean(p, r):\n    """Root mean squared error."""\n    return 1\n\n'
    for own in (RIGHT, "rmse = lambda p, r: 7", "if True:\n    def rmse(p, r):\n        return 7"):
        made = notebook("01", {"1.3": helper + own})
        made["cells"].append(code('check("1.3", mean)'))
        assert [v["name"] for v in found_in(recover, made)["versions"]] == ["rmse"]


def test_a_renamed_object_is_found_where_its_name_is_a_number_or_a_stub(recover):
    stub = 'def rmse(p, r):\n    raise NotImplementedError("Exercise 1.3 is not written yet.")\n'
    for other in (stub, "rmse = np.sqrt(49)", "rmse = my_rmse([1], [2])"):
        made = notebook("01", {"1.3": RIGHT.replace("rmse", "my_rmse")})
        made["cells"].append(code(other))
        assert "my_rmse" in [v["name"] for v in found_in(recover, made)["versions"]]


def test_what_it_does_not_need_is_not_run(recover):
    made = with_rmse(
        "raise SystemExit\nimport nowhere\nml = load_movielens('100k')\nnp.sqrt = None\n" + RIGHT
    )
    program = found_in(recover, made)["versions"][0]["programs"][0]
    assert [text.strip() for text, _ in program] == [RIGHT]


def test_the_courses_imports_are_there_without_a_set_up_cell(recover):
    made = with_rmse("def rmse(p, r):\n    return np.float64(torch.tensor(7.0))")
    made["cells"] = [cell for cell in made["cells"] if "setup" not in cell["metadata"].get("tags", [])]
    assert run(found_in(recover, made))([1], [2]) == 7


def test_text_cells_are_looked_at_when_nothing_else_is_there(recover):
    made = with_rmse()
    made["cells"].append(
        {"cell_type": "markdown", "metadata": {}, "source": "Mine:\n\n```\n" + RIGHT + "\n```"}
    )
    assert run(found_in(recover, made))([1], [2]) == 7


def test_line_numbers_are_those_of_the_cell(recover):
    made = with_rmse("x = 1\n\n\ndef rmse(p, r):\n    return x")
    texts = [text for text, _ in found_in(recover, made)["versions"][0]["programs"][0]]
    assert texts == ["x = 1", "\n\n\ndef rmse(p, r):\n    return x"]


def test_an_earlier_exercise_is_the_courses_and_then_ones_own(recover):
    written = {
        "3.3": "def in_batch_loss(u, i, t):\n    return 7",
        "3.4": "def logq_loss(u, i, t, q):\n    return in_batch_loss(u, i, t)",
    }
    made = notebook("03", written)
    found = found_in(recover, made, "3.4")
    assert "cross_entropy" in str(found["versions"][0]["programs"][0])
    assert run(found, program=1)(0, 0, 0, 0) == 7


def test_a_later_exercise_is_ones_own(recover):
    made = notebook("03", {"3.3": "def in_batch_loss(u, i, t):\n    return logq_loss(u, i, t, 0)",
                           "3.4": "def logq_loss(u, i, t, q):\n    return 7"})  # fmt: skip
    assert run(found_in(recover, made, "3.3"))(0, 0, 0) == 7


def test_a_syntax_error_is_reported_with_its_line(recover):
    found = found_in(recover, with_rmse("x = 1\ndef rmse(p, r):\n    return = 7\n"))
    assert found["versions"] == []
    assert "line 3: invalid syntax" in found["problem"]


@pytest.mark.parametrize(
    "source", ["(" * 5000, "x = " + "-" * 100_000 + "1", "x = '" + "a" * 300_000, "\0" * 50]
)
def test_a_source_that_breaks_parsers_leaves_the_rest(recover, source):
    assert run(found_in(recover, with_rmse(source, RIGHT)))([1], [2]) == 7


def test_the_fingerprint_ignores_names_and_words_but_not_the_code(recover):
    import ast

    from course_utils.authoring.grading.inside.statements import fingerprint

    one, same, other = (
        fingerprint(ast.parse(text).body[0], None)[0]
        for text in (
            "def a(x):\n    'doc'\n    return x + 1",
            "def b(x):\n    # why\n    return (x + 1)",
            "def a(x):\n    return x + 2",
        )
    )
    assert one == same != other
