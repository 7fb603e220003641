"""The recorded tables of Lab 3: cold start, variants, collapse, temperature, what in-batch negatives save.

Run: python benchmarks/lab03_tables.py   (about an hour on one quiet core)
Writes benchmarks/results/03_tables.json after each run and goes on where it stopped; delete the file to
measure afresh. HR@10: leave-last-out (last file row among ties), trained on training and validation rows,
1+99 in exact expectation. The seeds rule first weights, order, dropout and the cold items.
"""

import json
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from tqdm import tqdm

from course_utils import (
    diagnostics,
    evaluate,
    features,
    losses,
    metrics,
    recipes,
    runtime,
    sampling,
    splits,
    training,
)
from course_utils.authoring.labs import write_atomically
from course_utils.data import load_movielens

SEEDS, FEWER_SEEDS = range(10), range(3)
TEMPERATURES = (0.02, 0.05, 0.1, 0.15, 0.3, 1.0)  # 0.07 is among the variants
N_COLD = 134  # 8 % of the catalogue
BATCH_SIZE = recipes.TWO_TOWER["batch_size"]
NEGATIVES = (4, 16, 64, 256, 1023)

ml = load_movielens("100k")
train, validation, test = splits.leave_last_out(ml.users, ml.timestamps)
KNOWN = np.sort(np.concatenate([train, validation]))
SEEN = sampling.interactions(ml.users[KNOWN], ml.items[KNOWN], ml.n_users, ml.n_items)
USERS, ITEMS = ml.users[KNOWN], ml.items[KNOWN]
ALL_ITEMS = torch.arange(ml.n_items)
CONTENT = features.build_user_features(ml, USERS), features.build_item_features(ml, ITEMS)
LOG_Q = recipes.log_shares(ITEMS, ml.n_items)


def judged(model) -> dict:
    """HR@10, and mean cosine and effective rank of the item vectors."""
    with torch.no_grad():
        vecs = model.encode_item(ALL_ITEMS).numpy()
    hr = evaluate.leave_one_out(model.score_all, ml.users[test], ml.items[test], SEEN).mean()
    cosine, rank = diagnostics.mean_pairwise_cosine(vecs), diagnostics.effective_rank(vecs)
    return {"hr": round(hr, 5), "cosine": round(cosine, 4), "rank": round(rank, 2)}


def softmax(model, users, items, masked=True):
    """The loss of the recipe; masked: accidental hits are."""
    user_vecs, item_vecs = model.encode_user(users), model.encode_item(items)
    known_as = items if masked else None
    return losses.in_batch_loss(user_vecs, item_vecs, model.temperature, known_as, LOG_Q[items])


def unmasked(model, users, items):
    return softmax(model, users, items, masked=False)


def positives(model, users, items):
    return 1 - (model.encode_user(users) * model.encode_item(items)).sum(1).mean()


def with_uniformity(model, users, items):
    """Positives, and the items of the batch pushed apart (Wang and Isola, 2020)."""
    item_vecs = model.encode_item(items)
    apart = torch.pdist(item_vecs).pow(2).mul(-2).exp().mean().log()
    return 1 - (model.encode_user(users) * item_vecs).sum(1).mean() + apart


def fit(model, loss_fn: Callable, seed: int, epochs=7, lr=4e-3, cosine=True, weight_decay=0.0):
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=weight_decay, fused=True)
    n_steps = epochs * -(-len(USERS) // BATCH_SIZE)
    falling = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps) if cosine else None
    columns = torch.tensor(USERS), torch.tensor(ITEMS)
    settings = {"epochs": epochs, "batch_size": BATCH_SIZE, "scheduler": falling, "seed": seed}
    training.fit(model, optimizer, loss_fn, columns, **settings, progress=False)
    return model


def cold_start(seed: int) -> dict:
    """AUC of the cold items among themselves, mean over the users who chose any of them."""
    rng = np.random.default_rng(seed)
    cold = np.sort(rng.choice(np.flatnonzero(np.bincount(ml.items)), N_COLD, replace=False))
    rows = np.flatnonzero(~np.isin(ml.items, cold))
    users, items = ml.users[rows], ml.items[rows]
    both = features.build_user_features(ml, users), features.build_item_features(ml, items)
    chosen = sampling.interactions(ml.users, ml.items, ml.n_users, ml.n_items)[:, cold].tocsr()

    def auc(scores):
        return round(metrics.mean_over_users(metrics.auc(scores, chosen)).mean, 5)

    figures = {}
    for name, kind, dropout in (
        ("ids only", "without_content", 0.0),
        ("content only", "without_ids", 0.0),
        ("ids and content", None, 0.0),
        ("ids and content, id dropout 0.3", None, 0.3),
    ):
        known_as = (getattr(one, kind)() for one in both) if kind else both
        epochs = 1 if name == "ids only" else None  # all cold items tie, however long it trains
        model = recipes.train_two_tower(users, items, *known_as, seed, id_dropout=dropout, epochs=epochs)
        with torch.no_grad():
            figures[name] = auc(model.score_all(np.arange(ml.n_users))[:, cold].numpy())
    figures["popularity oracle"] = auc(np.tile(np.bincount(ml.items)[cold], (ml.n_users, 1)))
    return figures


def variants(seed: int) -> dict:
    """HR@10 of the recipe with one thing done otherwise."""
    users, items = CONTENT
    recipe = {
        "ids and content": recipes.train_two_tower(USERS, ITEMS, users, items, seed),
        "ids only": recipes.train_two_tower(
            USERS, ITEMS, users.without_content(), items.without_content(), seed
        ),
        "content only": recipes.train_two_tower(USERS, ITEMS, users.without_ids(), items.without_ids(), seed),
        "without logQ": recipes.train_two_tower(USERS, ITEMS, users, items, seed, log_q=False),
        "accidental hits not masked": fit(recipes.new_two_tower(users, items, seed), unmasked, seed),
        "learnable temperature": fit(
            recipes.new_two_tower(users, items, seed, learnable=True), softmax, seed
        ),
    }
    figures = {name: judged(model)["hr"] for name, model in recipe.items()}
    figures["learned temperature"] = round(float(recipe["learnable temperature"].temperature), 4)
    return figures


def collapse(seed: int) -> dict:
    """Item vectors and HR@10 after 5 epochs of different losses, learning rate 2e-3."""
    slow = {"seed": seed, "epochs": 5, "lr": 2e-3, "cosine": False}

    def new():
        return recipes.new_two_tower(*CONTENT, seed)

    fallen = fit(new(), positives, **slow)
    return {
        "fresh": judged(new()),
        "positives only": judged(fallen),
        "positives, weight decay 1e-4": judged(fit(new(), positives, **slow, weight_decay=1e-4)),
        "positives and uniformity": judged(fit(new(), with_uniformity, **slow)),
        "positives, then in-batch softmax": judged(fit(fallen, softmax, **slow)),
        "in-batch softmax from the start": judged(fit(new(), softmax, **slow)),
    }


def temperature(seed: int) -> dict:
    return {
        str(tau): judged(fit(recipes.new_two_tower(*CONTENT, seed, temperature=tau), softmax, seed))["hr"]
        for tau in TEMPERATURES
    }


def drawn_negatives(n_neg: int) -> Callable:
    """Softmax of each row's item against n_neg items drawn for this row alone."""
    rng = np.random.default_rng(0)

    def loss_fn(model, users, items):
        drawn = torch.tensor(sampling.sample_negatives(users.numpy(), ml.n_items, SEEN, n_neg, rng))
        candidates = torch.cat([items[:, None], drawn], dim=1)  # [B, 1 + N], the own one first
        item_vecs = model.encode_item(candidates.flatten()).view(*candidates.shape, -1)
        logits = (item_vecs @ model.encode_user(users).unsqueeze(-1)).squeeze(-1) / model.temperature
        return torch.nn.functional.cross_entropy(logits, torch.zeros_like(users))

    return loss_fn


def rows_per_second(loss_fn: Callable, seconds: float = 5.0) -> float:
    """Training speed, by the processor time of this process."""
    model = recipes.new_two_tower(*CONTENT)
    optimizer = torch.optim.Adam(model.parameters(), fused=True)
    columns = torch.tensor(USERS), torch.tensor(ITEMS)
    n_rows, started = 0, None
    for batch in sampling.minibatches(columns, BATCH_SIZE, torch.Generator().manual_seed(0)):
        if len(batch[0]) < BATCH_SIZE or (started and time.process_time() - started > seconds):
            break
        optimizer.zero_grad()
        loss_fn(model, *batch).backward()
        optimizer.step()
        if started is None:
            started = time.process_time()  # the first batch warms up
        else:
            n_rows += BATCH_SIZE
    return round(n_rows / (time.process_time() - started), 1)


def in_batch_cost() -> dict:
    return {
        "batch": BATCH_SIZE,
        "negatives": NEGATIVES,
        "per_row_rows_per_second": [rows_per_second(drawn_negatives(n)) for n in NEGATIVES],
        "in_batch_rows_per_second": rows_per_second(softmax),
    }


def parts() -> Iterator[tuple[str, Callable, range]]:
    yield from (("cold_start", cold_start, SEEDS), ("variants", variants, SEEDS))
    yield from (("collapse", collapse, SEEDS), ("temperature", temperature, FEWER_SEEDS))


def main() -> None:
    runtime.start()
    target = runtime.course_root() / "benchmarks" / "results" / "03_tables.json"
    new = {"torch": torch.__version__.split("+")[0]}
    recorded = json.loads(target.read_text()) if target.exists() else new
    if "in_batch_cost" not in recorded:
        recorded["in_batch_cost"] = in_batch_cost()
    for part, measure, seeds in parts():
        rows = recorded.setdefault(part, [])  # one entry per seed, in their order
        for seed in tqdm(seeds[len(rows) :], unit="seed", desc=part):
            rows.append(measure(seed))
            write_atomically(target, json.dumps(recorded, indent=1) + "\n")


if __name__ == "__main__":
    main()
