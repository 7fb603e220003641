"""Metrics by ranx, torchmetrics, RecTools and scikit-learn. Run by benchmarks/metrics_definitions.py.

The last argument is a file with {"inputs", "rows"}; prints one JSON object: the versions, and for each row
the value of its expression `theirs`, one for each user.
"""

import json
import sys
import warnings
from importlib.metadata import version

import numpy as np
import pandas as pd
import ranx
import torch
from rectools import metrics as rectools
from sklearn import metrics as sklearn
from torchmetrics.functional import retrieval as torchmetrics

warnings.filterwarnings("ignore")  # of constant targets and of k as large as the catalogue


def as_table(lists) -> pd.DataFrame:
    rows = [(user, item, place) for user, own in enumerate(lists) for place, item in enumerate(own, start=1)]
    return pd.DataFrame(rows, columns=["user_id", "item_id", "rank"])


def values_of_ranx(row: dict, given: dict) -> list:
    users = [f"{user:03}" for user in range(len(given["items"]))]  # ranx sorts them as text
    grades = {
        user: {str(item): grade for item, grade in enumerate(own) if grade}
        for user, own in zip(users, given["grades"], strict=True)
    }
    run = {
        user: {str(item): len(own) - place for place, item in enumerate(own)}
        for user, own in zip(users, given["items"], strict=True)
    }
    if not any(grades.values()):  # Qrels wants an entry; one of grade 0 is not relevant
        grades = {user: {"0": 0} for user in grades}
    names = {"ranx": ranx, "qrels": ranx.Qrels(grades), "run": ranx.Run(run), "k": given["k"]}
    return list(eval(row["theirs"], names))


def values_of_rectools(row: dict, given: dict) -> list:
    relevant = [[item for item, grade in enumerate(own) if grade] for own in given["grades"]]
    features = pd.DataFrame(given["features"])
    names = {
        "rectools": rectools,
        "reco": as_table(given["items"]),
        "interactions": as_table(relevant)[["user_id", "item_id"]],
        "profiles": as_table(relevant),
        "catalog": range(given["n_items"]),
        "distances": rectools.PairwiseHammingDistanceCalculator(features),
        "k": given["k"],
    }
    return np.atleast_1d(eval(row["theirs"], names)).tolist()


def values_of_torchmetrics(row: dict, given: dict) -> list:
    values = []
    for scores, grades in zip(given["scores"], given["grades"], strict=True):
        graded = torch.tensor(grades)
        names = {"torchmetrics": torchmetrics, "preds": torch.tensor(scores, dtype=torch.float32)}
        names |= {"target": graded > 0, "graded_target": graded, "k": given["k"]}
        values.append(float(eval(row["theirs"], names)))
    return values


def values_of_sklearn(row: dict, given: dict) -> list:
    values = []
    for scores, grades in zip(given["scores"], given["grades"], strict=True):
        names = {"sklearn": sklearn, "y_score": np.array(scores), "grades": np.array(grades)}
        names |= {"y_true": np.array(grades) > 0, "k": given["k"]}
        values.append(float(eval(row["theirs"], names)))
    return values


VALUES = {
    "ranx": values_of_ranx,
    "RecTools": values_of_rectools,
    "torchmetrics": values_of_torchmetrics,
    "scikit-learn": values_of_sklearn,
}


def main() -> None:
    with open(sys.argv[-1]) as file:
        wanted = json.load(file)
    values = [
        {case: VALUES[row["library"]](row, wanted["inputs"][case]) for case in row["cases"]}
        for row in wanted["rows"]
    ]
    print(json.dumps({"versions": {name: version(name.lower()) for name in VALUES}, "values": values}))


if __name__ == "__main__":
    main()
