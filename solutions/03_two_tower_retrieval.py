# ---
# jupyter:
#   jupytext:
#     text_representation:
#       extension: .py
#       format_name: percent
#   kernelspec:
#     display_name: Python 3 (ipykernel)
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Lab 3: Two towers, one dot product, a billion items
#
# Lab 2 ended with a model that must look at *every* film to find ten. That is fine for 1,682 films and hopeless for a shop. In this lab you build the model that large services retrieve with, and the index that makes it fast:
#
# **features → towers → in-batch softmax → logQ → collapse → FAISS → two stages → cold start**
#
# On the way you will lose fifteen hundredths of hit rate to a term that many tutorials leave out, watch a model collapse and mend it, and recommend films that nobody has ever rated. **About two and a half hours.** The data is MovieLens 100K.

# %% [markdown]
# *How a lab works: write 2 to 12 lines in each exercise, run the check below it. Nothing you write is needed further down, so you can skip an exercise and return to it.*

# %% tags=["setup"]
import json
import time

import faiss
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from course_utils import baselines, diagnostics, evaluate, features, losses, metrics, models
from course_utils import plots, recipes, retrieval, runtime, sampling, splits, training
from course_utils.claims import claim
from course_utils.data import load_movielens, synthetic
from course_utils.exercises import check

# %% tags=["parameters"]
FAST = runtime.is_fast()  # True: a quick look; models train too briefly to be any good
SEED = 0  # first weights, batches and held-out films all follow from it

# %% [markdown]
# The protocol is that of Lab 2: each user's last film is the test (of several at the same moment, the last row in the file); everything before it is known; HR@10 against 99 unseen films, in exact expectation.

# %%
device = runtime.start(SEED)
ml = load_movielens("100k")
train, validation, test = splits.leave_last_out(ml.users, ml.timestamps)
known = np.sort(np.concatenate([train, validation]))
seen = sampling.interactions(ml.users[known], ml.items[known], ml.n_users, ml.n_items)
test_users, test_items = ml.users[test], ml.items[test]
recorded = json.loads((runtime.course_root() / "benchmarks/results/03_tables.json").read_text())
print(f"{len(known):,} interactions to learn from, {len(test)} to predict")

# %% [markdown]
# ## 1 Why not NeuMF?
#
# NeuMF scores a *pair*. To find the best ten films for one user, it runs once per film, and for the next user all over again. How long would that take for a billion items?

# %%
torch.manual_seed(SEED)
neumf = models.NeuMF(ml.n_users, ml.n_items).eval()  # untrained: weights do not change the time
one_user = np.zeros(1, dtype=np.int64)
with torch.no_grad():
    neumf.score_all(one_user)  # warm up
    started = time.perf_counter()
    for _ in range(20):
        neumf.score_all(one_user)
    pair = (time.perf_counter() - started) / (20 * ml.n_items)
    vec, vecs = torch.randn(64), torch.randn(100_000, 64)
    started = time.perf_counter()
    for _ in range(20):
        vecs @ vec
    product = (time.perf_counter() - started) / (20 * len(vecs))
print(f"NeuMF: {pair * 1e9:6,.0f} s for one user and a billion items")
print(f"a dot product of 64 numbers: {product * 1e9:,.0f} s")

# %% [markdown]
# A dot product is cheaper by far, but the real gain is another one: **the item's vector does not depend on the user**. It can be computed at night, once for everybody, and put into an index that finds the largest products *without looking at all of them*.
#
# So the model may do what it likes on the user's side, and what it likes on the item's side. But the two may meet in one dot product only:
#
# ```
# user: id, age, job, last films ──> user tower ──> u  [64] ┐
#                                                           ├──> u · v / temperature
# film: id, genres, decade, words ─> item tower ──> v  [64] ┘
# ```
#
# (The temperature is one number; section 4 is about it.)

# %% [markdown]
# ## 2 What goes in: features
#
# An id says *which* film it is; the model learns a vector for it, if it has been seen often. **Content** says *what kind* of film it is, and also holds for a film that came out this morning. Genres and words become columns of 0 and 1, one per known word: *multi-hot*.
#
# By hand: the vocabulary is `["comedy", "drama"]`. Column 0 is for words that are *not* in it.
#
# | words of the film | column 0: unknown | 1: comedy | 2: drama |
# |---|---|---|---|
# | drama, comedy | 0 | 1 | 1 |
# | noir | 1 | 0 | 0 |
# | drama, noir | 1 | 0 | 1 |

# %% [markdown]
# ### Exercise 3.1: Words as columns
# *easy · 6 minutes · 1 point*
#
# <details><summary>Hint 1: a question</summary>
#
# Why must the vocabulary come from the training films only, and what will a film of next year do to your table if there is no column 0?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Start with `np.zeros((len(values), 1 + len(vocabulary)))`. For each list and each of its words: the column is `1 + vocabulary.index(word)` if the word is known, else 0. Put a 1 there.
# </details>

# %% exercise="3.1"
def multi_hot(values, vocabulary):
    """Lists of words as rows of 0 and 1.

    values: N lists of words; vocabulary: a list of V different words -> [N, 1 + V].
    Column 1 + v is 1 where the list has the v-th word of the vocabulary; column 0 is 1 where it
    has a word that is not in the vocabulary. An empty list gives a row of zeros.
    """
    ### BEGIN SOLUTION
    table = np.zeros((len(values), 1 + len(vocabulary)))
    for row, words in enumerate(values):
        for word in words:
            table[row, 1 + vocabulary.index(word) if word in vocabulary else 0] = 1
    return table
    ### END SOLUTION


# %% check="3.1"
check("3.1", multi_hot)

# %% [markdown]
# The package does that for every field: age bracket, gender and occupation of the users; genres, decade and title words of the films. The vocabularies hold what occurs in *training*; id 0 stands for whoever was not there.

# %%
user_features = features.build_user_features(ml, ml.users[known])
item_features = features.build_item_features(ml, ml.items[known])
print(f"user: {user_features.content.shape[1]} columns of content, {user_features.n_ids:,} ids")
print(f"film: {item_features.content.shape[1]} columns of content, {item_features.n_ids:,} ids")
for item in [49, 312]:
    columns = np.flatnonzero(item_features.content[item])
    print(ml.titles[item], "->", [item_features.columns[column] for column in columns])

# %% [markdown]
# ## 3 A tower
#
# Each side is a small network: features $x$ (`features`), a hidden layer $W_1, b_1$ (`self.hidden`), ReLU, an output layer $W_2, b_2$ (`self.output`). Then **LayerNorm** (`self.norm`) shifts and scales the numbers of each vector to mean 0 and standard deviation 1, followed by a learned weight and bias for each. Last, the vector is divided by its length:
#
# $$v = \frac{h}{\lVert h \rVert}, \qquad h = \text{LayerNorm}(W_2\,\text{ReLU}(W_1 x + b_1) + b_2)$$
#
# The user's side gives $u$ in the same way, with weights of its own.
#
# With all vectors of length 1, the dot product is the **cosine**: between −1 and 1, and a film cannot win by being *long* instead of *right*. By hand: $h = (3, 4)$ has length 5, so $v = (0.6, 0.8)$.

# %% [markdown]
# ### Exercise 3.2: A tower
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# A batch has shape [B, D]. Over which of the two dimensions do you sum squares to get one length *per row*?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `self.hidden`, `torch.relu`, `self.output`, `self.norm`, in this order; then `nn.functional.normalize(..., dim=-1)`.
# </details>

# %% exercise="3.2"
class Tower(nn.Module):
    """What is known of a user or an item -> a vector of length 1."""

    def __init__(self, n_features, dim=64, hidden=128):
        super().__init__()
        self.hidden = nn.Linear(n_features, hidden)
        self.output = nn.Linear(hidden, dim)
        self.norm = nn.LayerNorm(dim)

    def forward(self, features):
        """features [B, F] -> vectors [B, D] of length 1.

        Hidden layer, ReLU, output layer, LayerNorm; then each vector divided by its length.
        """
        ### BEGIN SOLUTION
        h = self.norm(self.output(torch.relu(self.hidden(features))))
        return nn.functional.normalize(h, dim=-1)
        ### END SOLUTION


# %% check="3.2"
check("3.2", Tower)

# %% [markdown]
# The package's `TwoTower` puts an id vector beside the content (brought to 64 numbers by one linear layer) before the hidden layer of each side, and holds the temperature.

# %%
def new_towers(seed=SEED, users=user_features, items=item_features, **settings):
    """Two untrained towers; their first weights follow from the seed."""
    torch.manual_seed(seed)
    return models.TwoTower(users, items, **settings)


towers = new_towers()
a_batch = torch.arange(4)
with torch.no_grad():
    user_vecs, item_vecs = towers.encode_user(a_batch), towers.encode_item(a_batch)
print("lengths:", user_vecs.norm(dim=1).numpy().round(3))
print("cosines of 4 users (rows) and 4 films (columns), untrained:")
print((user_vecs @ item_vecs.T).numpy().round(2))

# %% [markdown]
# ## 4 Where do the negatives come from? From the neighbours
#
# Lab 2 drew four negatives for every interaction. Here is a trick that gives a thousand for free. Take a batch of $B$ interactions $(u_b, v_b)$ and compute *all* $B \times B$ products: row $b$ holds user $b$'s score for their own film, on the diagonal, and for the films of all the others. Ask each row to find its own:
#
# $$\mathcal L = -\frac1B \sum_b \log \frac{e^{s_{bb}}}{\sum_c e^{s_{bc}}}, \qquad s_{bc} = \frac{u_b \cdot v_c}{\tau}$$
#
# $u_b$ and $v_c$ are rows of `user_vecs` and `item_vecs`, the $s_{bc}$ are the `logits`, and $\tau$ (`temperature`) is a small number; more about it in a minute. The films of the other rows are the negatives: **in-batch negatives**.

# %% [markdown]
# ### By hand
#
# Two users, two films, $\tau = 0.5$, cosines $\begin{pmatrix}1 & 0\\ 0.5 & 0.5\end{pmatrix}$, so logits $\begin{pmatrix}2 & 0\\ 1 & 1\end{pmatrix}$.
#
# - Row 0: its own film is column 0: $e^2/(e^2 + e^0) = 0.881$, $-\log$: $0.127$.
# - Row 1: its own film is column 1, both equal: $0.5$, $-\log$: $0.693$.
# - The loss is the mean, $0.410$.

# %% [markdown]
# ### Exercise 3.3: Softmax over the batch
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# `nn.functional.cross_entropy` wants logits [B, classes] and for each row the number of the right class. What are the classes here, and which is right for row 2?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Logits: `user_vecs @ item_vecs.T`, divided by the temperature. Labels: `torch.arange` over the rows. Then `nn.functional.cross_entropy(logits, labels)`.
# </details>

# %% exercise="3.3"
def in_batch_loss(user_vecs, item_vecs, temperature):
    """Softmax over the items of the batch: user_vecs, item_vecs [B, D] -> one number (a tensor).

    The logit of user b and item c is their dot product divided by the temperature. The right
    answer of row b is item b. Mean over the rows of -log of its probability.
    """
    ### BEGIN SOLUTION
    logits = user_vecs @ item_vecs.T / temperature
    labels = torch.arange(len(user_vecs), device=logits.device)
    return nn.functional.cross_entropy(logits, labels)
    ### END SOLUTION


# %% check="3.3"
check("3.3", in_batch_loss)

# %% [markdown]
# ### What that saves
#
# The alternative: draw $n$ negatives for each row and send each through the item tower. Recorded on one core: how many interactions a second the same towers train on, by the number of negatives each interaction is compared with.

# %%
cost = recorded["in_batch_cost"]
per_row = cost["per_row_rows_per_second"]
ax = plots.new_axes("negatives per interaction", "interactions per second")
ax.plot(cost["negatives"], per_row, "o-", color="#7f7f7f", label="drawn for each row")
ax.plot([cost["batch"] - 1], [cost["in_batch_rows_per_second"]], "*", color="#D55E00",
        markersize=14, label=f"in-batch, {cost['batch']:,} rows")  # fmt: skip
ax.set(xscale="log", yscale="log")
ax.legend(frameon=False)
plt.show()
ratio = cost["in_batch_rows_per_second"] / per_row[-1]
print(f"1,023 negatives: in-batch is {ratio:.0f} times as fast as drawing them (one recording)")

# %% [markdown]
# *Training speed against the number of negatives, both axes logarithmic: with negatives drawn per row it falls steeply as they grow; the star, in-batch, has 1,023 negatives and is still faster than four drawn ones.*

# %% [markdown]
# ### The temperature
#
# A cosine lies between −1 and 1. Say a model is *perfect*: cosine 1 with its own film, −1 with the 1,023 others. What is the probability of its own film? With $\tau = 1$: $e^{1} / (e^{1} + 1023\, e^{-1})$, less than one in a hundred. The loss would go on pushing for ever, and mostly at films that are long since far away. Dividing by a small $\tau$ stretches the range.

# %%
# NBVAL_CHECK_OUTPUT
for tau in [1.0, 0.3, 0.15, 0.07, 0.02]:
    probability = 1 / (1 + 1023 * np.exp(-2 / tau))
    print(f"temperature {tau:4}: a perfect model gives its own film {probability:.3f}")

# %%
by_tau = pd.DataFrame(recorded["temperature"])  # a row for each seed
by_tau["0.07"] = pd.DataFrame(recorded["variants"])["ids and content"]
by_tau = by_tau[sorted(by_tau, key=float)]
taus, means, spread = by_tau.columns.astype(float), by_tau.mean(), 2 * by_tau.std()
ax = plots.new_axes("temperature", "HR@10, 1+99")
ax.errorbar(taus, means, yerr=spread, fmt="o-", capsize=4, color=plots.MODEL_COLOURS["Two-tower"])
ax.set(xscale="log", xticks=taus, xticklabels=[f"{tau:g}" for tau in taus])
ax.minorticks_off()
plt.show()

# %% [markdown]
# *Hit rate of the trained two-tower model by temperature (recorded; mean ± 2 sd of three seeds): a plateau from 0.05 to 0.15, a small loss at 0.02, and a steep fall towards 1.*
#
# **What do you see?** What goes wrong at the left end, where $\tau$ is tiny, and what at the right end?

# %% [markdown] tags=["solution"]
# At the right end the softmax is so soft that all negatives count alike, near ones and far ones, and even a perfect model keeps being pushed. At the left end only the one or two hardest negatives count, and a batch has many films that are "hard" because the user *would* like them. In between it hardly matters: do not spend your week on the second digit. The temperature may also be trained (as a logarithm, so that it cannot cross zero, and clamped): started at 0.07 it stays there, and changes nothing (section 5).

# %% [markdown]
# ## 5 The catch: popular films are negatives more often
#
# A negative drawn by `sample_negatives` is any film, with equal probability. An in-batch negative is *somebody's interaction*: a film with a thousand interactions is a negative a thousand times as often as one with a single one. The model learns to push popular films down, though popularity was a good predictor.
#
# The repair is one subtraction. With $q_c$ the share of film $c$ among all training rows (`log_q` is its logarithm), take from each logit
#
# $$s_{bc} = \frac{u_b \cdot v_c}{\tau} - \log q_c$$
#
# A rare film's logit goes *up* in the training, as if it had been drawn more often. At serving time the correction is left out. ([Yi et al., 2019](https://dl.acm.org/doi/10.1145/3298689.3346996).)

# %% [markdown]
# ### By hand
#
# Film $A$ makes up 3/4 of the rows, film $B$ 1/4. Both logits are 1. Without the correction, softmax gives each 1/2. With it: weights $e^1 / \tfrac34$ and $e^1 / \tfrac14$, so probabilities 1/4 and 3/4. If the right answer is $A$, the loss is now *larger* ($\log 4$): the model has to raise $A$'s score, and learns that it is popular.

# %% [markdown]
# ### Exercise 3.4: Popular items are no better negatives
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# `log_q` has one number per item of the batch, and the items are the columns. What does numpy's and torch's broadcasting do with [B, B] − [B]? And does the item on the diagonal keep its logit?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# The logits as in 3.3, *after* dividing by the temperature; subtract `log_q` (a row, so that each column gets its own); cross-entropy as before.
# </details>

# %% exercise="3.4"
def logq_loss(user_vecs, item_vecs, temperature, log_q):
    """In-batch softmax that does not punish popular items: user_vecs, item_vecs [B, D] -> a number.

    log_q [B]: the log of each item's share of the training rows. It is taken off the finished
    logits, from the column of its item: for every user, and from the own item too.
    """
    ### BEGIN SOLUTION
    logits = user_vecs @ item_vecs.T / temperature - log_q
    labels = torch.arange(len(user_vecs), device=logits.device)
    return nn.functional.cross_entropy(logits, labels)
    ### END SOLUTION


# %% check="3.4"
check("3.4", logq_loss)

# %% [markdown]
# ### Accidental hits
#
# In a batch of 1,024 rows the most popular films stand several times. If rows 3 and 8 are both *Star Wars*, then row 3's own film is at once its positive (column 3) and its negative (column 8). Such **accidental hits** are taken out: their logit becomes $-\infty$, which the softmax reads as probability 0. Only the *same film in another row*; the diagonal stays.

# %% [markdown]
# ### Exercise 3.5: Accidental hits
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# Comparing `items` as a column with `items` as a row gives a [B, B] table. Where is it True that must stay?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Make a table that is True where two rows have the same item; set its diagonal to False (`fill_diagonal_`); then `masked_fill`, which makes a new tensor (`masked_fill_` would not).
# </details>

# %% exercise="3.5"
def mask_accidental_hits(logits, items):
    """Take out negatives that are the positive itself: logits [B, B], items [B] -> [B, B], new.

    Entry [b, c] is -inf where items b and c are the same item in different rows (b != c). All
    other entries stay as they are, and so does the logits tensor that came in. Gradients of the
    result must still reach logits.
    """
    ### BEGIN SOLUTION
    same = items[:, None] == items[None, :]
    same.fill_diagonal_(False)
    return logits.masked_fill(same, -torch.inf)
    ### END SOLUTION


# %% check="3.5"
check("3.5", mask_accidental_hits)

# %% [markdown]
# The package's `losses.in_batch_loss` is these three functions in one. Trained here: one model without the logQ term; and three with it, each from other first weights and in another order, since a single run moves by almost a hundredth.

# %%
FEW = 1 if FAST else None  # epochs, where a full run takes more
counts = np.bincount(ml.items[known], minlength=ml.n_items)
log_q = torch.tensor(np.log(np.maximum(counts, 1) / len(known)), dtype=torch.float32, device=device)


def corrected(model, users, items):
    """In-batch softmax with logQ correction, accidental hits masked."""
    user_vecs, item_vecs = model.encode_user(users), model.encode_item(items)
    return losses.in_batch_loss(user_vecs, item_vecs, model.temperature, items, log_q[items])


def plain(model, users, items):
    """The same without the correction."""
    user_vecs, item_vecs = model.encode_user(users), model.encode_item(items)
    return losses.in_batch_loss(user_vecs, item_vecs, model.temperature, items)


# %%
def train_towers(
    model, loss_fn, rows=known, epochs=7, lr=4e-3, cosine=True, more=(), seed=SEED
):
    """Train on these rows of the data in batches of 1,024 -> the model. more: further columns."""
    columns = (ml.users[rows], ml.items[rows], *more)
    columns = tuple(torch.tensor(column, device=device) for column in columns)
    epochs, model = FEW or epochs, model.to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, fused=True)
    n_steps = epochs * int(np.ceil(len(rows) / 1024))
    schedule = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, n_steps) if cosine else None
    settings = {"epochs": epochs, "batch_size": 1024, "scheduler": schedule, "seed": seed}
    training.fit(model, optimizer, loss_fn, columns, **settings)
    return model


# %%
def hit_rate(score_all, n_neg=99):
    """HR@10 on the test rows, against 99 in expectation or (None) against all."""
    judged = evaluate.leave_one_out(score_all, test_users, test_items, seen, n_neg=n_neg)
    return judged.mean("hit_rate")


seeds = range(3 * SEED, 3 * SEED + (1 if FAST else 3))
runs = [train_towers(new_towers(seed), corrected, seed=seed) for seed in seeds]
towers = runs[0]
without_logq = train_towers(new_towers(seeds[0]), plain, seed=seeds[0])
print("HR@10 with logQ, seed by seed:", *(f"{hit_rate(run.score_all):.3f}" for run in runs))

# %%
batch = np.random.default_rng(SEED).choice(known, 1024, replace=False)
columns = [torch.tensor(column[batch], device=device) for column in (ml.users, ml.items)]
ax = plots.new_axes("share of the batch's films ranked below the row's own", "rows of a batch")
before_and_after = {"untrained": new_towers().to(device), "trained": towers}
for (name, model), dash in zip(before_and_after.items(), ("--", "-"), strict=True):
    with torch.no_grad():
        logits = model(*columns)  # [B, B], each row's own film on the diagonal
    below = (logits < logits.diagonal()[:, None]).float().mean(dim=1).cpu().numpy()
    colour = plots.MODEL_COLOURS["Two-tower" if name == "trained" else "Popularity"]
    settings = {"bins": 20, "range": (0, 1), "histtype": "step", "linewidth": 2}
    ax.hist(below, **settings, linestyle=dash, color=colour, label=name)
ax.legend(frameon=False, loc="upper left")
plt.show()

# %% [markdown]
# *For 1,024 training rows: the share of the batch's films that score lower than the row's own film. Untrained, any share is about as frequent as any other; trained, the own film is near the top far more often, but by no means always first: many of the others would suit that user as well.*

# %%
popularity = baselines.fit_popularity(seen)
hr = {
    "Popularity": hit_rate(popularity.score_all),
    "Two-tower, no logQ": hit_rate(without_logq.score_all),
    "EASE": hit_rate(baselines.fit_ease(seen, reg=500).score_all),
    "Two-tower": np.mean([hit_rate(run.score_all) for run in runs]),
}
plots.bars(hr, "HR@10, 1+99 in expectation", title="What one subtraction is worth")
plt.show()

# %% [markdown]
# *Hit rates of popularity, of the two-tower model without and with logQ correction (mean of three runs), and of EASE: without the correction the network is closer to popularity than to EASE; with it, it is level with EASE.*
#
# **What do you see?** Both models had a falling training loss. How would you have noticed that the first one is broken?

# %%
control = max(hr["Two-tower, no logQ"], hr["Popularity"])
claim("two-tower-hr10", hr["Two-tower"], control=control)
hits = evaluate.leave_one_out(towers.score_all, test_users, test_items, seen).hit_rate
noise = abs(hits[::2].mean() - hits[1::2].mean())  # one model, two halves of the users
claim("logq-gain-hr10", hr["Two-tower"] - hr["Two-tower, no logQ"], control=noise)

# %%
def most_similar(model, item, n=6):
    """The films whose vectors are closest to this one's, by cosine."""
    with torch.no_grad():
        vecs = model.encode_item(torch.arange(ml.n_items, device=device))
    return ml.titles[(vecs @ vecs[item]).argsort(descending=True).cpu().numpy()[1 : n + 1]]


star_wars = 49
lists = {"with logQ": towers, "without": without_logq}
pd.DataFrame({name: most_similar(model, star_wars) for name, model in lists.items()})

# %% [markdown]
# **What do you see?** Next to *Star Wars*: could you tell from these two lists which model lost fifteen hundredths?

# %% [markdown] tags=["solution"]
# The loss cannot tell: it falls for both, since both become better at the task they were given, and the task of the second was *tell your film from popular films*. Only a ranking against the real candidates shows it. (Look at a baseline: a network that stays nearer to popularity than to a linear model is a bug until proven otherwise.) And the two lists are nearly the same, films that the same people chose: what the missing term spoils is not *who is similar to whom* but the level of popular against unpopular films.

# %% [markdown]
# ### Which part does what?
#
# Ten recorded seeds each; same protocol.

# %%
variants = pd.DataFrame(recorded["variants"])  # a row for each seed
learned = variants.pop("learned temperature")
print(f"the learnable temperature went from 0.07 to {learned.mean():.3f}")
table = variants.agg(["mean", "std"]).T.set_axis(["HR@10", "sd over seeds"], axis=1)
table.sort_values("HR@10", ascending=False).round(4)

# %% [markdown]
# **What do you see?** Rank the ingredients: ids, content, logQ, masking accidental hits, a trained temperature.

# %% [markdown] tags=["solution"]
# logQ is worth fifteen hundredths, and ids even more: content alone stays *below popularity*, since it cannot tell a film that everybody saw from one of the same kind that nobody did. Content on top of ids adds three hundredths. Training the temperature makes no visible difference, and masking accidental hits even costs two thousandths *on these data*: a repeat is one of a thousand negatives. It was worth measuring rather than believing.

# %% [markdown]
# ## 6 Collapse
#
# "The vectors of a user and of their films should be close." Then why not say just that? A loss with positives only: $1 - u_b \cdot v_b$. No negatives, no batch size to think about.
#
# It has a perfect solution: *everybody in one point*. All cosines 1, loss 0, nothing learned. A model whose vectors fill only a few of their 64 dimensions has **collapsed**. How do you measure that? With the **effective rank**. Take the singular values $\sigma_1 \ge \sigma_2 \ge \dots$ of the table of vectors; as shares, $p_j = \sigma_j / \sum_i \sigma_i$; then
#
# $$\text{effective rank} = \exp\Big(-\sum_j p_j \log p_j\Big)$$
#
# All directions equally strong: the number of directions. One direction only: 1. ([Roy and Vetterli, 2007](https://infoscience.epfl.ch/record/110188).)

# %% [markdown]
# ### By hand
#
# Singular values $(1, 1)$: shares $\tfrac12, \tfrac12$, entropy $\log 2$, effective rank 2. Singular values $(3, 1)$: shares $\tfrac34, \tfrac14$, entropy $0.562$, effective rank $1.75$. Singular values $(5, 0)$: one share is 0 and counts nothing; effective rank 1.

# %% [markdown]
# ### Exercise 3.6: In how many directions do vectors differ?
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# What is $0 \cdot \log 0$ for numpy, and what should it be in this sum?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `np.linalg.svd(vectors, compute_uv=False)` gives the singular values. Divide them by their sum, keep those above 0, entropy, `np.exp`.
# </details>

# %% exercise="3.6"
def effective_rank(vectors):
    """In how many directions vectors differ: vectors [N, D] -> from 1 to min(N, D).

    exp of the entropy of the singular values as shares of their sum. The vectors are taken as
    they are: neither centred nor scaled.
    """
    ### BEGIN SOLUTION
    values = np.linalg.svd(vectors, compute_uv=False)
    shares = values / values.sum()
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()))
    ### END SOLUTION


# %% check="3.6"
check("3.6", effective_rank)

# %%
def only_positives(model, users, items):
    """One minus the cosine of each pair: no negatives at all."""
    return 1 - (model.encode_user(users) * model.encode_item(items)).sum(dim=1).mean()


def item_vectors(model):
    """The vectors of all films, [I, D]."""
    with torch.no_grad():
        return model.encode_item(torch.arange(ml.n_items, device=device)).cpu().numpy()


slow = {"epochs": 5, "lr": 2e-3, "cosine": False}
stages = {"fresh": item_vectors(new_towers().to(device))}
model = train_towers(new_towers(), only_positives, **slow)
stages["positives only"] = item_vectors(model)
model = train_towers(model, corrected, **slow)  # goes on from the collapsed model
stages["then in-batch softmax"] = item_vectors(model)
stages["in-batch softmax"] = item_vectors(towers)
for name, vectors in stages.items():
    print(f"{name:22}", diagnostics.collapse_report(vectors))

# %%
spectra = {}
for name, vectors in stages.items():
    values = np.linalg.svd(vectors, compute_uv=False)
    spectra[name] = values / values.sum()
ax = plots.lines(spectra, "direction, strongest first", "share of the singular values")
ax.set(yscale="log", ylim=(1e-4, 1.5))
plt.show()

# %% [markdown]
# *Share of each direction in the films' vectors, on a logarithmic scale, for four models. After training on positives alone, the first direction holds almost everything and the rest falls off; in-batch softmax spreads the shares out again. (LayerNorm makes the numbers of a vector add up to about 0, so that the 64th direction is all but empty.)*
#
# **What do you see?** The mean cosine of a *fresh* network is high too. Why is the cosine alone a poor alarm?

# %% [markdown] tags=["solution"]
# A fresh network sends everything through the same layers with biases and ReLU: all vectors share a large common part, so that their cosines are high, yet the rest still differs in dozens of directions. The effective rank sees that difference. The collapsed model has cosine 1 *and* an effective rank below 2. Softmax against negatives needs the vectors to differ, so it pulls them apart again, although the model that started well stays ahead of the mended one.

# %% [markdown]
# ### What mends it, measured
#
# A common advice against collapse is "add L2 regularisation" (weight decay). Another is a **uniformity** term: next to the loss with positives only, push all films of a batch apart, whoever chose them (Wang and Isola, 2020). Recorded, ten seeds each:

# %%
figures = pd.concat([pd.DataFrame(one).T for one in recorded["collapse"]])  # ten seeds
names = {"cosine": "mean cosine", "rank": "effective rank", "hr": "HR@10"}
by_loss = figures.rename(columns=names).groupby(level=0, sort=False)
table = by_loss.mean()[list(names.values())]
table["sd of HR@10"] = by_loss["HR@10"].std()
table.round(3)

# %% [markdown]
# **What do you see?** Which of the repairs changes what the loss *asks for*?

# %% [markdown] tags=["solution"]
# Weight decay shrinks weights; it says nothing about vectors being different, and LayerNorm undoes the shrinking. It does not mend the collapse: with it, the model ranks worse than chance. The uniformity term gives the highest rank of all, but *which* film is far from which is then arbitrary, and the hit rate stays below popularity. In-batch softmax asks the right question, *your film rather than these*, and both come back. A good rank is necessary, not sufficient.

# %% [markdown]
# ## 7 Finding the nearest: an index
#
# The films' vectors are computed once. Serving a user is then: one pass through the user tower, and a search for the largest dot products. FAISS is a library for that. A **flat** index compares the query with every vector: exact, and with 1,682 films it takes no time. Let us be honest: *these data need no index*. A flat index must give exactly what torch gives.

# %%
faiss.omp_set_num_threads(1)
with torch.no_grad():
    item_vecs = towers.encode_item(torch.arange(ml.n_items, device=device)).cpu().numpy()
    user_vecs = towers.encode_user(torch.arange(ml.n_users, device=device)).cpu().numpy()
flat = retrieval.build_index(item_vecs)  # "auto": flat below 100,000 vectors
found, _ = retrieval.retrieve(flat, user_vecs, k=100)
exact, _ = retrieval.exact_search(user_vecs, item_vecs, k=100)
rough = retrieval.build_index(item_vecs, kind="ivf", nlist=41, nprobe=8)
rough_found, _ = retrieval.retrieve(rough, user_vecs, k=100)
claim("flat-equals-exact", (found == exact).mean(), control=(rough_found == exact).mean())

# %% [markdown]
# ### Lists: look only where it is worth it
#
# With millions of vectors, comparing with all is too slow. **IVF** (inverted file) groups the vectors into $n_\text{list}$ (`n_lists`) lists around as many centres, found by k-means and held by a small flat index, the `quantizer`. A query looks only into the $n_\text{probe}$ (`n_probe`, for FAISS `nprobe`) lists whose centres are nearest. Two traps:
#
# - FAISS measures by **L2 distance** unless told otherwise: `faiss.IndexIVFFlat(quantizer, dim, n_lists)` needs a fourth argument.
# - `nprobe` is 1 unless set. One list is quick, and misses much.
#
# By hand: 100,000 vectors, 316 lists, 8 probed: a query is compared with 316 centres and then, as a list holds about 316 vectors, with $8 \cdot 316 \approx 2{,}500$ vectors instead of 100,000.

# %% [markdown]
# ### Exercise 3.7: An index with lists
# *medium · 10 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# What must the index know before it can put a vector into one of its lists?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `quantizer = faiss.IndexFlatIP(dim)`; `index = faiss.IndexIVFFlat(quantizer, dim, n_lists, faiss.METRIC_INNER_PRODUCT)`. Then the index must learn its centres (`train`), take the vectors in (`add`), and know how many lists to visit.
# </details>

# %% exercise="3.7"
def build_ivf(vectors, n_lists, n_probe):
    """A FAISS index on the inner product with lists: vectors [N, D] (float32) -> an IVF index.

    It is trained, holds all N vectors in their order, and looks into n_probe of its n_lists
    lists for each query.
    """
    ### BEGIN SOLUTION
    dim = vectors.shape[1]
    quantizer = faiss.IndexFlatIP(dim)
    index = faiss.IndexIVFFlat(quantizer, dim, n_lists, faiss.METRIC_INNER_PRODUCT)
    index.train(vectors)
    index.add(vectors)
    index.nprobe = n_probe
    return index
    ### END SOLUTION


# %% check="3.7"
check("3.7", build_ivf)

# %% [markdown]
# ### Exercise 3.8: How much does an index miss?
# *easy · 6 minutes · 1 point*
#
# **Recall@k** of an index: of the true best $k$, how many did it find? By hand: exact $\{4, 7, 9\}$, found $[9, 4, 2]$: two of three, 0.67.
#
# <details><summary>Hint 1: a question</summary>
#
# Does it matter at which place a right item was found?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# For each query, count the exact items that occur anywhere in the found row (`np.isin`), divide by k; mean over the queries.
# </details>

# %% exercise="3.8"
def recall_at_k(found, exact):
    """The share of the exact top k that an index found, mean over queries: 0 to 1.

    found, exact [B, k]: items. The order within a row does not matter. In found, -1 means that
    the index found nothing more.
    """
    ### BEGIN SOLUTION
    hits = [np.isin(right, row).mean() for row, right in zip(found, exact, strict=True)]
    return float(np.mean(hits))
    ### END SOLUTION


# %% check="3.8"
check("3.8", recall_at_k)

# %% [markdown]
# ### A catalogue that needs an index
#
# 100,000 vectors in 200 clusters of unequal size, as trained vectors are. (With vectors drawn evenly from the sphere, every approximate index looks useless: nothing is near anything.) The rule of the package: exact below 100,000 vectors; above, $\sqrt n$ lists, of which it probes 1/32, at least 8.

# %%
n_vectors = 10_000 if FAST else 100_000
catalogue = synthetic.clustered_vectors(n_vectors, seed=SEED)
queries = synthetic.clustered_vectors(200, seed=SEED, draw=1)  # other vectors, same clusters
exact, _ = retrieval.exact_search(queries, catalogue, k=100)
ivf = retrieval.build_index(catalogue, kind="ivf")
print(f"{ivf.nlist} lists, {ivf.nprobe} probed")


def recall_of(index, nprobe):
    """Recall@100 of the index when it looks into so many lists."""
    index.nprobe = nprobe
    found, _ = retrieval.retrieve(index, queries, k=100)
    return np.mean([np.isin(right, row).mean() for row, right in zip(found, exact, strict=True)])


by_rule = ivf.nprobe
live = {nprobe: recall_of(ivf, nprobe) for nprobe in (1, 2, 4, by_rule)}
print("  ".join(f"{n} probed: {recall:.3f}" for n, recall in live.items()))
claim("ivf-recall-100k", live[by_rule], control=live[1])

# %% [markdown]
# ### Recall against speed
#
# There is no best index, only a best *for this recall*. Recorded on one core, queries in one batch, top 100; **HNSW** is the third kind: a graph in which a search walks from neighbour to neighbour.

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.7), layout="constrained", sharey=True)
for ax, size in zip(axes, (100_000, 1_000_000), strict=True):
    path = runtime.course_root() / f"benchmarks/results/03_faiss_{size}.json"
    curve = pd.DataFrame(json.loads(path.read_text())["rows"])
    plots.new_axes("recall@100", "queries per second" if size == 100_000 else "", f"{size:,} vectors", ax)
    styles = {"flat": "P", "ivf": "o-", "hnsw": "s--"}
    for (kind, style), colour in zip(styles.items(), ("#7f7f7f", "#0072B2", "#D55E00"), strict=True):
        part = curve[curve["kind"] == kind].sort_values("recall")
        part = part[part["recall"] > 0.8]
        ax.plot(part["recall"], part["queries_per_second"], style, color=colour, label=kind, markersize=6)
        row = part[part["is_default"]].iloc[0]
        print(f"{size:9,} {kind:4}: recall {row['recall']:.3f}, {row['queries_per_second']:8,.0f} "
              f"queries/s, built in {row['build_seconds']:.1f} s")  # fmt: skip
    ax.set(yscale="log")
axes[0].legend(frameon=False)
plt.show()

# %% [markdown]
# *Queries per second (logarithmic) against recall@100, for 100,000 vectors (left) and a million (right). IVF answers more than ten times as many queries as the flat index at a recall of .99; HNSW lies between them here and takes far longer to build. The printed lines are the package's default settings.*
#
# **What do you see?** You serve 2,000 requests a second from a catalogue of a million. Which index, which setting? When would HNSW be worth its build?

# %% [markdown] tags=["solution"]
# At a million vectors the flat index answers fewer than a hundred queries a second per core, so it would take more than twenty cores; IVF does it with one, at a recall of .995 (31 lists probed). The curve bends sharply: the last per cent of recall costs more than all the rest. HNSW needs no clusters in the data and shines in other settings (single queries, few changes to the catalogue); on these clustered vectors, with batches of queries, IVF is the better choice. Measure on *your* vectors.

# %% [markdown]
# ### Only what is new
#
# An index knows nothing about users: it will return what they have seen. Filtering afterwards empties the list: somebody who has seen 80 of their best 100 gets 20. So fetch *more*. How many more are certain to be enough? A query can meet at most `len(seen)` seen items.

# %% [markdown]
# ### Exercise 3.9: Only what is new
# *hard · 12 minutes · 3 points*
#
# <details><summary>Hint 1: a question</summary>
#
# In the worst case, every seen item stands above every unseen one. At which place is then the k-th unseen item?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Ask `search` for k plus as many as were seen. Drop the seen ones (`np.isin`) and every −1, keep the order, cut to k.
# </details>

# %% exercise="3.9"
def retrieve_unseen(search, query, seen, k):
    """The k best items that are not in seen, best first; fewer only if fewer are unseen.

    search(query, n) -> items [n], best first, with -1 at the end where there are no more.
    seen: an array of items. -1 never gets into the result.
    """
    ### BEGIN SOLUTION
    items = search(query, k + len(seen))
    unseen = items[(items >= 0) & ~np.isin(items, seen)]
    return unseen[:k]
    ### END SOLUTION


# %% check="3.9"
check("3.9", retrieve_unseen)

# %% [markdown]
# ### Save it, serve it
#
# What a service does at night, and what it does for one request in the morning:

# %%
folder = runtime.course_root() / "build"
folder.mkdir(exist_ok=True)
retrieval.save_index(flat, folder / "films.index")  # at night
index = retrieval.load_index(folder / "films.index")  # in the morning, perhaps elsewhere

user = 11
started = time.perf_counter()
with torch.no_grad():
    query = towers.encode_user(torch.tensor([user], device=device))[0].cpu().numpy()
items, scores = retrieval.retrieve_unseen(index, query, seen[[user]].indices, k=8)
milliseconds = 1000 * (time.perf_counter() - started)
print(f"user {user}, {milliseconds:.1f} ms; held out: {ml.titles[test_items[test_users == user]][0]}")
pd.DataFrame({"film": ml.titles[items], "cosine": scores.round(3)}, index=range(1, 9))

# %% [markdown]
# ## 8 Two stages
#
# The two-tower model is quick because user and item meet only at the end; NeuMF is slower and better, because they meet early. Services take both: **retrieve** a hundred candidates with the index, then **re-rank** those with the better model. The first stage sets a ceiling: a film that is not among the hundred cannot be saved by the second.

# %%
seen_of = [seen[[user]].indices for user in test_users]
candidates, _ = retrieval.retrieve_unseen(flat, user_vecs[test_users], seen_of, k=100)
epochs = {"gmf_epochs": FEW or 15, "mlp_epochs": FEW or 8}
neumf = recipes.train_neumf_pretrained(seen, SEED, device=device, **epochs)
with torch.no_grad():
    scores = neumf.score_all(test_users).cpu().numpy()
order = np.argsort(-np.take_along_axis(scores, candidates, axis=1), axis=1)
reranked = np.take_along_axis(candidates, order, axis=1)
lists = {
    "two-tower": candidates,
    "two-tower, then NeuMF": reranked,
    "NeuMF on everything": evaluate.top_k(scores, seen[test_users], 100),
}
found = {name: items == test_items[:, None] for name, items in lists.items()}  # [U, 100]
stages = {
    name: {"HR@10": hits[:, :10].any(1).mean(), "HR@100": hits.any(1).mean()}
    for name, hits in found.items()
}
pd.DataFrame(stages).T.round(3)

# %% [markdown]
# **What do you see?** (Full ranking, all unseen films.) What does the second stage gain, and what is left on the table? Scored per user: 100 pairs instead of 1,600.

# %% [markdown] tags=["solution"]
# Re-ranking a hundred candidates gives about what NeuMF reaches on the whole catalogue, at a sixteenth of its work here; with a million films, at a ten-thousandth. HR@100 is the ceiling of the pipeline: the second stage can only reorder. That is why the first stage is judged by recall at 100 or 500, not by the order of its top ten.

# %% [markdown]
# ## 9 Cold start: a film that nobody has seen
#
# Every film was new once. For a model that knows ids only, a new film is row 0, "unknown": all new films look the same. Content is all there is to tell them apart. To measure that honestly, take 134 films (8 %) **out of the training entirely**, and ask afterwards: who chose which of them?
#
# Each user's cold films are ranked against the other cold films only. The figure is **AUC**: the probability that a film the user chose scores higher than one they did not, ties counting half. Chance is exactly 0.5.

# %% [markdown]
# ### Exercise 3.10: A film that nobody has seen
# *medium · 10 minutes · 3 points*
#
# The item tower takes ids and content. You have the content of one new film.
#
# <details><summary>Hint 1: a question</summary>
#
# The tower works on batches, [B] ids and [B, F] content. What is B here? And which id do you give to a film that has none?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# A batch of one: `torch.zeros(1, dtype=torch.long)` as ids and `content[None]` as content. `encode_item` gives [1, D]. The scores are the dot products of all users with that one vector, [U].
# </details>

# %% exercise="3.10"
def score_cold_item(user_vecs, content, encode_item):
    """How much each user would like an item that was not in training.

    user_vecs [U, D] of length 1, content [F] of the one item (tensors) -> scores [U], dot products.
    encode_item(ids [B], content [B, F]) -> vectors [B, D] of length 1; id row 0 stands for every
    item that was not in training.
    """
    ### BEGIN SOLUTION
    ids = torch.zeros(1, dtype=torch.long)
    vec = encode_item(ids, content[None])[0]
    return user_vecs @ vec
    ### END SOLUTION


# %% check="3.10"
check("3.10", score_cold_item)

# %%
rng = np.random.default_rng(SEED)
cold = np.sort(rng.choice(np.flatnonzero(np.bincount(ml.items)), 134, replace=False))
warm_rows = np.flatnonzero(~np.isin(ml.items, cold))
warm_users = features.build_user_features(ml, ml.users[warm_rows])
warm_items = features.build_item_features(ml, ml.items[warm_rows])  # vocabularies of warm films only
chosen = sampling.interactions(ml.users, ml.items, ml.n_users, ml.n_items)[:, cold].tocsr()
print(f"{len(cold)} films taken out; ids of the first five now: {warm_items.ids[cold[:5]]}")


def cold_auc(model):
    """AUC over the cold films, mean over the users who chose any."""
    with torch.no_grad():
        scores = model.score_all(np.arange(ml.n_users))[:, cold].cpu().numpy()
    return metrics.mean_over_users(metrics.auc(scores, chosen)).mean


# %%
ids_only = new_towers(users=warm_users.without_content(), items=warm_items.without_content())
ids_only = train_towers(ids_only, corrected, rows=warm_rows, epochs=1)  # cold films tie, however long
both = new_towers(users=warm_users, items=warm_items, id_dropout=0.3)
both = train_towers(both, corrected, rows=warm_rows)
auc = {"ids only": cold_auc(ids_only), "ids and content": cold_auc(both)}
print({name: round(value, 3) for name, value in auc.items()})
claim("cold-content-auc", auc["ids and content"], control=auc["ids only"])

# %% [markdown]
# The model with content was trained with **id dropout**: for three rows in ten the id was replaced by row 0, so that the towers learned to do without. Recorded, ten seeds, each with other films held out:

# %%
cold_runs = pd.DataFrame(recorded["cold_start"])  # a row for each seed
label = "AUC among held-out films; mean ± 2 sd of ten seeds"
ax = plots.intervals(cold_runs.mean(), 2 * cold_runs.std(), label)
ax.set_xlim(left=0.45)
plt.show()
gain = cold_runs["content only"] - cold_runs["ids only"]
half = 2.26 * gain.std() / len(gain) ** 0.5  # Student's t, 9 degrees of freedom
print(f"content only minus ids only: {gain.mean():.3f} ± {half:.3f} (95 %), {(gain > 0).sum()} of 10 seeds")

# %% [markdown]
# *AUC of four models on films that were not in training, and of an oracle that ranks these films by the popularity they would have: ids only is at chance, .5; content lifts it clearly, most of all next to ids; id dropout makes no visible difference; the oracle stays out of reach.*

# %%
def nearest_warm(item, n=3):
    """The films from the training nearest to a cold one, by cosine of the item vectors."""
    with torch.no_grad():
        vecs = both.encode_item(torch.arange(ml.n_items, device=device)).cpu().numpy()
    closeness = vecs @ vecs[item]
    closeness[cold] = -2
    return ", ".join(ml.titles[np.argsort(-closeness)[:n]])


popular_cold = cold[np.argsort(-np.bincount(ml.items, minlength=ml.n_items)[cold])[:5]]
with pd.option_context("display.max_colwidth", None):
    display(pd.DataFrame({"never seen": ml.titles[popular_cold],
                          "nearest in the training": [nearest_warm(i) for i in popular_cold]}))  # fmt: skip

# %% [markdown]
# **What do you see?** What does the model get right about these films, and what can it not know?

# %% [markdown] tags=["solution"]
# Kind and time: an action film of the nineties lands among action films of the nineties; a title word may mislead (*Dead Man Walking* next to *Dead Man*). What it cannot know is whether the film is any *good*, or how widely it will be shown, and popularity is most of the game: the oracle, which knows nothing about the user at all but how often each film will be chosen, is ahead of every model. Real services close the gap with the first hours of clicks.

# %% [markdown]
# ## 10 Stretch: the last ten films
#
# Lab 2 ended with a history. The user tower can have one too: next to id and content a weighted mean of the *item id vectors* of the last ten films: the latest counts 1, the one before it 0.6, the next $0.6^2$, and so on. As before, only films from **strictly earlier** moments count, in training and at the test. In training each of the ten is left out with probability 0.3 (`history_dropout`). Temperature and learning rate were chosen anew, on validation rows, so the gain below is not the history's alone.

# %%
histories = sampling.earlier_items(ml.users, ml.items, ml.timestamps, n=10)  # [R, 10], -1 = none


def corrected_with_history(model, users, items, history):
    """As `corrected`, the user tower sees what came before the row."""
    user_vecs, item_vecs = model.encode_user(users, history), model.encode_item(items)
    return losses.in_batch_loss(user_vecs, item_vecs, model.temperature, items, log_q[items])


recent = new_towers(temperature=0.15, history=True, history_dropout=0.3)
recent = train_towers(recent, corrected_with_history, lr=2e-3, cosine=False, more=(histories[known],))
history_of_user = np.full((ml.n_users, 10), -1)
history_of_user[test_users] = histories[test]
hr["Two-tower + history"] = hit_rate(lambda users: recent.score_all(users, history_of_user[users]))
claim("two-tower-history-hr10", hr["Two-tower + history"], control=hr["Two-tower"])

# %%
hr["NeuMF"] = hit_rate(neumf.score_all)
order = sorted(hr, key=hr.get)
plots.bars({name: hr[name] for name in order}, "HR@10, 1+99 in expectation")
plt.show()

# %% [markdown]
# *Hit rates of this session's models, weakest on top: the plain two-tower model is near EASE and NeuMF, and the history lifts it above all of them.*
#
# **What do you see?** The user's vector now changes with every click. What does that mean for the index?

# %% [markdown] tags=["solution"]
# Nothing, and that is the beauty of it: the index holds *items*. The user's side is computed at request time anyway, so a tower that reads the last ten clicks costs hardly more. The films' vectors are computed at night as before. A model in which user and item meet early could not do this.

# %% [markdown]
# ## 11 More data
#
# The same code on made-up catalogues of growing size (as many users and films as MovieLens has at that size), one core, recorded:

# %%
path = runtime.course_root() / "benchmarks/results/scale.json"
columns = {
    "interactions": "interactions", "users": "users", "items": "items",
    "train_rows_per_second": "trained rows/s", "epoch_seconds": "s per epoch",
    "served_users_per_second": "users served/s", "peak_gib": "peak GiB",
}  # fmt: skip
scale = pd.DataFrame(json.loads(path.read_text())["rows"])[list(columns)].rename(columns=columns)
scale.style.format(thousands=",", precision=2).hide(axis="index")

# %% [markdown]
# **What do you see?** From 100 thousand to 32 million interactions the data grow 320-fold, and the time for an epoch nearly nine hundredfold: each row costs more too, as the tables of ids outgrow the cache. What could be shared between machines?
#
# The batch, for one. `torchrun --nproc-per-node 2 -m course_utils.distributed` trains this model on two processes. Each has half the batch, and they exchange *item vectors*, so that every user is still compared with all items of the whole batch: `course_utils/distributed.py` is one page.

# %% [markdown]
# ## What you have built
#
# - Features with a place for the unknown, two towers, and a dot product in between.
# - In-batch negatives: a thousand for the price of a few, with a bias towards punishing popularity that one subtraction repairs (.50 to .65).
# - Collapse, seen by the effective rank, and mended by negatives rather than by weight decay.
# - Exact and approximate indexes, recall against speed, a list without seen items, two stages.
# - Recommendations for films that nobody has seen, and what they are worth.
#
# **Next:** many figures have been compared in three labs. Lab 4 asks how far they can be trusted.
#
# Read on: Covington et al., *Deep Neural Networks for YouTube Recommendations* (2016); Yi et al., *Sampling-Bias-Corrected Neural Modeling for Large Corpus Item Recommendations* (2019); Johnson, Douze and Jégou, *Billion-scale similarity search with GPUs* (2017); Wang and Isola, *Understanding Contrastive Representation Learning through Alignment and Uniformity on the Hypersphere* (2020).
