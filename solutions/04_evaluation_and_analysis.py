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
# # Lab 4: Evaluation and analysis, or: how to believe a number
#
# In three labs you have built a dozen models and compared them by a figure or two. This lab is about those figures: how they are computed, when they can be trusted, how they are faked without anybody wanting to, and what they leave out.
#
# **metrics by hand → protocols → is the difference real? → leaks → who is served? → diversity → a model card**
#
# You will see two models swap places because of the protocol alone, find four planted leaks (one makes a model look nearly perfect), and learn why the best predictor of stars is among the worst at recommending. **About two and a half hours.** The data is MovieLens 100K.

# %% [markdown]
# *How a lab works: write 2 to 12 lines in each exercise, run the check below it. Nothing you write is needed further down, so you can skip an exercise and return to it.*

# %% tags=["setup"]
import json

import ipywidgets as widgets
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from IPython.display import Markdown
from scipy import stats

from course_utils import baselines, diagnostics, evaluate, metrics, plots, recipes, rerank
from course_utils import runtime, sampling, splits, zoo
from course_utils.claims import claim
from course_utils.data import load_movielens
from course_utils.exercises import check

# %% tags=["parameters"]
FAST = runtime.is_fast()  # True: a quick look; models train too briefly to be any good
SEED = 0  # first weights, batches and resamples all follow from it

# %%
device = runtime.start(SEED)
ml = load_movielens("100k")
train, validation, test = splits.leave_last_out(ml.users, ml.timestamps)
known = np.sort(np.concatenate([train, validation]))
seen = sampling.interactions(ml.users[known], ml.items[known], ml.n_users, ml.n_items)
test_users, test_items = ml.users[test], ml.items[test]
results = runtime.course_root() / "benchmarks" / "results"
print(f"{len(known):,} interactions to learn from, {len(test)} to predict")

# %% [markdown]
# ## 1 One list, by hand
#
# A model shows a user a list of films, best first. Afterwards we know how **relevant** each one was: 3 for loved, 2 for liked, 1 for fine, 0 for the rest. How good was the list?

# %% [markdown]
# ### NDCG: a gain for each hit, smaller further down
#
# $$\text{DCG@}k = \sum_{r=1}^{k} \frac{\text{rel}_r}{\log_2(r + 1)}, \qquad \text{NDCG@}k = \frac{\text{DCG@}k}{\text{DCG@}k \text{ of the ideal list}}$$
#
# $r$ is the place, from 1; $\text{rel}_r$ is the relevance there (`relevances`). The **ideal list** is the best possible one: *all* relevant films (`all_relevances`), best first, cut to $k$. By hand, for the list $[1, 0, 3]$ and $k = 2$:
#
# - DCG@2: $1/\log_2 2 + 0 = 1$. The 3 stands at place 3, too late.
# - Ideal: $[3, 1]$, so $3/\log_2 2 + 1/\log_2 3 = 3.631$. NDCG@2 = 0.275.
#
# Taking the ideal of the *first two* only, $[1, 0]$, gives NDCG 1: a perfect score for a list that missed the best film. This mistake is common, and it never hurts the one who makes it.

# %% [markdown]
# ### Exercise 4.1: NDCG of one list
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# Which list of $k$ items would have been the best possible one? Could it contain an item that your list does not?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Sort `all_relevances` downwards and cut it to `k`: the ideal. Write the DCG once, as a function of the relevances of a list: each divided by `np.log2(place + 1)`, summed. The places of a list of `n` are `np.arange(1, n + 1)`, and a list may be shorter than `k`. DCG of the first `k`, divided by that of the ideal; `np.nan` where the ideal is 0.
# </details>


# %% exercise="4.1"
def ndcg_at_k(relevances, k, all_relevances):
    """How good the first k of a list are, 0 to 1: its DCG over that of the ideal list.

    relevances [L]: 0 (not relevant) or more, in the order of the list, which may be shorter than k;
    all_relevances [M]: those of every relevant item, in the list or not, in any order -> a number.
    The gain is the relevance itself; nothing relevant -> nan.
    """

    ### BEGIN SOLUTION
    def dcg(values):
        return (values / np.log2(np.arange(1, len(values) + 1) + 1)).sum()

    ideal = dcg(np.sort(all_relevances)[::-1][:k])
    return dcg(relevances[:k]) / ideal if ideal > 0 else np.nan
    ### END SOLUTION


# %% check="4.1"
check("4.1", ndcg_at_k)


# %% [markdown]
# ### Precision and recall
#
# Without grades, relevant or not: **precision@k** is the share of the $k$ places that hold something relevant; **recall@k** is the share of the relevant items that stand among the first $k$. Precision divides by $k$, recall by the number of relevant items. By hand: the list $[7, 2, 9, 4]$, relevant $\{2, 4, 5\}$, $k = 2$: one hit, precision 1/2, recall 1/3.

# %% [markdown]
# ### Exercise 4.2: Precision and recall
# *easy · 6 minutes · 1 point*
#
# <details><summary>Hint 1: a question</summary>
#
# A list of 3 items, $k = 5$, 2 hits. How many of the 5 places are well used?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# The hits are the items that the first `k` of the list and `relevant` have in common, each counted once: `set(...) & set(...)`. Divide their number by `k`, and by the number of relevant items. Without any relevant item return `np.nan` twice, before you divide.
# </details>


# %% exercise="4.2"
def precision_and_recall(items, relevant, k):
    """Precision@k and recall@k of one list: items [L] best first, relevant [M] -> both, in this order.

    Precision divides by k, also when the list is shorter; recall by the number of relevant items.
    An item that stands in the list twice counts once. Nothing relevant -> (nan, nan).
    """
    ### BEGIN SOLUTION
    if len(relevant) == 0:
        return np.nan, np.nan
    n_hits = len(set(items[:k]) & set(relevant))
    return n_hits / k, n_hits / len(relevant)
    ### END SOLUTION


# %% check="4.2"
check("4.2", precision_and_recall)


# %% [markdown]
# ### Average precision
#
# Precision at the places of the hits, averaged, so that early hits count more:
#
# $$\text{AP@}k = \frac{1}{\min(|\text{relevant}|, k)} \sum_{r \le k,\ \text{hit at } r} \text{precision@}r$$
#
# By hand: hits at places 1 and 3, two relevant items, $k = 3$: $(1/1 + 2/3) / 2 = 0.833$. MAP is the mean over users. There are at least four conventions for what to divide by; more in a minute.

# %% [markdown]
# ### Exercise 4.3: Average precision
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# How many relevant items have come by place $r$? And at which places do you look at the precision at all?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `np.isin(items[:k], relevant)` says where the hits are. Their running sum (`np.cumsum`), divided by the places 1, 2, 3, …, is the precision at each place. Keep those at the hits, sum, divide by the smaller of `len(relevant)` and `k`. Nothing relevant: `np.nan`.
# </details>


# %% exercise="4.3"
def map_at_k(items, relevant, k):
    """Average precision of the first k of one list, 0 to 1: items [L] best first, relevant [M].

    The precisions at the places of the hits, summed, divided by min(number of relevant items, k).
    The list may be shorter than k; no item stands in it twice. Nothing relevant -> nan.
    """
    ### BEGIN SOLUTION
    if len(relevant) == 0:
        return np.nan
    hits = np.isin(items[:k], relevant)
    precisions = np.cumsum(hits) / np.arange(1, len(hits) + 1)
    return precisions[hits].sum() / min(len(relevant), k)
    ### END SOLUTION


# %% check="4.3"
check("4.3", map_at_k)


# %% [markdown]
# ### The same name, another number
#
# "MAP@10" in a paper or a library is not one thing. The package's functions next to four well-known libraries, recorded on small cases (means over users; "rankings@10" are full rankings of a small catalogue, cut at 10):

# %%
compared = pd.DataFrame(json.loads((results / "metrics_definitions.json").read_text())["rows"])
print(f"the same in {compared['agrees'].sum()} of {len(compared)} comparisons; the others:")
names = {"our_mean": "ours", "their_mean": "theirs"}
columns = ["metric", "library", "case", "our_mean", "their_mean", "why"]
others = compared.loc[~compared["agrees"], columns].rename(columns=names)
left = [{"selector": "th, td", "props": "text-align: left"}]
others.style.format(precision=3).hide(axis="index").set_table_styles(left)

# %% [markdown]
# **What do you see?** A colleague reports MAP 0.42, you get 0.15. What do you ask before you start debugging?

# %% [markdown] tags=["solution"]
# What is divided by; which users are averaged over (those with nothing relevant: 0, 1, or left out?); how ties are broken; whether the library ranks the candidates it is given, or all items. Most disagreements are not bugs but conventions that nobody wrote down. Our rule: nothing relevant gives `nan`, is left out of the mean, *and counted*.

# %% [markdown]
# ### All users at once
#
# A loop in Python goes through the users one by one; on arrays one operation does all of them, many times as fast. With one relevant item per user, as in our protocol, the ideal DCG is 1, and NDCG is $1 / \log_2(\text{place} + 1)$, or 0 for a miss. By hand: the list $[4, 2, 7, 0]$ and item 7: place 3, so $1 / \log_2 4 = 0.5$. `ranked` is [B, L], `positives` is [B].

# %% [markdown]
# ### Exercise 4.4: All users at once
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# `ranked` is [B, L], `positives` is [B]. Which shape must `positives` have for `==` to compare each row with its own item?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `ranked[:, :k] == positives[:, None]` is [B, k], with at most one True in each row. Divide it by `np.log2(place + 1)` of its columns, places from 1, and sum along the rows: a row without a hit gives 0 by itself. The lists may be shorter than `k`.
# </details>


# %% exercise="4.4"
def ndcg_of_users(ranked, positives, k):
    """NDCG@k of each user, who has one relevant item: ranked [B, L], positives [B] -> [B].

    ranked: each user's list, best first, filled up with -1 where it is shorter; no item stands in a
    list twice. 0 for a user whose item is not among the first k. All users at once, without a loop.
    """
    ### BEGIN SOLUTION
    hits = ranked[:, :k] == positives[:, None]  # [B, k]
    places = np.arange(1, hits.shape[1] + 1)
    return (hits / np.log2(places + 1)).sum(axis=1)
    ### END SOLUTION


# %% check="4.4"
check("4.4", ndcg_of_users)


# %% [markdown]
# Does the package's fast NDCG compute what the definition says? It is held against a slow version, written like the formula, on random lists of grades from 0 to 3. (The tests do that for every metric, with ties, repeats and nothing relevant.) The figure: digits of agreement.


# %%
def slow_ndcg(relevances, k, everything):
    """The definition, term by term."""
    dcg = sum(rel / np.log2(place + 1) for place, rel in enumerate(relevances[:k], start=1))
    best = sorted(everything, reverse=True)[:k]
    ideal = sum(rel / np.log2(place + 1) for place, rel in enumerate(best, start=1))
    return dcg / ideal if ideal else np.nan


rng = np.random.default_rng(SEED)
worst, worst_truncated = 0.0, 0.0
for _ in range(300 if FAST else 3000):
    everything = rng.integers(0, 4, 12)
    grades, k = rng.permutation(everything)[:8], int(rng.integers(1, 11))
    slow, ours = slow_ndcg(grades, k, everything), metrics.ndcg_at_k(grades, k, everything)
    truncated = slow_ndcg(grades, k, grades[:k])  # the common mistake
    worst = np.nanmax([worst, abs(slow - ours)])
    worst_truncated = np.nanmax([worst_truncated, abs(slow - truncated)])
digits = -np.log10(max(worst, 1e-14))  # what is smaller is rounding, another on each machine
claim("metrics-digits", digits, control=-np.log10(worst_truncated))

# %% [markdown]
# ## 2 The candidates
#
# Ten models from three labs, each trained by its recipe on the same rows, each as a table of scores [U, I]. That takes about a minute and a half; the tables are kept under `build/`, and made again when the seed, the data or the code has changed. (MRR is the mean of 1 / place of the hidden film, without a cut-off.)

# %%
FEW = {"epochs": 1} if FAST else {}
scores = {name: zoo.scores(name, ml, known, test, SEED, FAST) for name in zoo.MODELS}
models = {name: table.__getitem__ for name, table in scores.items()}  # users [B] -> scores [B, I]
board = evaluate.leaderboard(models, test_users, test_items, seen)  # 1+99 in expectation
table = pd.DataFrame({
    "HR@10": {name: one.mean("hit_rate") for name, one in board.items()},
    "NDCG@10": {name: one.mean("ndcg") for name, one in board.items()},
    "MRR": {name: one.mean("mrr") for name, one in board.items()},
})  # fmt: skip
table.sort_values("HR@10", ascending=False).style.format(precision=3)

# %%
fold_train, fold_test = splits.random_split(len(ml), seed=SEED)
rated, hidden = ml.take(fold_train), ml.take(fold_test)
mf = recipes.train_mf(rated, SEED, **FEW)
with torch.no_grad():
    predicted = mf(torch.tensor(hidden.users), torch.tensor(hidden.items)).numpy().clip(1, 5)
rmse = metrics.rmse(predicted, hidden.ratings)
always_mean = np.full(len(hidden), rated.ratings.mean())
claim("board-mf-rmse", rmse, control=metrics.rmse(always_mean, hidden.ratings))
hr = {name: one.mean("hit_rate") for name, one in board.items()}
claim("board-neumf-hr10", hr["NeuMF"], control=hr["Item-kNN"])
claim("board-two-tower-hr10", hr["Two-tower"], control=hr["Item-kNN"])

# %% [markdown]
# ### The best at stars, at recommending
#
# "MF (stars)" is Lab 1's matrix factorization: RMSE about .91, the best simple predictor of ratings. Sort the table by hit rate and look for it.
#
# **What do you see?** Why is a model that knows so well what you would *say* about a film so bad at knowing what you will *watch*?

# %% [markdown] tags=["solution"]
# It was trained on rated films only, and asked to predict stars *given that the film was rated*. It has never seen a film that somebody did not choose, so its lists hold the films with the highest averages (some twenty films fill three quarters of all places), whether or not this user is drawn to them. What people choose is mostly about being drawn to a film at all, and the stars say little about that. RMSE measures another task, and a good value there promises nothing here. (Many papers did not know that for a decade: [Cremonesi, Koren and Turrin, 2010](https://dl.acm.org/doi/10.1145/1864708.1864721).)

# %% [markdown]
# ## 3 Protocols: which question is asked?
#
# "HR@10" leaves open: *among which items?* and *which film is hidden?* Lab 2's protocol ranks among 99 random films and hides the last one. Others rank among 999, or among all; or hide a random film of each user. First, the arithmetic of the sampled figure: the positive is beaten by `n_higher` of the `n_others` other unseen films (no ties). Draw `n_neg` of them without replacement. The positive is in the top $k$ if at most $k - 1$ of those drawn are better, and the number of better ones is *hypergeometric*.

# %% [markdown]
# By hand: 4 other films, 2 of them better, draw 2, $k = 1$: a hit if none of the better ones is drawn: $\binom{2}{2} / \binom{4}{2} = 1/6$.

# %% [markdown]
# ### Exercise 4.5: What sampling would give
# *medium · 6 minutes · 1 point*
#
# <details><summary>Hint 1: a question</summary>
#
# The positive is at place $k$. How many of the negatives that were drawn are better?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `stats.hypergeom(n_others, n_higher, n_neg)` is the number of better items among `n_neg` that are drawn from `n_others`, of which `n_higher` are better. Its `.cdf(x)` is the probability of at most `x`.
# </details>


# %% exercise="4.5"
def expected_hit_rate(n_higher, n_others, n_neg, k):
    """The probability that the positive is in the top k among n_neg random negatives, exactly.

    The negatives are n_neg different ones of n_others items, of which n_higher have a higher score
    than the positive, and none the same. Four whole numbers -> 0 to 1.
    """
    ### BEGIN SOLUTION
    return stats.hypergeom(n_others, n_higher, n_neg).cdf(k - 1)
    ### END SOLUTION


# %% check="4.5"
check("4.5", expected_hit_rate)


# %% [markdown]
# ### The protocol explorer
#
# Six protocols, every model, three recorded seeds; users with at least 999 unseen films. Choose two protocols and compare the order.

# %%
recorded = pd.DataFrame(json.loads((results / "04_protocols.json").read_text())["runs"])
by_protocol = recorded.groupby(["split", "protocol", "model"])["hit_rate"].agg(["mean", "std"])
names = [f"{split}, {n}" for split in ("last", "random") for n in ("1+99", "1+999", "full")]
choose = [widgets.Dropdown(options=names, value=names[i], description="protocol") for i in (0, 5)]
shown = widgets.HTML()


def compare(_=None):
    """Two protocols side by side: HR@10, mean ± 2 sd over the recorded seeds, and the place."""
    columns = {}
    for one in choose:
        figures = by_protocol.loc[tuple(one.value.split(", "))].sort_values(
            "mean", ascending=False
        )
        columns[one.value] = [f"{n}: {m:.3f} ± {2 * s:.3f}" for n, m, s in figures.itertuples()]
    table = pd.DataFrame(columns, index=range(1, len(zoo.MODELS) + 1))
    shown.value = table.to_html(border=0, justify="left")


for one in choose:
    one.observe(compare, names="value")
compare()
widgets.VBox([widgets.HBox(choose), shown])

# %% [markdown]
# *last*: each user's last film is hidden; *random*: one of their films, drawn at random, so that the model knows films that the user chose **later**. The same for every combination at once:

# %%
places = (
    by_protocol["mean"]
    .unstack("model")
    .rank(axis=1, ascending=False)
    .loc[[tuple(name.split(", ")) for name in names]]
)
ax = plots.new_axes("", "place by HR@10")
ax.figure.set_size_inches(8, 4)
for name in places:
    ax.plot(range(6), places[name], "o-", color=plots.MODEL_COLOURS[name])
    ax.annotate(
        name, (5, places[name].iloc[-1]), xytext=(8, 0), textcoords="offset points", va="center"
    )
ax.set(ylim=(10.5, 0.5), yticks=range(1, 11), xlim=(-0.2, 6.5))
ax.set_xticks(range(6), [name.replace(", ", "\n") for name in names])
plt.show()

# %% [markdown]
# *Place of each model under six protocols, best on top (mean of three recorded seeds). Lines that cross are pairs of models whose order depends on the protocol.*
#
# **What do you see?** Who gains, who loses from left to right? Which of the six asks the question that a service has?

# %% [markdown] tags=["solution"]
# NeuMF and GMF lead the models without history among 99 and fall behind EASE and iALS among all: against 99 random films it is enough to get the broad taste right, against all of them the last bit of precision counts. Two-tower without logQ falls below popularity. The random split hardly changes the order here, but it lifts the figures, EASE's among 99 from .66 to .83, twice as much as the best model is ahead of EASE: mostly because a random film is easier to guess than the last one (popularity, which knows nobody's taste, gains nearly as much), partly because the models know *later* choices (section 5 tells the two apart). A figure from one split says nothing next to a figure from the other. A service ranks *all* films for *the next* choice: "last, full" is its question. (Neighbouring places whose figures overlap may swap with another seed: see the explorer.)

# %% [markdown]
# One pair, looked at closely: **popularity** and the **two-tower model without logQ correction** (Lab 3). Who is better?

# %%
pair = ("Two-tower, no logQ", "Popularity")
full = evaluate.leaderboard(models, test_users, test_items, seen, n_neg=None)
gap = {}
for where, result in {"among 99": board, "among all": full}.items():
    difference = result[pair[0]].hit_rate - result[pair[1]].hit_rate
    gap[where] = difference.mean()
    low, high = evaluate.bootstrap_interval(difference, seed=SEED)
    print(f"{where:10}: {pair[0]} minus {pair[1]}: {gap[where]:+.3f} ({low:+.3f} to {high:+.3f})")
sampled, all_films = gap.values()
# Both signs must hold; the control has the sampled figure in both places.
claim("order-flips", min(sampled, -all_films), control=min(sampled, -sampled))

# %% [markdown]
# **What do you see?** The intervals (95 %, over users; how they are made comes next) lie on opposite sides of zero, the second one barely. How can the same two models be so far apart in both directions?

# %% [markdown] tags=["solution"]
# The model without logQ has learned tastes but pushes popular films down. Among 99 random films, most are obscure (four in five have fewer than a hundred viewers) and not to the user's taste: knowing the taste is enough. Among all 1,600, a hundred films of the right taste compete, obscure ones first, and the popular film that was really chosen drowns. Popularity is the other way round. Whoever evaluates with 99 negatives would have shipped the wrong one of these two.

# %% [markdown]
# ## 4 Is the difference real?
#
# Two models, 943 users, HR@10 of .658 and .671. Would another 943 users give the same order? Two kinds of chance are in such a figure: the **seed** of the training (which is why recorded figures are means over several), and **which users** happened to be in the data. For the second there is the **bootstrap**: draw as many *users* as there are, *with* replacement, average again, and do that two thousand times. The middle 95 % of those means is an interval.
#
# Users, not interactions: the interactions of one user belong together, and somebody with 700 of them would look like 700 independent opinions.

# %% [markdown]
# ### Exercise 4.6: How sure is a mean?
# *medium · 10 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# The test has 300 rows of 60 users. How many figures do you draw from, and how many each time?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# First one figure per user: `np.unique(users, return_inverse=True)` numbers the users from 0, and `np.bincount(index, values) / np.bincount(index)` is the mean of each. `rng.choice(of_users, (n_resamples, n_users))` draws all resamples at once, one in each row. The mean of each row, then `np.percentile` at 2.5 and 97.5.
# </details>


# %% exercise="4.6"
def bootstrap_interval(users, values, n_resamples, rng):
    """95 % interval of the mean over users, by resampling users: users, values [R] -> (low, high).

    A row is one test case of a user; user numbers come in any order and may have gaps. Each user's
    figure is the mean of their rows. A resample draws as many users as there are, with replacement;
    low and high are the 2.5 % and 97.5 % percentiles of the means of n_resamples resamples. All
    randomness comes from rng (a numpy Generator).
    """
    ### BEGIN SOLUTION
    _, index = np.unique(users, return_inverse=True)
    of_users = np.bincount(index, values) / np.bincount(index)
    drawn = rng.choice(of_users, (n_resamples, len(of_users)))
    low, high = np.percentile(drawn.mean(axis=1), [2.5, 97.5])
    return low, high
    ### END SOLUTION


# %% check="4.6"
check("4.6", bootstrap_interval)


# %%
over_users = {
    name: evaluate.bootstrap_interval(one.hit_rate, seed=SEED) for name, one in board.items()
}
order = sorted(hr, key=hr.get)
ax = plots.new_axes("HR@10, 1+99 in expectation; 95 % over users (n = 943)", "")
for row, name in enumerate(order):
    ax.plot(over_users[name], [row, row], "-", color=plots.MODEL_COLOURS[name], linewidth=2)
    ax.plot(hr[name], row, "o", color=plots.MODEL_COLOURS[name])
ax.set_yticks(range(len(order)), order)
ax.grid(axis="x", alpha=0.3)
plt.show()

# %% [markdown]
# *Hit rate of each model with the 95 % bootstrap interval over users: the intervals are about six hundredths wide, and those of the five models behind the leader overlap.*

# %% [markdown]
# ### Paired: the same users met both
#
# Overlapping intervals do *not* mean "no difference". Most of their width is users being easy or hard, and that is the same for both models. So look at the **difference per user**. If the models were equally good, each difference could as well have had the other sign: flip signs at random, many times, and count how often the mean comes out as far from 0 as the one observed. That share is the **p-value** of the randomisation test.
#
# By hand: differences $(0.2, 0.1)$, mean 0.15. Four sign patterns: means $0.15, 0.05, -0.05, -0.15$. Two of four are as far out: p = 0.5. (With random flips, the observed signs count as one more pattern, so that p is never 0: (1 + count) / (1 + flips).)

# %% [markdown]
# ### Exercise 4.7: Is the difference real?
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# Which two numbers may a difference be multiplied by? And is a mean that is far below 0 as surprising as one that is far above?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `rng.choice([-1, 1], (n_flips, n_users))` times `a - b`, the mean of each row: `n_flips` means. Count those whose absolute value is at least the absolute value of `(a - b).mean()`. Add 1 above and below the line.
# </details>


# %% exercise="4.7"
def paired_test(a, b, n_flips, rng):
    """p of the difference of two models by random signs, two-sided: a, b [B] -> above 0, up to 1.

    a and b are figures of the same users. In each of n_flips, every user's difference keeps or
    changes its sign, with probability 1/2 each. count: how many of the means are at least as far
    from 0 as the observed one. p = (1 + count) / (1 + n_flips). All randomness comes from rng (a
    numpy Generator).
    """
    ### BEGIN SOLUTION
    differences = a - b
    signs = rng.choice([-1, 1], (n_flips, len(differences)))
    means = (signs * differences).mean(axis=1)
    count = (abs(means) >= abs(differences.mean())).sum()
    return (1 + count) / (1 + n_flips)
    ### END SOLUTION


# %% check="4.7"
check("4.7", paired_test)


# %% [markdown]
# Ten models make 45 pairs. At 5 % each, two or three would come out "significant" by chance. **Holm's** correction raises the p-values so that a single false alarm among all pairs has a chance of 5 %.

# %%
pairs = [(a, b) for i, a in enumerate(order) for b in order[:i]]
tested = [evaluate.paired_test(board[a].ndcg, board[b].ndcg, seed=SEED) for a, b in pairs]
adjusted = evaluate.holm([p for _, p in tested])
grid = pd.DataFrame(np.nan, order, order)
for (a, b), p in zip(pairs, adjusted, strict=True):
    grid.loc[a, b] = p
ax = plots.new_axes("", "", "corrected p-value of each pair")
ax.figure.set_size_inches(8, 5)
ax.imshow(np.where(grid.notna(), grid < 0.05, np.nan), cmap="Blues", vmin=-0.4, vmax=2)
for row, column in zip(*np.nonzero(grid.notna()), strict=True):
    p = grid.iloc[row, column]
    ax.text(
        column,
        row,
        f"{p:.3f}".lstrip("0"),
        ha="center",
        va="center",
        fontsize=8,
    )
ax.set_xticks(range(10), order, rotation=40, ha="right")
ax.set_yticks(range(10), order)
plt.show()

# %% [markdown]
# *Corrected p-values of all pairs of models, on NDCG@10 (1+99); dark cells are below .05 (.004 is the smallest that ten thousand flips can give, times 45 pairs). Among the five models behind the leader hardly any difference is beyond doubt.*
#
# **What do you see?** Which differences would you print in a paper? What does the table *not* say about pairs with a large p?

# %% [markdown] tags=["solution"]
# Those of the leader against everybody, and of the five behind it against those further down, each with its size and interval; within the five at most iALS against EASE. A small p says: these users would hardly have looked so by chance. A large p does not say that the models are equal, only that 943 users cannot tell. And no p-value sees the other ways to be wrong: the wrong protocol, an untuned baseline, a leak. The next section is about those.

# %% [markdown]
# ## 5 The leakage lab
#
# Four colleagues report fine figures. Each has a leak. Before you see their models, learn to find leaks *in the data that went in*: afterwards, in the figures, it is too late.

# %% [markdown]
# ### Exercise 4.8: Find the planted leaks
# *hard · 14 minutes · 3 points*
#
# You are handed the rows of a pipeline, and told that its hit rate is wonderful. Each user has at most one test row; the item in it is to be found. Four things may be wrong, none, some or all of them:
#
# | name | what happened |
# |---|---|
# | `shared_pairs` | the user of a test row has its item in training too, at whatever time |
# | `future_in_training` | a training row is later than the test row *of the same user* |
# | `spared_negatives` | a test pair is never drawn as a negative, although it is not in training |
# | `features_from_held_out` | `popularity` is not a count of the training rows alone |
#
# Some things look suspicious and are not: other users' rows that are later, a row of the very moment of the test, an item that others have watched, a film that is never drawn and that nobody asks for.
#
# <details><summary>Hint 1: a question</summary>
#
# Three of the four compare the test rows with something. Which table of users × items would answer two of them in one line each?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `users, items, times = train.T` and `test_users, test_items, test_times = test.T`. `trained = np.zeros_like(excluded)`, then `trained[users, items] = True`. Look both tables up at the test pairs: `trained[...]` for the first leak, `excluded & ~trained` for the third. For the second, an array with the test time of each user, `np.inf` for those without: `np.full(len(excluded), np.inf)`. For the fourth, `np.bincount(items, minlength=len(popularity))`. Use `.any()`: one row is enough. Start with an empty set, and `add` the name of what you find.
# </details>


# %% exercise="4.8"
def find_leaks(train, test, excluded, popularity):
    """The names of the leaks in a pipeline, as a set; an empty one when it is clean.

    train [R, 3], test [T, 3]: rows of user, item, time, in any order. excluded [U, I] bool: the
    pairs that the sampler never draws as negatives. popularity [I]: what the model is told about
    the items.
    Names: "shared_pairs", "future_in_training", "spared_negatives", "features_from_held_out".
    """
    ### BEGIN SOLUTION
    users, items, times = train.T
    test_users, test_items, test_times = test.T
    trained = np.zeros_like(excluded)
    trained[users, items] = True
    asked_at = np.full(len(excluded), np.inf)
    asked_at[test_users] = test_times
    leaks = set()
    if trained[test_users, test_items].any():
        leaks.add("shared_pairs")
    if (times > asked_at[users]).any():
        leaks.add("future_in_training")
    if (excluded & ~trained)[test_users, test_items].any():
        leaks.add("spared_negatives")
    if (popularity != np.bincount(items, minlength=len(popularity))).any():
        leaks.add("features_from_held_out")
    return leaks
    ### END SOLUTION


# %% check="4.8"
check("4.8", find_leaks)


# %% [markdown]
# ### Four pipelines, and a clean one
#
# Each is described by what went into it.

# %%
everything = sampling.interactions(ml.users, ml.items, ml.n_users, ml.n_items)
random_train, random_validation, random_test = splits.leave_random_out(ml.users, seed=SEED)
random_known = np.sort(np.concatenate([random_train, random_validation]))
random_seen = sampling.interactions(
    ml.users[random_known], ml.items[random_known], ml.n_users, ml.n_items
)
past = sampling.earlier_items(ml.users, ml.items, ml.timestamps)  # [R, 10], strictly earlier
up_to_now = np.concatenate([ml.items[:, None], past[:, :9]], axis=1)  # [R, 10], a colleague's

# %%
pipelines = {  # rows trained on, rows tested on, what is never a negative, the history of each row
    "clean": (known, test, seen, past),
    "A": (np.arange(len(ml)), test, everything, past),
    "B": (known, test, everything, past),
    "C": (known, test, seen, up_to_now),
    "D": (random_known, random_test, random_seen, past),
}


def inspect(trained, tested, excluded, history):
    """The four finders on one pipeline."""
    pairs = [ml.users[trained], ml.items[trained], ml.users[tested], ml.items[tested]]
    times = [ml.users[trained], ml.timestamps[trained], ml.users[tested], ml.timestamps[tested]]
    table = sampling.interactions(pairs[0], pairs[1], ml.n_users, ml.n_items)
    return [
        diagnostics.shared_pairs(*pairs),
        diagnostics.future_in_training(*times),
        diagnostics.spared_negatives(excluded, table, *pairs[2:]),
        diagnostics.features_from_held_out(history, past),
    ]


# %%
findings = {name: inspect(*pipeline) for name, pipeline in pipelines.items()}
for name, found in findings.items():
    print(f"{name:5}", "; ".join(one.what for one in found if one.found) or "no alarm")
alarms = pd.DataFrame(
    {n: {one.name: one.found for one in found} for n, found in findings.items()}
)
planted = pd.DataFrame(False, alarms.index, alarms.columns)
for name, leak in zip("ABCD", alarms.index[[0, 2, 3, 1]], strict=True):
    planted.loc[leak, name] = True
right = (alarms == planted).to_numpy().mean()
claim("leaks-found", right, control=(~planted).to_numpy().mean())  # control: never an alarm
alarms.map(lambda found: "LEAK" if found else "").T

# %% [markdown]
# ### What each is worth
#
# The same models, honest and with the leak. For D, honest means: the same hidden films, and of each user no row that is later.


# %%
def hr_of(score_all, items=test_items, users=test_users, had=seen):
    """HR@10, 1+99 in expectation."""
    return evaluate.leave_one_out(score_all, users, items, had).mean("hit_rate")


at_random = (ml.items[random_test], ml.users[random_test], random_seen)
with_leak = {
    "A: EASE, test pairs trained on": hr_of(baselines.fit_ease(everything, reg=500).score_all),
    "B: GMF, test items no negatives": hr_of(
        recipes.train_gmf(seen, SEED, excluded=everything, **FEW).score_all
    ),
    "C: history with the film itself": hr_of(
        zoo.two_tower_scorer(ml, known, test, up_to_now, SEED, **FEW)
    ),
    "D: EASE, later choices known": hr_of(
        baselines.fit_ease(random_seen, reg=500).score_all, *at_random
    ),
}

# %%
asked_at = np.full(ml.n_users, np.inf)
asked_at[ml.users[random_test]] = ml.timestamps[random_test]
rows = random_known[ml.timestamps[random_known] <= asked_at[ml.users[random_known]]]
no_later = sampling.interactions(ml.users[rows], ml.items[rows], ml.n_users, ml.n_items)
hr_no_later = hr_of(baselines.fit_ease(no_later, reg=500).score_all, *at_random)
honest = [hr["EASE"], hr["GMF"], hr["Two-tower + history"], hr_no_later]
price = {
    name: {"honest": before, "with the leak": after}
    for (name, after), before in zip(with_leak.items(), honest, strict=True)
}
plots.grouped_bars(price, "HR@10, 1+99 in expectation")
plt.show()
claim("test-pairs-leak-hr10", with_leak["A: EASE, test pairs trained on"], control=hr["EASE"])

# %% [markdown]
# *Hit rate of four models without and with a leak. Training on the test pairs lifts EASE above .9; a history that contains the film itself makes the two-tower model nearly perfect; to know later choices lifts EASE by about four hundredths; sparing the test items as negatives gives a small, believable gain.*
#
# **What do you see?** Which of the four would you have noticed from the figure alone? Which is the most dangerous?

# %% [markdown] tags=["solution"]
# A and C are too good to be true: no honest model here is more than a tenth ahead of EASE, and a hit rate of .9 or more should make you look for the leak before you tell anybody. D is common and half accepted: a random split asks "fill in the gaps" rather than "what next", and is not what a service does. (Its honest figure is far above the .66 of the last film, since a random film is easier to guess: two figures from different hidden films do not compare.) B is the dangerous one. Its gain is of the size of a publishable improvement, it is invisible in the training curve, and nobody doubts a plausible figure. It must be found in the *inputs*.

# %% [markdown]
# ## 6 What do they recommend, and how much of it?
#
# A hit rate says nothing about *what else* stands in the lists. Four figures that do (top ten of every user):
#
# - **coverage**: the share of the catalogue that is recommended to anybody;
# - **Gini**: how unequally the recommendations are spread over films, 0 (evenly) to 1;
# - **novelty**: $-\log_2$ of the share of users who know a film, mean over the list, in bits;
# - **popularity lift**: how much more popular the lists are than what the same users chose before.
#
# In the table, darker is higher, not better.

# %%
lists = {
    name: evaluate.recommend(table.__getitem__, test_users, seen)
    for name, table in scores.items()
}
counts = np.asarray(seen.sum(axis=0)).ravel()
beyond = pd.DataFrame({
    name: {
        "coverage": metrics.catalogue_coverage(items, ml.n_items),
        "Gini": metrics.gini(np.bincount(items.ravel(), minlength=ml.n_items)),
        "novelty, bits": metrics.novelty(items, counts, ml.n_users).mean(),
        "popularity lift": metrics.popularity_lift(items, counts, seen[test_users]),
    }
    for name, items in lists.items()
}).T  # fmt: skip
beyond.style.format(precision=2).background_gradient(cmap="Blues")

# %%
by_popularity = np.argsort(-counts)
ax = plots.new_axes(
    "films, most popular first (cumulative share)", "share of all recommendations"
)
share = np.arange(1, ml.n_items + 1) / ml.n_items
for style, name in zip(
    ("-", "--", "-.", ":"), ("Popularity", "EASE", "NeuMF", "Two-tower"), strict=True
):
    recommended = np.bincount(lists[name].ravel(), minlength=ml.n_items)[by_popularity]
    reached, colour = recommended.cumsum() / recommended.sum(), plots.MODEL_COLOURS[name]
    ax.plot(share, reached, style, color=colour, label=name)
ax.plot(
    share,
    counts[by_popularity].cumsum() / counts.sum(),
    color="black",
    linewidth=1,
    label="what users chose",
)
ax.set(xlim=(0, 0.6))
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# *How the recommendations are spread over the catalogue, most popular films first. All four models recommend the head of the catalogue more than users themselves choose it (thin black line), popularity most of all.*
#
# **What do you see?** Which model is closest to what people chose? Why are all four on the same side of the black line?

# %% [markdown] tags=["solution"]
# The two-tower model, whose loss takes popularity out again. A model that is unsure falls back on popularity: the popular film is the safe bet for a hit. So nearly all lists are more popular than the choices they were learned from, and if the next model is trained on what this one showed, the head grows again. The exception is the two-tower model without logQ: it recommends most of the catalogue and many films that hardly anybody chose, with much "novelty" and few hits. Novelty and coverage alone are worth nothing. (The star-model, MF, shows everybody much the same acclaimed films.)

# %% [markdown]
# ## 7 Who is served badly?
#
# A mean over users hides who is behind it.

# %%
n_known = np.diff(seen.indptr)[test_users]
activity = pd.qcut(
    n_known, 4, labels=["25 % least active", "2nd quarter", "3rd quarter", "25 % most active"]
)
age = pd.cut(
    ml.ages[test_users],
    [0, 24, 34, 49, 120],
    labels=["to 24", "25 to 34", "35 to 49", "50 and older"],
)
segments = {
    "activity": activity,
    "age": age,
    "gender": pd.Categorical(ml.genders[test_users]),
}

# %%
fig, axes = plt.subplots(1, 3, figsize=(11, 3.6), layout="constrained", sharex=True)
for ax, (what, labels) in zip(axes, segments.items(), strict=True):
    plots.new_axes("HR@10, 1+99", "", what, ax)
    for shift, name, marker in ((-0.12, "Popularity", "s"), (0.12, "NeuMF", "o")):
        found = evaluate.by_segment(board[name].hit_rate, np.asarray(labels), seed=SEED)
        colour = plots.MODEL_COLOURS[name]
        for row, label in enumerate(labels.categories):
            part = found[label]
            ax.plot((part.low, part.high), (row + shift,) * 2, color=colour)
            in_legend = name if row == 0 else None
            ax.plot(part.mean, row + shift, marker, color=colour, label=in_legend)
    sizes = [f"{label}\n(n = {found[label].n})" for label in labels.categories]
    ax.set_yticks(range(len(sizes)), sizes)
axes[2].legend(frameon=False, loc="center left")
plt.show()

# %% [markdown]
# *Hit rate of popularity and NeuMF by activity, age and gender of the users, with 95 % bootstrap intervals.*
#
# **What do you see?** Which group is served worst, by which model? Which of the gaps could be chance? (And: is a most active user *harder*, or have they just seen the easy films already?)

# %% [markdown] tags=["solution"]
# Activity is the one gap beyond doubt: for the most active quarter NeuMF's hit rate is about half of that for the least active. Not because the model knows them badly, but because they have seen the easy films: what is left for them to choose is far down the tail. (Popularity drops much less, since it had less to lose.) Between men and women no difference is visible, and between the youngest and the oldest the gap is about a tenth, but with 125 users of 50 and older, and six pairs of age groups to choose from, these data do not settle it. A group that is too small to measure is a finding too.

# %% [markdown]
# ## 8 Diversity: not ten films of one kind
#
# A list of ten space operas may have a fine NDCG and still be a poor evening. **Intra-list diversity** is the mean of $1 - \text{similarity}$ over all pairs of different films in a list; similarity here is the cosine of the genres. By hand: three films with similarities 1 (first and second), 0 and 0: distances 0, 1, 1, mean 2/3. A film is not paired with itself.

# %% [markdown]
# ### Exercise 4.9: How different are the items of a list?
# *easy · 5 minutes · 1 point*
#
# <details><summary>Hint 1: a question</summary>
#
# How similar is an item to itself, and does a reader see that pair?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `similarity[np.ix_(items, items)]` is [k, k]. `np.triu_indices(k, k=1)` are the places above its diagonal: each pair once, and no item with itself. The mean of 1 minus the similarities there; `np.nan` for a list of one.
# </details>


# %% exercise="4.9"
def intra_list_diversity(items, similarity):
    """How different the items of a list are: items [k], similarity [I, I] -> a number.

    The mean of 1 - similarity over all pairs of two different places of the list; similarity is
    symmetric, and 1 for an item with itself. A single item -> nan.
    """
    ### BEGIN SOLUTION
    if len(items) < 2:
        return np.nan
    of_list = similarity[np.ix_(items, items)]  # [k, k]
    return (1 - of_list[np.triu_indices(len(items), k=1)]).mean()
    ### END SOLUTION


# %% check="4.9"
check("4.9", intra_list_diversity)


# %% [markdown]
# ### MMR: relevant, and unlike what is there already
#
# **Maximal marginal relevance** builds the list one by one. The next film is the one with the highest
#
# $$\lambda \cdot \text{score}(i) - (1 - \lambda) \cdot \max_{j \in \text{chosen}} \text{similarity}(i, j)$$
#
# With $\lambda = 1$ it is the ranking itself. By hand: scores $(1, 0.9, 0.5)$; films 0 and 1 are alike (similarity 1), film 2 like neither (0). $\lambda = 0.5$: first film 0. Then film 1 has $0.45 - 0.5 = -0.05$ and film 2 $0.25 - 0 = 0.25$: film 2 is next. (Scores are brought to 0 to 1 first, so that they can be weighed against similarities.)

# %% [markdown]
# ### Exercise 4.10: Maximal marginal relevance
# *hard · 12 minutes · 3 points*
#
# <details><summary>Hint 1: a question</summary>
#
# Nothing is chosen yet. What is the largest similarity to nothing? And what keeps a chosen item from being chosen again?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Keep `nearest`, [C], all 0 at the start: each candidate's similarity to the most similar of those chosen. `k` times: compute the values, set those of the chosen ones to `-np.inf`, take `argmax`, append it, and raise `nearest` to `similarity[best]` where that is larger (`np.maximum`).
# </details>


# %% exercise="4.10"
def mmr(scores, similarity, k, lambda_):
    """k of C candidates by maximal marginal relevance: scores [C], similarity [C, C] -> places [k].

    Places are numbers of candidates from 0, in the order in which they are chosen; scores and
    similarities are 0 to 1. As long as nothing is chosen, the similarity counts as 0.
    """
    ### BEGIN SOLUTION
    chosen, nearest = [], np.zeros(len(scores))
    for _ in range(k):
        values = lambda_ * scores - (1 - lambda_) * nearest
        values[chosen] = -np.inf
        best = int(values.argmax())
        chosen.append(best)
        nearest = np.maximum(nearest, similarity[best])
    return chosen
    ### END SOLUTION


# %% check="4.10"
check("4.10", mmr)


# %%
similarity = metrics.cosine_similarity(ml.genres)  # [I, I]


def diversify(table, users, had, lambda_, n=100):
    """MMR over the n best unseen films of each user: scores [U, I] -> items [B, 10]."""
    items = evaluate.recommend(table.__getitem__, users, had, k=n)
    best = rerank.to_unit(np.take_along_axis(table[users], items, axis=1))  # 0 to 1
    alike = similarity[items[:, :, None], items[:, None, :]]  # [B, n, n]
    return np.take_along_axis(items, rerank.mmr(best, alike, 10, lambda_), axis=1)


# %%
user = 11
slider = widgets.FloatSlider(value=0.8, min=0, max=1, step=0.1, description="lambda")
shown = widgets.HTML()


def show(_=None):
    """The list of one user as the slider stands."""
    items = diversify(scores["Two-tower"], np.array([user]), seen, slider.value)[0]
    kinds = [", ".join(np.array(ml.genre_names)[ml.genres[item]]) for item in items]
    diversity = metrics.intra_list_diversity(items, similarity)
    table = pd.DataFrame({"film": ml.titles[items], "genres": kinds}, index=range(1, 11))
    html = table.to_html(border=0, justify="left")
    shown.value = html + f"<p>intra-list diversity {diversity:.2f}</p>"


slider.observe(show, names="value")
show()
widgets.VBox([slider, shown])

# %% [markdown]
# ### What does diversity cost?
#
# With one hidden film per user a list is a hit or not, too coarse for small changes. So here a random fifth of all ratings is hidden, some twenty films per user; NDCG@10 among all unseen films; three such splits, a two-tower model trained on each.

# %%
LAMBDAS = (1.0, 0.9, 0.82, 0.75, 0.7, 0.6, 0.5)
RECOMMENDED = 0.82
curves = []
for seed in range(3 * SEED, 3 * SEED + (1 if FAST else 3)):
    kept, hidden_rows = splits.random_split(len(ml), seed=seed)
    had = sampling.interactions(ml.users[kept], ml.items[kept], ml.n_users, ml.n_items)
    liked = sampling.interactions(
        ml.users[hidden_rows], ml.items[hidden_rows], ml.n_users, ml.n_items
    )
    table = zoo.scores("Two-tower", ml, kept, hidden_rows[:0], seed, FAST)
    users = np.flatnonzero(np.diff(liked.indptr))
    for lambda_ in LAMBDAS:
        items = diversify(table, users, had, lambda_)
        found = metrics.relevances_of(items, liked[users])
        ndcg = metrics.mean_over_users(metrics.ndcg_at_k(found, 10, liked[users])).mean
        diversity = metrics.intra_list_diversity(items, similarity).mean()
        curves.append({"lambda": lambda_, "NDCG@10": ndcg, "diversity": diversity})
curve = pd.DataFrame(curves).groupby("lambda").mean().sort_index(ascending=False)
change = curve / curve.loc[1.0] - 1
change.style.format("{:+.1%}").format_index("{:g}")

# %%
ax = plots.new_axes("intra-list diversity (genres)", "NDCG@10, full ranking")
ax.plot(curve["diversity"], curve["NDCG@10"], "o-", color=plots.MODEL_COLOURS["Two-tower"])
for lambda_, row in curve.iterrows():
    ax.annotate(
        f"{lambda_:g}",
        (row["diversity"], row["NDCG@10"]),
        xytext=(4, 5),
        textcoords="offset points",
    )
ax.plot(
    *curve.loc[RECOMMENDED, ["diversity", "NDCG@10"]],
    "*",
    color="#D55E00",
    markersize=14,
    label="recommended",
)
ax.margins(0.12)
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# *NDCG@10 against diversity, the values of lambda written at the points: at first the curve is nearly flat, diversity costs almost nothing; then it bends down more and more. (The axis does not start at 0.)*

# %%
plain_diversity = curve.loc[1.0, "diversity"]
diversity_gain = change.loc[RECOMMENDED, "diversity"]
ndcg_cost = -change.loc[RECOMMENDED, "NDCG@10"]
claim("mmr-diversity-gain", diversity_gain, control=change.loc[1.0, "diversity"])
claim("mmr-ndcg-cost", ndcg_cost, control=-change.loc[0.5, "NDCG@10"])

# %% [markdown]
# **What do you see?** Where would you stop, and who should decide that?

# %% [markdown] tags=["solution"]
# The first steps are nearly free: many films in the top hundred have almost the same score, and it does not matter for accuracy which of them are shown. At the recommended lambda diversity is up by about a twelfth while NDCG loses about a hundredth of its value at most. Beyond that each gain costs more. How much variety is worth, NDCG cannot say, since it was computed from what people chose without it; that takes an experiment, or an editor.

# %% [markdown]
# ### Calibration: in proportion
#
# Diversity is not always what a person wants. Somebody who watches 80 % thrillers and 20 % comedies should get about that. **Calibration** compares the genres of the list with those of the history ($p$, `history_shares`; $q$, `list_shares`), by the Kullback-Leibler divergence
#
# $$\sum_g p_g \log \frac{p_g}{\tilde q_g}, \qquad \tilde q_g = (1 - \alpha)\, q_g + \alpha\, p_g$$
#
# 0 when both are the same. The mixture with a little $\alpha = 0.01$ keeps it finite where the list lacks a genre. By hand: $p = (0.5, 0.5)$, $q = (1, 0)$, $\alpha = 0.01$: $\tilde q = (0.995, 0.005)$; $0.5 \log(0.5/0.995) + 0.5 \log(0.5/0.005) = -0.344 + 2.303 = 1.959$.

# %% [markdown]
# ### Exercise 4.11: Like its reader?
# *medium · 6 minutes · 1 point*
#
# <details><summary>Hint 1: a question</summary>
#
# What does numpy say to `0 * np.log(0 / 0)`, and what should such a genre add?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Mix first: `q = (1 - alpha) * list_shares + alpha * history_shares`. Then keep only the genres with `history_shares > 0`, in both, and sum p times the natural logarithm of p / q.
# </details>


# %% exercise="4.11"
def calibration(history_shares, list_shares, alpha):
    """How far the genres of a list are from those of a history, 0 (just like it) or more, in nats.

    history_shares, list_shares [G], each adding up to 1 -> the sum of p log(p / q), where p are the
    shares of the history and q those of the list, mixed with the history: 1 - alpha of the one and
    alpha of the other. Natural logarithm; a genre with p = 0 adds 0.
    """
    ### BEGIN SOLUTION
    mixed = (1 - alpha) * list_shares + alpha * history_shares
    there = history_shares > 0
    p, q = history_shares[there], mixed[there]
    return (p * np.log(p / q)).sum()
    ### END SOLUTION


# %% check="4.11"
check("4.11", calibration)


# %%
history_shares = metrics.genre_shares(seen[test_users], ml.genres)
off = {
    name: metrics.mean_over_users(
        metrics.calibration(history_shares, metrics.genre_shares(items, ml.genres))
    ).mean
    for name, items in lists.items()
}
plots.bars(
    dict(sorted(off.items(), key=lambda pair: pair[1])),
    "miscalibration by genre, nats (0 = in proportion)",
    2,
)
plt.show()

# %% [markdown]
# *Mean divergence of the genres of the top ten from those of the user's history, by model; shorter is better calibrated.*
#
# **What do you see?** The model with the highest hit rate is among the worse ones here. What does it look at that the others do not?

# %% [markdown] tags=["solution"]
# The last ten films: it follows the mood of the moment, which has fewer genres than a whole history. EASE and iALS learn from all films of a user alike and come closest to the proportions. Whether a list should look like the past or like the mood is a decision, not a measurement.

# %% [markdown]
# ## 9 One person
#
# Averages are made of people. Look at one for whom the model failed.

# %%
name = "Two-tower + history"
table = scores[name][test_users]
place = (table > np.take_along_axis(table, test_items[:, None], axis=1)).sum(axis=1)
user = int(test_users[np.argsort(-place)[5]])  # among the worst misses
row = int(np.flatnonzero(test_users == user)[0])
before = known[ml.users[known] == user]
latest = before[np.argsort(ml.timestamps[before], kind="stable")][::-1][:5]
print(f"user {user}, {ml.ages[user]} years, {ml.occupations[user]}, {len(before)} films before")
print("latest:  ", "; ".join(ml.titles[ml.items[latest]]))
print(
    "hidden:  ", ml.titles[test_items[row]], f"(chosen by {counts[test_items[row]]:.0f} others)"
)
top = lists[name][row]
pd.DataFrame(
    {"recommended": ml.titles[top], "chosen by": counts[top].astype(int)}, index=range(1, 11)
)

# %% [markdown]
# **What do you see?** Is the list *bad*? What would you have recommended to this person? Change the 5 in the line that begins with `user =` and look at others.

# %% [markdown] tags=["solution"]
# The worst misses look like this one: a sensible list, and a choice that could hardly have been foreseen, of a film that few others chose. Offline metrics count that as a failure although the person might have liked the list. They measure agreement with what was chosen *without* our recommendations; only an experiment with users shows what recommendations change.

# %% [markdown]
# ## 10 The leaderboard, and a model card
#
# Everything in one table. No single column decides.

# %%
final = pd.DataFrame({
    "HR@10, 1+99": hr,
    "HR@10, full": {name: one.mean("hit_rate") for name, one in full.items()},
    "NDCG@10, full": {name: one.mean("ndcg") for name, one in full.items()},
}).join(beyond[["coverage", "novelty, bits"]])  # fmt: skip
final["miscalibration"] = off
final["diversity"] = {
    name: metrics.mean_over_users(metrics.intra_list_diversity(items, similarity)).mean
    for name, items in lists.items()
}
final.sort_values("NDCG@10, full", ascending=False).style.format(precision=3).background_gradient(
    cmap="Blues"
)

# %% [markdown]
# A **model card** says in one page what a model is for, how good it is, for whom it is worse, and what has been checked. This one is written from the figures of this session.

# %%
card_of = "Two-tower + history"
low, high = over_users[card_of]
by_activity = evaluate.by_segment(board[card_of].hit_rate, np.asarray(activity), seed=SEED)
worst_label, worst = min(by_activity.items(), key=lambda pair: pair[1].mean)
lift = beyond.loc[card_of, "popularity lift"]
card = f"""
### Model card: {card_of}

- **Does:** retrieves films for a user from id, age, gender, occupation and the last ten films; one dot product per film.
- **Trained on:** MovieLens 100K, {len(known):,} interactions, 1997 and 1998, mostly young men from the United States.
- **Figure:** HR@10 {hr[card_of]:.3f} (95 % over users {low:.3f} to {high:.3f}), leave-last-out by last file row, 1+99 in
  expectation; among all films {final.loc[card_of, "HR@10, full"]:.3f}. EASE, for comparison: {hr["EASE"]:.3f}.
- **Worse for:** {worst_label} users, {worst.mean:.3f} ({worst.low:.3f} to {worst.high:.3f}, n = {worst.n}).
- **Lists:** reach {final.loc[card_of, "coverage"]:.0%} of the catalogue; popularity of their films against that of what
  the same users chose: {lift:+.0%}.
- **Checked:** no test pair, no later row, no spared negative, no feature from held-out rows (section 5).
- **Not for:** films without content, decisions about people, claims about tastes of today.
"""
display(Markdown(card))

# %% [markdown]
# ## 11 Five common mistakes, with their price
#
# Measured in this course: collapse and cold start are recorded means over ten seeds, speed is one recording, the rest is from this session.

# %%
tables = json.loads((results / "03_tables.json").read_text())
collapse = pd.concat([pd.DataFrame(run).T["hr"] for run in tables["collapse"]], axis=1).mean(
    axis=1
)
cold = pd.DataFrame(tables["cold_start"]).mean()
cost = tables["in_batch_cost"]
leak = with_leak["A: EASE, test pairs trained on"]

# %%
drawn, softmax = cost["per_row_rows_per_second"][-1], "in-batch softmax from the start"
decay = collapse["positives, weight decay 1e-4"]
columns = ["mistake", "for instance", "costs", "fix", "gives"]
rows = [
    ["embedding collapse", "positives only", f"HR@10 {collapse['positives only']:.2f}"],
    ["cold start", "ids only", f"AUC {cold['ids only']:.2f} on new films"],
    ["slow training", "1,023 negatives drawn per row", f"{drawn:,.0f} rows/s"],
    ["poor diversity", "the plain ranking", f"diversity {plain_diversity:.2f}"],
    ["data leakage", "test pairs in training", f"HR@10 {leak:.2f} is reported"],
]
fixes = [
    ["in-batch softmax", f"HR@10 {collapse[softmax]:.2f} (weight decay: {decay:.2f})"],
    ["content in the towers", f"AUC {cold['ids and content']:.2f}"],
    ["in-batch negatives", f"{cost['in_batch_rows_per_second']:,.0f} rows/s"],
    [f"MMR, lambda {RECOMMENDED}", f"diversity {diversity_gain:+.0%}, NDCG@10 {-ndcg_cost:+.1%}"],
    ["split first, look for leaks", f"HR@10 {hr['EASE']:.2f}, the truth"],
]
table = pd.DataFrame([row + fix for row, fix in zip(rows, fixes, strict=True)], columns=columns)
table.style.hide(axis="index").set_table_styles(left)

# %% [markdown]
# ## What you have learned
#
# - NDCG, MAP, precision and recall by hand, for all users at once, and what libraries make of the same names.
# - A figure needs split, candidates, tie rule and interval; two honest protocols can put two models in opposite order.
# - Leaks are found in what goes in, not in what comes out; the most dangerous is small.
# - The best simple predictor of stars comes last of ten as a recommender.
# - Accuracy is one column of several: whom it serves, what it shows, how varied it is.
#
# The page to keep: `QUICK_REFERENCE.md`, beside this notebook.
#
# Read on: Krichene and Rendle, *On Sampled Metrics for Item Recommendation* (2020); Cañamares and Castells, *On Target Item Sampling in Offline Recommender System Evaluation* (2020); Steck, *Calibrated Recommendations* (2018); Mitchell et al., *Model Cards for Model Reporting* (2019).
