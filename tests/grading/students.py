"""Honest students: what they wrote, and the points it must get."""

from textwrap import dedent

from classroom import cell_of, code, in_class_body, notebook

MISTAKES = {
    "1.1": (
        0,
        "counts from 1",
        "def dense_ids(r):\n    ids, places = np.unique(r, return_inverse=True)\n    return places + 1, ids",
    ),
    "1.3": (0, "", "def rmse(p, r):\n    return np.nan"),
    "1.6": (0, "", "def sgd_step(a, b, c, d, e, f, g, h):\n    return undefined_name"),
    "1.9": (
        1.75,  # the core, and two of four edge cases: what is unseen is not counted
        "",
        "def top_k_unseen(scores, seen, k):\n    s = scores.copy()\n    s[seen] = -np.inf\n"
        "    return np.argsort(-s)[:k]",
    ),
}


def mistaken():
    """Lab 1 with known and unknown mistakes; the rest is right."""
    return notebook("01", {id: source for id, (_, _, source) in MISTAKES.items()})


def fair():
    """Lab 1, all right, written as people write: every point must be given."""
    made = notebook("01")
    written = {
        "1.1": """
            import pandas as pd
            from collections import *

            def dense_ids(column: pd.Series, verbose=True):
                "My own words."
                seen = OrderedDict()
                for value in column:
                    seen.setdefault(value, len(seen))
                if verbose:
                    print("found", len(seen), "ids")
                return [seen[value] for value in column], list(seen)
            """,
        "1.2": """
            %matplotlib inline
            def temporal_split(t, f):
                import time
                time.sleep(0.2)  # slow but right
                cut = sorted_copy(t)[int((1 - f) * len(t))]
                plt.plot(t)
                plt.show()
                plt.close("all")
                return [i for i, x in enumerate(t) if x < cut], [i for i, x in enumerate(t) if x >= cut]
            !ls
            """,
        "1.3": """
            %%time
            SQUARE = 2
            def rmse(p, r):
                warnings.warn("careful")
                return float((sum((a - b) ** SQUARE for a, b in zip(p, r)) / len(p)) ** HALF)
            rmse([1], [2])
            """,
        "1.7": None,
    }
    for id, source in written.items():
        if source:
            cell_of(made, id)["source"] = dedent(source).strip()
    cell_of(made, "1.7")["source"] = (
        in_class_body(
            made,
            "1.7",
            [
                "from tqdm.auto import tqdm",
                "self.calls = getattr(self, 'calls', 0) + 1",
                "pairs = tqdm(list(zip(users, items)))",
                "dots = [self.user_emb.weight[u] @ self.item_emb.weight[i] for u, i in pairs]",
                "return torch.stack(dots) + self.global_bias + self.bias_of(users, items)",
                "",
            ],
        )
        + "\n    def bias_of(self, users, items):"
        + "\n        return both(self.user_bias, users) + both(self.item_bias, items)\n"
    )
    helpers = """
        import warnings
        HALF = 1 / 2

        def both(table, rows):
            return table(rows)[:, 0]

        def sorted_copy(values):
            return first(sorted)(values)

        first = lambda f: f
        """
    made["cells"].append(code(dedent(helpers)))
    made["cells"].append(code("this is not python ("))
    made["cells"].append(code("rmse = rmse(np.ones(2), np.zeros(2))"))
    return made


def damaged():
    """Lab 1 with damage of another kind in each exercise, and the points that are still to be had."""
    made = notebook("01")
    cells = made["cells"]

    def place(id):
        return cells.index(cell_of(made, id))

    # deleted: 1.1
    del cells[place("1.1")]
    # duplicated, the stub once more further down: 1.2
    stub = cell_of(notebook("01", solved=False), "1.2")
    cells.append(stub | {"source": stub["source"]})
    # split in the middle of the body: 1.3
    lines = cell_of(made, "1.3")["source"].split("\n")
    cells[place("1.3") + 1 : place("1.3") + 1] = [code("\n".join(lines[3:]))]
    cell_of(made, "1.3")["source"] = "\n".join(lines[:3])
    # merged with something that is no Python: 1.4
    cell_of(made, "1.4")["source"] = (
        "## My notes\nthis is (\n" + cell_of(made, "1.4")["source"] + "\nand so on"
    )
    # retyped as markdown: 1.5a
    cells[place("1.5a")] = {
        "cell_type": "markdown",
        "metadata": {},
        "source": "Similar:\n```python\n" + cell_of(made, "1.5a")["source"] + "\n```",
    }
    # renamed, here and in its check: 1.5b
    cell_of(made, "1.5b")["source"] = cell_of(made, "1.5b")["source"].replace(
        "knn_predict", "predict_with_knn"
    )
    # moved to the front: 1.6
    cells.insert(0, cells.pop(place("1.6")))
    # no marks at all, and Windows line ends: 1.7
    cell = cell_of(made, "1.7")
    cell["metadata"], cell["source"] = {}, cell["source"].replace("\n", "\r\n")
    # a syntax error of its own: 1.8
    cell_of(made, "1.8")["source"] = cell_of(made, "1.8")["source"].replace("total = 0.0", "total = = 0.0")
    # two versions, the wrong one last: 1.9
    cells.append(code("def top_k_unseen(scores, seen, k):\n    return scores"))
    return made


DAMAGED = {
    "1.1": 0,
    "1.2": 2,
    "1.3": 1,
    "1.4": 2,
    "1.5a": 2,
    "1.5b": 2,
    "1.6": 2,
    "1.7": 2,
    "1.8": 0,
    "1.9": 2,
}
