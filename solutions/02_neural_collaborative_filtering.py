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
# # Lab 2: Neural collaborative filtering, honest about what it gains
#
# Nobody asks a streaming service how many stars a film would get. They ask **what to watch**. In this lab the stars are gone: you learn from what people *chose*, and rank.
#
# **popularity → neighbours → EASE and iALS → GMF → MLP → NeuMF**
#
# You will build the models of a famous paper, *Neural Collaborative Filtering*, put strong simple methods next to them, and find a mistake in the protocol that is worth more than the whole way from the best simple methods to the networks. **About two hours.** The data is MovieLens 100K.

# %% [markdown]
# *How a lab works: write 2 to 12 lines in each exercise, run the check below it. Nothing you write is needed further down, so you can skip an exercise and return to it.*

# %% tags=["setup"]
import json
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from course_utils import baselines, evaluate, losses, models, plots, runtime, sampling, splits, training
from course_utils.claims import claim
from course_utils.data import load_movielens
from course_utils.exercises import check

# %% tags=["parameters"]
FAST = runtime.is_fast()  # True: a quick look; models train too briefly to be any good
SEED = 0  # first weights, batches and negatives all follow from it

# %%
device = runtime.start(SEED)
ml = load_movielens("100k")
ml

# %% [markdown]
# ## 1 From ratings to clicks
#
# A rating of 2 stars says: I did not like it. But it also says: *I chose it*, among 1,682. From here on an **interaction** is "user $u$ rated film $i$", whatever the stars; everything else in the table is unknown. That is called **implicit feedback**, and it is what every shop and player has plenty of.
#
# The task: rank the films that a user has not seen, so that the one they choose next stands near the top.

# %%
# NBVAL_CHECK_OUTPUT
clicks = sampling.interactions(ml.users, ml.items, ml.n_users, ml.n_items)  # [U, I], 1 = chosen
print(f"{clicks.nnz:,} interactions, {clicks.shape[0]} users, {clicks.shape[1]:,} films")
print(f"stars below 3 among them: {(ml.ratings < 3).mean():.0%}")

# %% [markdown]
# ### Hide the last one
#
# **Leave-last-out**: each user's last interaction is the test, the one before it is for choosing settings (validation), all earlier ones train. One user, by hand:
#
# | row | 0 | 1 | 2 | 3 | 4 |
# |---|---|---|---|---|---|
# | time | 20 | 10 | 40 | 30 | 40 |
#
# In order of time: rows 1, 0, 3, then 2 and 4, *at the same moment*. Which one is "last"? MovieLens users rated whole pages within a second, so that this happens all the time. A protocol that does not state its rule cannot be compared with.

# %%
# NBVAL_CHECK_OUTPUT
last_moment = pd.Series(ml.timestamps).groupby(ml.users).transform("max")
rows_at_last = (ml.timestamps == last_moment).groupby(ml.users).sum()
print(f"{(rows_at_last > 1).sum()} of {ml.n_users} users have several rows at their last moment")

# %% [markdown]
# ### Exercise 2.1: Leave the last one out
# *medium · 12 minutes · 2 points*
#
# Our rule: among rows of the same moment, the one that comes last in the file is last (row 4 in the table). Hide one row per user here; the same step again, on the remaining rows, gives the validation part.
#
# <details><summary>Hint 1: a question</summary>
#
# A sort that is *stable* leaves equal entries in the order in which they came. What does that do for our rule?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `np.lexsort((timestamps, users))` orders the rows by user, then by time, and is stable. In that order, a row is the last of its user when the next row belongs to somebody else, or when there is no next row. Users with a single row keep it for training.
# </details>

# %% exercise="2.1"
def leave_last_out(users, timestamps):
    """Each user's last row as test, all other rows as training.

    users, timestamps [R] -> (train rows, test rows), arrays of row numbers. The file is not
    sorted. Of several rows at a user's last moment, the one furthest down the file is the last.
    A user with a single row keeps it in the training part.
    """
    ### BEGIN SOLUTION
    order = np.lexsort((timestamps, users))
    of_user = np.asarray(users)[order]
    is_last = np.append(of_user[1:] != of_user[:-1], True)
    is_first = np.append(True, of_user[1:] != of_user[:-1])
    held_out = is_last & ~is_first
    return np.sort(order[~held_out]), np.sort(order[held_out])
    ### END SOLUTION


# %% check="2.1"
check("2.1", leave_last_out)

# %%
train, validation, test = splits.leave_last_out(ml.users, ml.timestamps)  # ties="last row"
known = np.sort(np.concatenate([train, validation]))  # all that comes before the test
seen = sampling.interactions(ml.users[known], ml.items[known], ml.n_users, ml.n_items)
test_users, test_items = ml.users[test], ml.items[test]
print(f"{len(known):,} interactions to learn from, {len(test)} to predict")

# %% [markdown]
# ## 2 What is a negative?
#
# All we ever see is a 1. A model trained on ones alone learns to say 1. So each epoch shows it, next to every interaction, a few films that the user has *not* chosen, drawn at random: **negatives**. They are not films that the user dislikes. Most of them they have never heard of.
#
# By hand: 6 films, user 0 has $\{0, 2, 3\}$. Negatives are drawn uniformly from $\{1, 4, 5\}$, with replacement, each with probability $1/3$.

# %% [markdown]
# ### Exercise 2.2: Sampling negatives
# *hard · 12 minutes · 4 points*
#
# <details><summary>Hint 1: a question</summary>
#
# "Draw until you hit a film that the user does not have." How long does that take for somebody who has everything?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# For each user, list the films that are not in `positives[user]` (`np.setdiff1d(np.arange(n_items), list(...))`). If the list is empty, raise a `ValueError` that names the user. Otherwise `rng.choice(free, n_neg)`. A loop over the users is fine here; the package does it without.
# </details>

# %% exercise="2.2"
def sample_negatives(users, n_items, positives, n_neg, rng):
    """For each user n_neg items that they do not have.

    users [B]; positives: a list, positives[user] is the set of items the user has
    -> items [B, n_neg]. All items that the user lacks are equally likely, and one may be drawn
    twice. All randomness comes from rng (a numpy Generator). ValueError that names the user
    when they have every item.
    """
    ### BEGIN SOLUTION
    drawn = []
    for user in users:
        free = np.setdiff1d(np.arange(n_items), list(positives[user]))
        if len(free) == 0:
            raise ValueError(f"user {user} has every item")
        drawn.append(rng.choice(free, n_neg))
    return np.array(drawn).reshape(len(users), n_neg)
    ### END SOLUTION


# %% check="2.2"
check("2.2", sample_negatives)

# %% [markdown]
# The package's version needs no loop and no second try: it draws *the 17th film that the user does not have* and finds out which one that is with one search for the whole batch.

# %%
rng = np.random.default_rng(SEED)
started = time.perf_counter()
negatives = sampling.sample_negatives(ml.users[train], ml.n_items, seen, n_neg=4, rng=rng)
seconds = time.perf_counter() - started
print(f"{negatives.size:,} negatives in {seconds:.2f} s; the first four:")
print(" · ".join(ml.titles[negatives[0]]))

# %% [markdown]
# ### What may the sampler know?
#
# Here is a mistake that stands in many public implementations of the paper. The sampler is given *all* interactions of a user, "so that no positive is drawn by accident". But *all* includes the test item. Over many epochs every other unseen film is drawn as a negative now and then, **except the one that the test will ask for**.
#
# ```python
# known = train[user] | validation[user] | test[user]   # "never draw a positive by accident"
# ```
#
# The model never sees the test item as a positive. It just notices that this film is never called wrong.

# %% [markdown]
# ### Exercise 2.3: Find the leak
# *medium · 8 minutes · 2 points*
#
# One user, three sets of films: `train[user]`, `validation[user]`, `test[user]`. Which films may the sampler leave out while the model is trained on the training part? And which are left out of the ranking when the test film is to be found?
#
# <details><summary>Hint 1: a question</summary>
#
# On the day on which the model is trained, which of the three parts has already happened? And on the day of the test?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# The sampler may know only what the model is trained on. At the test, everything that came before the test film is known and cannot be chosen again; the test film itself must stay in the ranking. `a | b` joins two sets without changing either.
# </details>

# %% exercise="2.3"
def excluded_items(train, validation, test, user):
    """Which items are left out for a user, in training and at the test.

    train, validation, test: lists, train[user] is a set of items
    -> (in_training, at_test), two sets, new ones.
    in_training: items never drawn as a negative when the model is trained on train.
    at_test: items left out of the ranking in which the user's test item, the latest of all,
    is to be found.
    """
    ### BEGIN SOLUTION
    return set(train[user]), train[user] | validation[user]
    ### END SOLUTION


# %% check="2.3"
check("2.3", excluded_items)

# %% [markdown]
# What that leak is worth in figures you will measure in section 6. (Once the settings are chosen, the validation rows have done their work: the final models below learn from training and validation rows together, and their sampler knows both.)

# %% [markdown]
# ## 3 How good is a ranking?
#
# One positive among many: the film that the user chose. Score all unseen films, find the **rank** of the positive (1 = top).
#
# $$\text{HR@}k = 1 \text{ if rank} \le k \text{ else } 0 \qquad\qquad \text{NDCG@}k = \frac{1}{\log_2(\text{rank} + 1)} \text{ if rank} \le k \text{ else } 0$$
#
# The hit rate asks whether the positive is on the first screen, NDCG also how high up. By hand: rank 3, $k = 10$: HR 1, NDCG $1/\log_2 4 = 0.5$. Rank 11: both 0.

# %% [markdown]
# ### Ties
#
# A model that gives every film the same score knows nothing. Is the positive at rank 1, since nothing is scored *higher*? Or last, since nothing is scored lower? Evaluation code that sorts and looks says whatever its sort happens to do, and a constant model may reach a hit rate of 1.
#
# So count two things: `n_higher`, unseen films scored higher, and `n_tied`, *other* unseen films scored the same. With ties broken at random, the rank is equally likely to be any of $n_\text{higher} + 1, \dots, n_\text{higher} + n_\text{tied} + 1$.

# %% [markdown]
# ### Exercise 2.4: The rank of one positive
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# Is the positive tied with itself? And who else must not be counted?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Make a mask of the unseen items: all True, False at `seen` and at `positive`. Compare the scores of the masked items with `scores[positive]`: how many are greater, how many equal?
# </details>

# %% exercise="2.4"
def rank_of_positive(scores, positive, seen):
    """Where the positive stands among the items the user has not seen.

    scores [I], positive one item, seen an array of items (without the positive)
    -> (n_higher, n_tied): how many other unseen items have a higher score, and how many the
    same. scores stays as it is.
    """
    ### BEGIN SOLUTION
    others = np.ones(len(scores), dtype=bool)
    others[seen] = False
    others[positive] = False
    n_higher = int((scores[others] > scores[positive]).sum())
    n_tied = int((scores[others] == scores[positive]).sum())
    return n_higher, n_tied
    ### END SOLUTION


# %% check="2.4"
check("2.4", rank_of_positive)

# %% [markdown]
# ### Exercise 2.5: Hit rate and NDCG of one positive
# *easy · 5 minutes · 1 point*
#
# <details><summary>Hint 1: a question</summary>
#
# What must the NDCG of rank 1 be?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# If the rank is above `k`, both are 0. Otherwise the hit rate is 1, and NDCG divides 1 by the base-2 logarithm of rank plus one.
# </details>

# %% exercise="2.5"
def hit_rate_and_ndcg(rank, k):
    """HR@k and NDCG@k of one positive: rank from 1 (the best) -> (hit rate, ndcg), 0 to 1."""
    ### BEGIN SOLUTION
    if rank > k:
        return 0.0, 0.0
    return 1.0, float(1 / np.log2(rank + 1))
    ### END SOLUTION


# %% check="2.5"
check("2.5", hit_rate_and_ndcg)

# %% [markdown]
# ### Against 99 others, in exact expectation
#
# The paper ranks the positive against **99 negatives drawn at random** ("1+99"), not against all 1,600 unseen films. Its figures are larger, and they depend on which 99 were drawn. But that draw can be averaged out *exactly*: with $r$ of the $n$ *other* unseen films scored higher (no ties), the number of better ones among 99 is hypergeometric (population $n$, of which $r$ are better, 99 drawn), so
#
# $$\mathbb E[\text{HR@}10] = P\big(\text{Hypergeometric}(n, r, 99) \le 9\big)$$
#
# `evaluate.leave_one_out` does that, and averages over ties as well. Chance level is exactly 10 in 100.

# %%
# NBVAL_CHECK_OUTPUT
def constant(users):
    """The same score for every film."""
    return np.zeros((len(users), ml.n_items))


chance = evaluate.leave_one_out(constant, test_users, test_items, seen)
print(f"a constant score: HR@10 {chance.mean('hit_rate'):.3f}, NDCG@10 {chance.mean('ndcg'):.4f}")

# %%
popularity = baselines.fit_popularity(seen)
exact = evaluate.leave_one_out(popularity.score_all, test_users, test_items, seen)
drawn = []
for seed in range(10 if FAST else 100):
    negatives = sampling.evaluation_negatives(test_users, test_items, seen, n=99, seed=seed)
    one = evaluate.sampled_leave_one_out(popularity.score_all, test_users, test_items, negatives)
    drawn.append(one.mean("hit_rate"))
ax = plots.new_axes("HR@10 of popularity, 1+99", "draws", "One model, 100 draws of negatives")
ax.hist(drawn, bins=12, color=plots.MODEL_COLOURS["Popularity"], alpha=0.6)
ax.axvline(exact.mean("hit_rate"), color="#D55E00", label="exact expectation")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# *Hit rate of the popularity model for 100 different draws of the 99 negatives: a spread of about three hundredths. The line is the exact expectation.*
#
# **What do you see?** Papers report improvements of one hundredth. How would you tell those from a lucky draw?

# %% [markdown] tags=["solution"]
# Not at all, from one draw. One can use the same negatives for all models, which helps but leaves them all hostage to one draw; or average over many; or, as here, compute the average over *all* draws from the rank, at no extra cost.

# %% [markdown]
# ## 4 Strong simple baselines first
#
# Before any network: how far do methods get that need no gradient? Popularity; **item-kNN** (cosine between columns of the click table); and one that is nearly unknown outside the field, one line of algebra long.

# %% [markdown]
# ### EASE: rebuild each film from the others
#
# Look for weights $B$ (`weights`, [I, I]) such that the click table $X$ (`x`, [U, I]) is rebuilt from itself, $X \approx XB$, with small weights and **no film explaining itself** ($B_{jj} = 0$). The answer is exact. With $G = X^\top X + \lambda I$ and $P = G^{-1}$:
#
# $$B_{ij} = -\frac{P_{ij}}{P_{jj}} \quad (i \ne j), \qquad B_{jj} = 0$$
#
# The score of film $j$ for user $u$ is the sum of $B_{ij}$ over the films $i$ that $u$ has. ([Steck, 2019](https://arxiv.org/abs/1905.03375).)

# %% [markdown]
# ### By hand
#
# Two users, two films: $u_1$ has both, $u_2$ only the first. $X^\top X = \begin{pmatrix}2&1\\1&1\end{pmatrix}$; with $\lambda = 1$: $G = \begin{pmatrix}3&1\\1&2\end{pmatrix}$, $P = \tfrac15\begin{pmatrix}2&-1\\-1&3\end{pmatrix}$.
#
# $B_{12} = -P_{12}/P_{22} = \tfrac13$ and $B_{21} = -P_{21}/P_{11} = \tfrac12$: whoever has the first film gets $\tfrac13$ for the second. The weights are **not** symmetric.

# %% [markdown]
# ### Exercise 2.6: EASE in closed form
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# Each column of the answer is divided by one number. Which entry of $P$ is it for column $j$, and what does numpy do when you divide an [I, I] array by an [I] array?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `x.T @ x`, add `reg` on the diagonal, invert. Divide by minus the diagonal of the inverse, so that column $j$ is divided by $-P_{jj}$. Last, set the diagonal to 0.
# </details>

# %% exercise="2.6"
def ease(x, reg):
    """EASE's item weights in closed form: x [U, I] of 0 and 1 (float), reg > 0 -> B [I, I].

    B[i, j] is the weight from item i (which the user has) to item j (which is scored), 0 from
    an item to itself.
    """
    ### BEGIN SOLUTION
    inverse = np.linalg.inv(x.T @ x + reg * np.eye(x.shape[1]))
    weights = inverse / -np.diag(inverse)
    np.fill_diagonal(weights, 0)
    return weights
    ### END SOLUTION


# %% check="2.6"
check("2.6", ease)

# %%
everybody = np.arange(ml.n_users)


def judge(name, score_all):
    """Put a model on the table, 1+99 in expectation and the full ranking -> its HR@10 (1+99)."""
    with torch.no_grad():
        scores = score_all(everybody)  # [U, I]
    for n_neg, prefix in ((99, ""), (None, "full ")):
        one = evaluate.leave_one_out(scores.__getitem__, test_users, test_items, seen, n_neg=n_neg)
        results.setdefault(name, {})[prefix + "HR@10"] = one.mean("hit_rate")
        results[name][prefix + "NDCG@10"] = one.mean("ndcg")
        if n_neg:
            per_user[name] = one
    return results[name]["HR@10"]


results, per_user, scorers = {}, {}, {}
scorers["Popularity"] = popularity.score_all
scorers["Item-kNN"] = baselines.fit_item_knn(seen, k=100).score_all
scorers["EASE"] = baselines.fit_ease(seen, reg=500).score_all
scorers["iALS"] = baselines.fit_ials(seen, seed=SEED).score_all
for name, score_all in scorers.items():
    judge(name, score_all)
pd.DataFrame(results).T.round(3)

# %% [markdown]
# **What do you see?** HR@10 against 99 drawn films and against all. How far is the nearest neighbour method from the two that are trained? How many lines of code was EASE?

# %% [markdown] tags=["solution"]
# Each step is clear: chance .100, popularity about .41, neighbours about .61, EASE and iALS about .66. EASE is three lines of numpy and less than a second. That is the bar for everything that follows: a network that does not get past it has not earned its complexity. In the full ranking all figures are smaller, since 1,600 films are harder to beat than 99, and the distances between the models are different ones.

# %%
hr = {name: figures["HR@10"] for name, figures in results.items()}
claim("popularity-hr10", hr["Popularity"], control=chance.mean("hit_rate"))
claim("knn-hr10", hr["Item-kNN"], control=hr["Popularity"])
claim("ease-hr10", hr["EASE"], control=hr["Item-kNN"])
claim("ials-hr10", hr["iALS"], control=hr["Item-kNN"])

# %% [markdown]
# ### What the tie rule alone does
#
# The same model, EASE, the same data; only the rule for "last" among rows of one moment changes:

# %%
by_rule = {}
for rule in splits.TIES[:2] if FAST else splits.TIES:
    parts = splits.leave_last_out(ml.users, ml.timestamps, ties=rule, seed=SEED, items=ml.items)
    before, last = np.sort(np.concatenate(parts[:2])), parts[2]
    had = sampling.interactions(ml.users[before], ml.items[before], ml.n_users, ml.n_items)
    score_all = baselines.fit_ease(had, reg=500).score_all
    by_rule[rule] = evaluate.leave_one_out(score_all, ml.users[last], ml.items[last], had).mean()
plots.bars(by_rule, "HR@10 of EASE, 1+99 in expectation", title="Which of the tied rows is 'last'?")
plt.show()

# %% [markdown]
# *Hit rate of EASE under four tie rules: choosing the highest item id as last costs more than most published improvements gain. Newly added films have high ids and few ratings.*

# %% [markdown]
# ## 5 From a dot product to a network
#
# The paper's starting point: matrix factorization scores with $p_u \cdot q_i = \sum_d p_{ud}\, q_{id}$. Could a network find something better than this sum? It proposes three models, each a score that goes through a sigmoid to become a probability of "chosen".

# %% [markdown]
# ### GMF: a dot product with weights
#
# Multiply the two vectors element by element, but let the model learn how much each dimension counts, $w$, and a bias $b$:
#
# $$s_{ui} = w \cdot (p_u \odot q_i) + b$$
#
# By hand: $p = (1, 2)$, $q = (3, -1)$, $w = (0.5, 1)$, $b = 0.1$: products $(3, -2)$, so $s = 1.5 - 2 + 0.1 = -0.4$. That is a **logit**; $\sigma(-0.4) = 0.40$ would be the probability. We return the logit and leave the sigmoid to the loss, which can compute both together without overflow.

# %% [markdown]
# ### Exercise 2.7: Generalised matrix factorization
# *easy · 5 minutes · 1 point*
#
# <details><summary>Hint 1: a question</summary>
#
# `self.output` maps [B, D] to [B, 1]. Which dimension must go, and which must stay for a batch of one?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Look up both vectors, multiply them element by element, feed the product to `self.output`, drop the last dimension.
# </details>

# %% exercise="2.7"
class GMF(nn.Module):
    """Generalised matrix factorization."""

    def __init__(self, n_users, n_items, dim=32):
        super().__init__()
        self.user_emb = nn.Embedding(n_users, dim)
        self.item_emb = nn.Embedding(n_items, dim)
        self.output = nn.Linear(dim, 1)
        for table in (self.user_emb, self.item_emb):
            nn.init.normal_(table.weight, std=0.01)

    def forward(self, users, items):
        """users [B], items [B] -> logits [B]: the output layer on the product, factor by factor."""
        ### BEGIN SOLUTION
        match = self.user_emb(users) * self.item_emb(items)
        return self.output(match).squeeze(-1)
        ### END SOLUTION


# %% check="2.7"
check("2.7", GMF)

# %% [markdown]
# ### MLP: let the network find out
#
# Put the two vectors side by side, $[p_u, q_i]$, and send them through layers with ReLU. No product is built in: if multiplying is useful, the network must discover it.

# %% [markdown]
# ### Exercise 2.8: A multi-layer perceptron
# *medium · 6 minutes · 1 point*
#
# <details><summary>Hint 1: a question</summary>
#
# `torch.cat` can put things side by side or below each other. What shape does the first layer of `self.tower` expect?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Look up both vectors, user first; `torch.cat([...], dim=-1)` gives [B, 2 D]; then the tower, the output layer, and drop the last dimension.
# </details>

# %% exercise="2.8"
class MLP(nn.Module):
    """Two vectors through a tower of layers."""

    def __init__(self, n_users, n_items, dim=32, layers=(64, 32, 16), dropout=0.0):
        super().__init__()
        self.user_emb = nn.Embedding(n_users, dim)
        self.item_emb = nn.Embedding(n_items, dim)
        sizes = [2 * dim, *layers]
        steps = []
        for n_in, n_out in zip(sizes, layers, strict=False):
            steps += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
        self.tower = nn.Sequential(*steps)
        self.output = nn.Linear(layers[-1], 1)
        for table in (self.user_emb, self.item_emb):
            nn.init.normal_(table.weight, std=0.01)

    def forward(self, users, items):
        """users [B], items [B] -> logits [B]: [user vector, item vector], tower, output layer."""
        ### BEGIN SOLUTION
        both = torch.cat([self.user_emb(users), self.item_emb(items)], dim=-1)
        return self.output(self.tower(both)).squeeze(-1)
        ### END SOLUTION


# %% check="2.8"
check("2.8", MLP)

# %% [markdown]
# ### NeuMF: both, joined at the end
#
# GMF's product and the last layer of the MLP, side by side, into one output layer. Each half has **embeddings of its own**, so that neither has to compromise.

# %% [markdown]
# ### Exercise 2.9: NeuMF, both parts joined
# *medium · 8 minutes · 3 points*
#
# <details><summary>Hint 1: a question</summary>
#
# The loss of this lab is `binary_cross_entropy_with_logits`. If `forward` ended in a sigmoid, how often would the sigmoid be applied?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# The GMF half is a product of the two `gmf_` look-ups. The MLP half sends the two `mlp_` look-ups, side by side, through the tower. Put GMF half and MLP half side by side, in this order, and apply `self.output`.
# </details>

# %% exercise="2.9"
class NeuMF(nn.Module):
    """GMF and MLP, joined in one output layer."""

    def __init__(
        self, n_users, n_items, gmf_dim=32, mlp_dim=32, layers=(64, 32, 16), dropout=0.0
    ):
        super().__init__()
        self.gmf_user = nn.Embedding(n_users, gmf_dim)
        self.gmf_item = nn.Embedding(n_items, gmf_dim)
        self.mlp_user = nn.Embedding(n_users, mlp_dim)
        self.mlp_item = nn.Embedding(n_items, mlp_dim)
        sizes = [2 * mlp_dim, *layers]
        steps = []
        for n_in, n_out in zip(sizes, layers, strict=False):
            steps += [nn.Linear(n_in, n_out), nn.ReLU(), nn.Dropout(dropout)]
        self.tower = nn.Sequential(*steps)
        self.output = nn.Linear(gmf_dim + layers[-1], 1)
        for table in (self.gmf_user, self.gmf_item, self.mlp_user, self.mlp_item):
            nn.init.normal_(table.weight, std=0.01)

    def forward(self, users, items):
        """users [B], items [B] -> logits [B].

        GMF part [B, gmf_dim]: product of the GMF vectors. MLP part [B, layers[-1]]: the tower
        on [user vector, item vector]. The output layer gets [GMF part, MLP part].
        """
        ### BEGIN SOLUTION
        gmf = self.gmf_user(users) * self.gmf_item(items)
        mlp = self.tower(torch.cat([self.mlp_user(users), self.mlp_item(items)], dim=-1))
        return self.output(torch.cat([gmf, mlp], dim=-1)).squeeze(-1)
        ### END SOLUTION


# %% check="2.9"
check("2.9", NeuMF)

# %% [markdown]
# ### Training on clicks
#
# Labels $y$: 1 for an interaction, 0 for a negative; four fresh negatives per interaction and epoch. The loss is **binary cross-entropy** on logits $s$:
#
# $$\mathcal L = -\big[\, y \log \sigma(s) + (1 - y) \log(1 - \sigma(s)) \,\big]$$
#
# The settings below were chosen on the validation rows; the figures come from models trained on training and validation rows together.

# %%
FEW = 1 if FAST else None  # epochs, where a full run takes more


def click_loss(model, users, items, labels):
    """Binary cross-entropy of a batch, for `training.fit`."""
    return losses.bce(model(users, items), labels)


def train_on_clicks(model, epochs, lr, decay=0.0, items=ml.items[known], avoid=seen, seed=SEED):
    """Train on every interaction with fresh negatives each epoch -> the model."""
    rng = np.random.default_rng(seed)
    model, epochs = model.to(device), FEW or epochs
    optimizer = torch.optim.Adam(model.parameters(), lr=lr, weight_decay=decay, fused=True)
    n_steps = epochs * -(-5 * len(known) // 2048)
    scheduler = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1, (1 - step / n_steps) / 0.3)  # the last 30 % fall to 0
    )

    def fresh(epoch):
        rows = sampling.with_negatives(ml.users[known], items, avoid, 4, rng)
        return tuple(column.to(device) for column in rows)

    settings = {"batch_size": 2048, "scheduler": scheduler, "seed": seed}
    training.fit(model, optimizer, click_loss, fresh, epochs=epochs, **settings)
    return model


# %%
def new(kind, seed=SEED, **settings):
    """A model of the package with first weights that follow from the seed."""
    torch.manual_seed(seed)
    return kind(ml.n_users, ml.n_items, **settings)


GMF_RECIPE = {"epochs": 15, "lr": 3e-3, "decay": 1e-5}
gmf = train_on_clicks(new(models.GMF, dim=64), **GMF_RECIPE)
mlp = train_on_clicks(new(models.MLP), epochs=8, lr=5e-3)
scratch = train_on_clicks(new(models.NeuMF, dropout=0.1), epochs=12, lr=2e-3)
for name, model in {"GMF": gmf, "MLP": mlp, "NeuMF from scratch": scratch}.items():
    print(f"{name:20} HR@10 {judge(name, model.score_all):.3f}")

# %% [markdown]
# **What do you see?** The network alone, the weighted dot product alone, and both together. Put EASE next to them.

# %% [markdown] tags=["solution"]
# The MLP alone is the weakest: learning to multiply from examples is hard ([Rendle et al., 2020](https://arxiv.org/abs/2005.09683)). GMF, hardly more than matrix factorization, but with a little weight decay, is level with iALS or slightly ahead. And NeuMF, which contains both, does not get past its own half when it is trained from random numbers: the two halves disturb each other on the way. (Recorded over ten seeds in section 7.)

# %% [markdown]
# ### A loss for rankings: BPR
#
# Is "chosen, yes or no" the right question? **Bayesian personalised ranking** asks instead that the chosen film scores higher than the negative, whatever the two scores are. With $s^+$ (`pos_scores`) and $s^-$ (`neg_scores`):
#
# $$\mathcal L = -\log \sigma(s^+ - s^-)$$
#
# By hand: $s^+ = 2$, $s^- = 0$: $-\log 0.881 = 0.127$. Both equal: $\log 2 = 0.693$. The wrong way round: $-\log 0.119 = 2.127$.

# %% [markdown]
# ### Exercise 2.10: BPR loss
# *easy · 6 minutes · 1 point*
#
# <details><summary>Hint 1: a question</summary>
#
# What does `torch.log(torch.sigmoid(x))` give for x = −200, and which function in `torch.nn.functional` computes the same without that accident?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Subtract, `nn.functional.logsigmoid`, change the sign, and take the mean over the batch.
# </details>

# %% exercise="2.10"
def bpr_loss(pos_scores, neg_scores):
    """-log sigmoid(positive - negative), mean over the pairs.

    pos_scores, neg_scores [B] -> one number (a tensor). Stays finite when a negative stands
    far above its positive.
    """
    ### BEGIN SOLUTION
    return -nn.functional.logsigmoid(pos_scores - neg_scores).mean()
    ### END SOLUTION


# %% check="2.10"
check("2.10", bpr_loss)

# %%
def pair_loss(model, users, pos_items, neg_items):
    """BPR loss of a batch, for `training.fit`."""
    return losses.bpr(model(users, pos_items), model(users, neg_items))


rng = np.random.default_rng(SEED)
bpr = new(models.BPRMF).to(device)
optimizer = torch.optim.Adam(bpr.parameters(), lr=1e-3, fused=True)


def fresh_pairs(epoch):
    """Each interaction four times, each time next to a fresh negative."""
    pairs = sampling.in_pairs(ml.users[known], ml.items[known], seen, 4, rng)
    return tuple(column.to(device) for column in pairs)


training.fit(bpr, optimizer, pair_loss, fresh_pairs, epochs=FEW or 19, batch_size=2048, seed=SEED)
print(f"BPR-MF HR@10 {judge('BPR-MF', bpr.score_all):.3f}")

# %% [markdown]
# ### Pretraining: start where the halves ended
#
# The paper's remedy for the quarrel of the halves: train GMF and MLP *apart*, copy their embeddings and layers into a NeuMF, and join their output layers with a weight $\alpha$:
#
# $$w = [\,\alpha\, w_\text{GMF},\ (1 - \alpha)\, w_\text{MLP}\,] \qquad b = \alpha\, b_\text{GMF} + (1 - \alpha)\, b_\text{MLP}$$
#
# The fused model starts as a mixture of the two (you write $w$; the package mixes $b$ as well). The paper takes $\alpha = 0.5$ and then trains on. On our validation rows $\alpha = 0.7$, more weight for the stronger half, was better, and training on did not help. (The cell below shows one seed on the test rows; a difference in the third decimal is noise.)

# %% [markdown]
# ### Exercise 2.11: Fusing two trained models
# *easy · 5 minutes · 1 point*
#
# <details><summary>Hint 1: a question</summary>
#
# If both halves gave the same logit $s$ for a pair, what should the fused model give, for every $\alpha$?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Scale the GMF weights by `alpha` and the MLP weights by one minus `alpha`, and join them along the last dimension, GMF first.
# </details>

# %% exercise="2.11"
def fuse(gmf_weight, mlp_weight, alpha):
    """The output weight of a NeuMF made of two trained models: alpha for GMF, the rest for MLP.

    gmf_weight [1, D], mlp_weight [1, L] -> [1, D + L] in the order of NeuMF's forward. The
    inputs stay as they are.
    """
    ### BEGIN SOLUTION
    return torch.cat([alpha * gmf_weight, (1 - alpha) * mlp_weight], dim=-1)
    ### END SOLUTION


# %% check="2.11"
check("2.11", fuse)

# %%
neumf = models.fuse_pretrained(gmf, mlp, alpha=0.7).eval()
print(f"fused, before any step:  HR@10 {judge('NeuMF', neumf.score_all):.4f}")
trained_on = models.fuse_pretrained(gmf, mlp, alpha=0.7)
trained_on = train_on_clicks(trained_on, epochs=2, lr=3e-4, decay=1e-5, seed=SEED + 100)
print(f"after two gentle epochs: HR@10 {judge('trained on', trained_on.score_all):.4f}")

# %%
shuffled = np.random.default_rng(SEED).permutation(ml.items[known])  # who chose what: forgotten
controls = {
    "untrained": new(models.NeuMF),
    "shuffled": train_on_clicks(new(models.GMF), epochs=3, lr=3e-3, items=shuffled),
}
for name, model in controls.items():
    print(f"{name:10} HR@10 {judge(name, model.score_all):.3f}")
hr = {name: figures["HR@10"] for name, figures in results.items()}
claim("gmf-hr10", hr["GMF"], control=hr["shuffled"])
best_control = max(hr["untrained"], hr["shuffled"], hr["Popularity"])
claim("neumf-hr10", hr["NeuMF"], control=best_control)

# %% [markdown]
# ## 6 The price of the leak
#
# Now put the mistake of section 2 in: a plain GMF as in most public implementations, without weight decay, three seeds. The leaky twin differs in one thing: its training sampler also avoids the test items.

# %%
everything = sampling.interactions(ml.users, ml.items, ml.n_users, ml.n_items)  # test items too
honest, leaky = [], []
for seed in range(SEED, SEED + 1 if FAST else SEED + 3):
    for name, avoid, runs in (("plain GMF", seen, honest), ("with the leak", everything, leaky)):
        model = new(models.GMF, seed=seed, dim=64)
        train_on_clicks(model, epochs=15, lr=3e-3, avoid=avoid, seed=seed)
        runs.append(judge(name, model.score_all))
print("honest: ", np.round(honest, 3), " with the leak: ", np.round(leaky, 3))
claim("leak-gain-hr10", np.mean(leaky) - np.mean(honest), control=abs(honest[-1] - honest[0]))

# %%
bars = {name: results[name]["HR@10"] for name in ["EASE", "GMF", "NeuMF"]}
bars |= {"plain GMF": np.mean(honest), "plain GMF + leak": np.mean(leaky)}
plots.bars(bars, "HR@10, 1+99 in expectation", title="The best model so far is a mistake")
plt.show()

# %% [markdown]
# *Hit rates of EASE, of GMF with weight decay, of NeuMF, and of a plain GMF (mean of three seeds) without and with test items spared from being negatives: the leak lifts the weakest of them above all honest ones.*
#
# **What do you see?** Somebody hands you code with a new model and a table of figures. Where do you look first?

# %% [markdown] tags=["solution"]
# At the line that builds the sets of positives for the negative sampler: before or after the test items were split off? It is invisible in the model, in the loss and in the training curve, and it is worth several times the step from GMF to NeuMF. A model that can learn more by heart should gain more from it. Test that: repeat the leak with `decay=1e-5`. Then: at the tie rule, at what is done with equal scores, and at whether the settings were chosen on the test items.

# %% [markdown]
# ## 7 Is it better than a dot product?
#
# One run each cannot answer that. Ten recorded runs for every model, other seed each time, same protocol; black strokes mark this session's runs.

# %%
recorded = json.loads((runtime.course_root() / "benchmarks/results/02_sweeps.json").read_text())
runs = recorded["models"]  # name -> HR@10 of ten seeds
plots.intervals(
    {name: np.mean(values) for name, values in runs.items()},
    {name: 2 * np.std(values, ddof=1) for name, values in runs.items()},
    xlabel="HR@10, 1+99 in expectation; mean ± 2 sd of ten seeds",
)
plt.plot([results[name]["HR@10"] for name in runs], range(len(runs)), "k|", markersize=14)
plt.show()

# %% [markdown]
# *Hit rate of each model over ten seeds, with the spread of single runs; the black strokes are the runs of this session.*

# %%
for other in ["GMF", "iALS"]:
    ahead = np.array(runs["NeuMF"]) - np.array(runs[other])
    wins = f"{(ahead > 0).sum()} of {len(ahead)} seeds"
    print(f"NeuMF ahead of {other:4} in {wins}, on average by {ahead.mean():+.4f}")
low, high = per_user["NeuMF"].interval("hit_rate")
print(f"95 % interval of NeuMF over users: {low:.3f} to {high:.3f}")
for other in ["GMF", "iALS"]:
    gap = per_user["NeuMF"].hit_rate - per_user[other].hit_rate
    half = 1.96 * gap.std(ddof=1) / len(gap) ** 0.5
    print(f"NeuMF minus {other:4} over the same users: {gap.mean():+.4f} ± {half:.4f}")

# %% [markdown]
# **What do you see?** Two kinds of "how sure": over seeds, and over users. Which one would change if you trained ten times as often, which one if MovieLens had ten times the users? So: is NeuMF better than a dot product?

# %% [markdown] tags=["solution"]
# The spread over seeds says whether a *rerun* would come out the same; it is small, except for the MLP. The interval over users says how far the *level* of one model would move with other people; with 943 users that is about three hundredths to each side. For the *order* of two models, look at the difference user by user, since both met the same users. Pretrained NeuMF is ahead of iALS, a dot product from 2008, in every seed, but by less than a hundredth on average, and GMF is ahead of it as well; against GMF, which is a dot product with weights, it wins some seeds and loses others. So the honest answer is: on these data, *no reliable difference* from a well-tuned dot product. The network alone, without the product, is clearly worse.

# %% [markdown]
# ### Two knobs
#
# How many numbers per film, and how many negatives per interaction? GMF, ten recorded seeds each; the star is this session's GMF (64 numbers, 4 negatives).

# %%
fig, axes = plt.subplots(1, 2, figsize=(9, 3.5), layout="constrained", sharey=True)
knobs = {"dim": "numbers per user and film", "negatives": "negatives per interaction"}
for ax, (knob, label), here in zip(axes, knobs.items(), ["64", "4"], strict=True):
    values = recorded[knob]
    means = [np.mean(runs) for runs in values.values()]
    spread = [2 * np.std(runs, ddof=1) for runs in values.values()]
    plots.new_axes(label, "HR@10, 1+99" if knob == "dim" else "", ax=ax)
    colour = plots.MODEL_COLOURS["GMF"]
    ax.errorbar(list(values), means, yerr=spread, fmt="o-", capsize=4, color=colour)
    ax.plot([here], [results["GMF"]["HR@10"]], "*", color="#D55E00", markersize=12)
plt.show()

# %% [markdown]
# *Hit rate of GMF by embedding size (left) and by the number of negatives (right), mean ± 2 sd of ten seeds.*

# %% [markdown]
# ## 8 Sampled or full?
#
# The figures of the paper rank against 99; a service ranks against everything. Does it matter for the *order* of the models?

# %%
controls = ["untrained", "shuffled", "trained on", "plain GMF", "with the leak"]
table = pd.DataFrame(results).T.drop(controls)
table["place, 1+99"] = table["HR@10"].rank(ascending=False).astype(int)
table["place, full"] = table["full HR@10"].rank(ascending=False).astype(int)
table.sort_values("HR@10", ascending=False).style.format(precision=3).background_gradient(
    subset=["HR@10", "full HR@10"], cmap="Blues"
)

# %% [markdown]
# **What do you see?** Which models gain places in the full ranking, which lose?

# %% [markdown] tags=["solution"]
# Against 99 random films, most of the 99 are obscure, and it is enough to know roughly what is popular among people like the user. Against all films the competition at the top is fierce, and only precise scores help: there, EASE and iALS are ahead of every network in this table, and GMF and NeuMF fall behind both. (One run: among the networks, neighbouring places may swap with another seed.) Lab 4 takes this apart ([Krichene and Rendle, 2020](https://dl.acm.org/doi/10.1145/3394486.3403226)).

# %% [markdown]
# ## 9 What would they recommend?

# %%
user = 11
before = known[ml.users[known] == user]
latest = before[np.argsort(ml.timestamps[before], kind="stable")][::-1][:6]
print("before it in the file:", ", ".join(ml.titles[ml.items[latest]]))
print("held out:", ml.titles[test_items[test_users == user]][0])
scorers |= {"GMF": gmf.score_all, "NeuMF": neumf.score_all}
lists = {}
with torch.no_grad():
    for name in ["Popularity", "EASE", "GMF", "NeuMF"]:
        top = evaluate.top_k(scorers[name](np.array([user])), seen[[user]], k=8)[0]
        lists[name] = ml.titles[top]
pd.DataFrame(lists, index=range(1, 9))

# %% [markdown]
# **What do you see?** Change `user` and compare. Which lists are about the person, and which about the crowd?

# %% [markdown] tags=["solution"]
# Popularity has one list, with what the user has seen taken out. The others move towards everything this person chose, early or late, and for this user agree with each other on much of the list: they have learned the same thing from the same clicks in different ways.

# %% [markdown]
# ## 10 Stretch: what did they watch last?
#
# All models so far treat a user as a bag of clicks. But people binge: the next choice depends on the last ones. Add to the user's vector the mean vector of their **last ten films**, $\frac{1}{|H|}\sum_{j \in H} h_j$.
#
# Mind the clock. Rows of one page share a second, so "the ten rows before" may contain films ticked *in the same moment* as the target, and on another day nobody would know them yet. We take films from **strictly earlier** moments only. For user 11, all six films listed in section 9 share the target's second, so none of them is in the history below.

# %%
histories = sampling.earlier_items(ml.users, ml.items, ml.timestamps, n=10)  # [R, 10], -1 = none
row = test[test_users == user][0]
print("target: ", ml.titles[ml.items[row]])
print("history:", ", ".join(ml.titles[[item for item in histories[row] if item >= 0]]))

# %%
history_of_row = torch.tensor(histories[known], device=device)
rows_of_epoch = torch.arange(len(known), device=device).repeat_interleave(5)  # 1 pos, 4 neg


def fresh_with_rows(epoch):
    """As before, and for each entry the row whose history belongs to it."""
    columns = sampling.with_negatives(ml.users[known], ml.items[known], seen, 4, rng)
    return *(column.to(device) for column in columns), rows_of_epoch


def history_loss(model, users, items, labels, rows):
    """Binary cross-entropy, each entry with its history."""
    return losses.bce(model(users, items, history_of_row[rows]), labels)


# %%
rng = np.random.default_rng(SEED)
epochs = FEW or 8
recent = new(models.HistoryNeuMF, dropout=0.1, history_dropout=0.3).to(device)
optimizer = torch.optim.Adam(recent.parameters(), lr=5e-3, fused=True)
n_batches = -(-len(rows_of_epoch) // 2048)
scheduler = torch.optim.lr_scheduler.CosineAnnealingLR(optimizer, epochs * n_batches)
settings = {"epochs": epochs, "batch_size": 2048, "scheduler": scheduler, "seed": SEED}
training.fit(recent, optimizer, history_loss, fresh_with_rows, **settings)

history_of_user = np.full((ml.n_users, 10), -1)
history_of_user[test_users] = histories[test]
judge("NeuMF + history", lambda users: recent.score_all(users, history_of_user[users]))
claim("neumf-history-hr10", results["NeuMF + history"]["HR@10"], control=results["NeuMF"]["HR@10"])

# %% [markdown]
# **What do you see?** About four hundredths from one change of input, after all the work on architectures brought one. What does that say about where to look for improvements?

# %% [markdown] tags=["solution"]
# Look at the *information* first. Every model above was blind to the order of events, and no network can find what its input does not contain. Lab 3 uses the same idea in a model that can search a billion items.

# %% [markdown]
# ## What you have built
#
# - From ratings to clicks: a negative is a guess, and the sampler may only know the past.
# - Ranks with ties, HR and NDCG, the 1+99 protocol in exact expectation, and its limits.
# - EASE and iALS, the bar; GMF, MLP and NeuMF; pretraining, which lifts NeuMF by about a hundredth (1+99).
# - A leak worth more than an architecture, and an input (the order of events) worth nearly as much, honestly.
#
# **Next:** NeuMF scores one pair at a time. With a million films that is a million forward passes per request. Lab 3 builds two towers that meet in a dot product, so that an index can do the search.
#
# Read on: He et al., *Neural Collaborative Filtering* (2017); Rendle, Krichene, Zhang and Anderson, *Neural Collaborative Filtering vs. Matrix Factorization Revisited* (2020); Dacrema, Cremonesi and Jannach, *Are We Really Making Much Progress?* (2019).
