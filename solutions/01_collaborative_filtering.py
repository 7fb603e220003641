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
# # Lab 1: Collaborative filtering fundamentals
#
# In 1997 and 1998, 943 people gave 100,000 star ratings to 1,682 films. From those stars alone, with no plot,
# no cast, no poster, you will build four recommenders, each better than the one before:
#
# **global mean → biases → item neighbours → matrix factorization**
#
# You will write each model's heart yourself, train it, and find out what its quality figure is worth.
# By the end the lab recommends films to *you*. **About two hours.** The data is MovieLens 100K (GroupLens).

# %% [markdown]
# ### How a lab works
#
# You read, you write 2 to 12 lines in an exercise, and the check below it tells you at once whether they
# are right and, if not, what it saw. Two hints wait, folded, under each exercise. Nothing you write is needed further down:
# the lab goes on with the tested version in `course_utils`, so you can skip an exercise and return to it.
# `course progress` shows what is done, `course reset 1.3` puts one exercise back as it was.

# %% tags=["setup"]
import json
import time

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from torch import nn

from course_utils import baselines, losses, metrics, models, plots, runtime, sampling, splits, training
from course_utils.claims import claim
from course_utils.data import load_movielens
from course_utils.exercises import check

# %% tags=["parameters"]
FAST = runtime.is_fast()  # True: a quick look; models train too briefly to be any good
SEED = 0  # folds, first weights and batches all follow from it

# %%
device = runtime.start(SEED)
ml = load_movielens("100k")
ml

# %% [markdown]
# ## 1 What ratings look like
#
# A rating is a row: who, what, how many stars, when. Everything in this lab is learned from rows like these.

# %%
# NBVAL_CHECK_OUTPUT
first = slice(0, 5)
pd.DataFrame(
    {
        "user": ml.users[first],
        "item": ml.items[first],
        "title": ml.titles[ml.items[first]],
        "rating": ml.ratings[first],
        "when": pd.to_datetime(ml.timestamps[first], unit="s"),
    }
)

# %% [markdown]
# ### From raw ids to dense indices
#
# The file calls its users 1 to 943. The next catalogue you meet will call them `u-8f3a…`, or 7, 12 and 90210. A model
# keeps one row of numbers per user in a table and looks it up by position, so it needs **dense indices**: 0, 1, 2, …
# without holes. `user_ids` is the way back: `user_ids[user]` is the raw id. Ids 12, 7, 12, 90 by hand:
#
# | raw id | 12 | 7 | 12 | 90 |
# |---|---|---|---|---|
# | index, with `ids = [7, 12, 90]` | 1 | 0 | 1 | 2 |

# %% [markdown]
# ### Exercise 1.1: Raw ids to dense indices
# *easy · 5 minutes · 1 point*
#
# Give every distinct raw id a position, and return both directions of the map.
#
# <details><summary>Hint 1: a question</summary>
#
# How many rows would a table need that is indexed by raw id, if the largest id is 90,210? How many does it need really?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Find the distinct ids. For each entry of `raw_ids`, find the position of its id among them. There is a numpy function that does
# both at once; look at what its option `return_inverse` returns. A dictionary from id to position finds the indices just as well; `ids` are then its keys, as a list.
# </details>


# %% exercise="1.1"
def dense_ids(raw_ids):
    """Number the distinct ids from 0.

    raw_ids [R] -> (indices [R], ids [N]): indices run from 0 to N - 1 without holes,
    ids holds each distinct raw id once, and ids[indices] gives raw_ids back.
    """
    ### BEGIN SOLUTION
    ids, indices = np.unique(raw_ids, return_inverse=True)
    return indices, ids
    ### END SOLUTION


# %% check="1.1"
check("1.1", dense_ids)

# %% [markdown]
# ### How full is the table?
#
# Picture all ratings as a table, users down, films across. **Density** is the share of its cells that are filled:
#
# $$\text{density} = \frac{R}{U \cdot I}$$
#
# with $R$ ratings (`len(ml)`), $U$ users (`ml.n_users`) and $I$ films (`ml.n_items`).

# %%
# NBVAL_CHECK_OUTPUT
density = len(ml) / (ml.n_users * ml.n_items)
ratings_per_user = np.bincount(ml.users, minlength=ml.n_users)
ratings_per_item = np.bincount(ml.items, minlength=ml.n_items)
print(
    f"{len(ml):,} ratings by {ml.n_users} users of {ml.n_items:,} films: {density:.1%} of the table"
)
for name, counts in {"user": ratings_per_user, "film": ratings_per_item}.items():
    print(f"ratings per {name}: {counts.min()} to {counts.max()}, median {np.median(counts):.0f}")

# %%
plots.long_tail(ratings_per_item, title="A few films get most of the attention")
plt.show()

# %% [markdown]
# *Ratings per film, most rated first: a steep head of famous films, then a tail of hundreds that almost nobody rated.*

# %%
plots.counts(
    ml.ratings, xlabel="stars", ylabel="ratings", title="People rate what they expect to like"
)
plt.show()

# %% [markdown]
# *How often each number of stars was given: 4 is the most frequent, and more than half of all ratings are 4 or 5.*

# %%
week = (ml.timestamps - ml.timestamps.min()) // (7 * 24 * 3600)  # [R] weeks since the first rating
first_week = pd.Series(week).groupby(ml.users).min()  # [U] when each user arrives
ax = plots.lines(
    {"ratings": np.bincount(week) / 100, "new users": np.bincount(first_week)},
    x=np.arange(week.max() + 1),
    xlabel="weeks since the first rating (September 1997)",
    ylabel="hundreds of ratings, or users",
    title="Ratings come when new users come",
)
plt.show()

# %%
# NBVAL_CHECK_OUTPUT
hours_active = (
    pd.Series(ml.timestamps).groupby(ml.users).agg(np.ptp) / 3600
)  # [U] first to last rating
print(f"the median user gave all their ratings within {hours_active.median():.1f} hours")

# %% [markdown]
# *Ratings and newcomers per week: the two lines rise and fall together, because a user arrives, rates dozens of films in one
# sitting, and is mostly gone.*
#
# **What do you see?** Which films will be easy to predict for, and which hard? And what happens to a model that is trained on the
# first months and must serve the people who arrive afterwards?

# %% [markdown] tags=["solution"]
# The famous films have hundreds of ratings to learn from, half of the catalogue has at most 27. The ratings that exist are not a
# random sample: people choose what to watch, so more than half of the ratings lie above the middle of the scale and fewer than a fifth below. And the users come one after another,
# each in one short burst: a model trained on the past will know almost nobody in the future. The next section measures that.

# %% [markdown]
# ## 2 A split decides what a figure means
#
# To know how good a model is, we hide some ratings, train on the rest, and predict the hidden ones. *Which* ones we hide is a
# question to the model:
#
# - **random split**: can it fill holes in the table, when it has seen what each user rated before *and after*?
# - **temporal split**: can it predict tomorrow from yesterday? That is what a running service must do.
#
# A random split lets a rating of March help to predict one of January. That is **leakage**: information that would not exist in use.

# %% [markdown]
# ### By hand
#
# Six ratings, in file order, and their times. Hide the last third:
#
# | row | 0 | 1 | 2 | 3 | 4 | 5 |
# |---|---|---|---|---|---|---|
# | time | 30 | 10 | 20 | 40 | 30 | 50 |
#
# In order of time: 10, 20, 30, 30, 40, 50. Position $\lfloor \tfrac{2}{3} \cdot 6 \rfloor = 4$ holds time 40: that is the **cut**. Earlier rows train:
# 0, 1, 2, 4. Rows at the cut and later test: 3, 5. Had the cut been 30, *both* rows of that time would be test rows.

# %% [markdown]
# ### Exercise 1.2: A split in time
# *medium · 10 minutes · 2 points*
#
# Rows before the cut train; rows at the cut and later test. No moment may be on both sides, and the file is not sorted by time.
#
# <details><summary>Hint 1: a question</summary>
#
# Ten ratings were given in the very second of the cut. If you sort all rows and slice the sorted list, on which side does each of the ten end up?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Sort a copy of the timestamps and read off the one at position `int((1 - test_fraction) * n)`. Then compare *every* row's
# timestamp with it. `np.flatnonzero` turns a mask into row numbers.
# </details>


# %% exercise="1.2"
def temporal_split(timestamps, test_fraction):
    """Train on the past, test on the future.

    timestamps [R], test_fraction between 0 and 1 -> (train rows, test rows), arrays of row numbers.
    The cut is the timestamp at position int((1 - test_fraction) * R) in order of time.
    """
    ### BEGIN SOLUTION
    cut = np.sort(timestamps)[int((1 - test_fraction) * len(timestamps))]
    return np.flatnonzero(timestamps < cut), np.flatnonzero(timestamps >= cut)
    ### END SOLUTION


# %% check="1.2"
check("1.2", temporal_split)

# %% [markdown]
# Both splits hide a fifth of the ratings. How many of the hidden ones belong to somebody the model has seen?

# %%
# NBVAL_CHECK_OUTPUT
folds = splits.k_fold(len(ml), n_folds=5, seed=SEED)
random_train, random_test = folds[0]
past, future = splits.temporal_split(ml.timestamps)
for name, (train_rows, test_rows) in {
    "random": (random_train, random_test),
    "temporal": (past, future),
}.items():
    known_user = np.isin(ml.users[test_rows], ml.users[train_rows]).mean()
    known_film = np.isin(ml.items[test_rows], ml.items[train_rows]).mean()
    print(f"{name:9} test ratings: user known {known_user:6.1%}, film known {known_film:6.1%}")

# %% [markdown]
# **What do you see?** In which of the two worlds would you rather be a model? Which one is yours when you run a service?

# %% [markdown] tags=["solution"]
# Under the random split every user is an old acquaintance. Under the temporal split only about 15 % of the hidden ratings come from users with
# even one training rating: the rest is **cold start**, where a model of tastes has nothing to go by. That is why a random split makes every model look
# better than it will be. We use random folds to *compare* models, because each user can be studied, and come back to the temporal split to see what the
# best one is worth tomorrow.

# %% [markdown]
# ## 3 The first figure: RMSE
#
# How far are predictions $\hat r$ (`predictions`) from ratings $r$ (`ratings`), in stars?
#
# $$\text{RMSE} = \sqrt{\frac{1}{B}\sum_{b=1}^{B} (\hat r_b - r_b)^2}$$
#
# By hand: predictions 4, 3, 5 for ratings 5, 3, 3. Errors −1, 0, 2; squares 1, 0, 4; mean $5/3$; root **1.29** stars.

# %% [markdown]
# ### Exercise 1.3: Root mean squared error
# *easy · 5 minutes · 1 point*
#
# <details><summary>Hint 1: a question</summary>
#
# In which order do the letters R, M, S, E happen, read from right to left?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Turn both inputs into float arrays, subtract, square each error, take the mean of the squares, and last the square root.
# </details>


# %% exercise="1.3"
def rmse(predictions, ratings):
    """Root mean squared error: predictions [B], ratings [B] -> a single float, in stars."""
    ### BEGIN SOLUTION
    errors = np.asarray(predictions, dtype=float) - np.asarray(ratings, dtype=float)
    return float(np.sqrt(np.mean(errors**2)))
    ### END SOLUTION


# %% check="1.3"
check("1.3", rmse)

# %% [markdown]
# The simplest prediction is the same for everybody: the mean $\mu$ of the training ratings. Unless it says otherwise (as "fold 1"), every RMSE that follows is the mean over the
# same **five random folds** (each rating is hidden exactly once), with predictions clipped to the scale of 1 to 5.

# %%
if FAST:
    folds = folds[:1]


def test_rmse(predictions, test_rows):
    """RMSE in stars of predictions [B], clipped to the scale, for the hidden rows [B]."""
    return metrics.rmse(np.clip(predictions, 1, 5), ml.ratings[test_rows])


results = {
    "Global mean": [
        test_rmse(np.full(len(test), ml.ratings[train].mean()), test) for train, test in folds
    ]
}
print(f"Global mean: RMSE {np.mean(results['Global mean']):.3f} stars")

# %% [markdown]
# ## 4 Biases: strict people and loved films
#
# Some people are strict, some films are loved by all. Before tastes come into it, give each film an **item bias** $b_i$ (`item_bias`) and each user a
# **user bias** $b_u$ (`user_bias`):
#
# $$\hat r_{ui} = \mu + b_u + b_i \qquad b_i = \frac{\sum_{u}(r_{ui}-\mu)}{\lambda + n_i} \qquad b_u = \frac{\sum_{i}(r_{ui}-\mu-b_i)}{\lambda + n_u}$$
#
# $n_i$ and $n_u$ count the ratings of the film and of the user. $\lambda$ (`reg`) acts like that many extra ratings that are exactly average: one rating hardly
# moves a bias, a hundred do.

# %% [markdown]
# ### By hand
#
# Three people, four films, eight ratings, $\lambda = 1$. The mean is $26 / 8 = 3.25$.
#
# | | Toy Story | Heat | Fargo | Clueless |
# |---|---|---|---|---|
# | Ann | 5 | 4 | | 1 |
# | Bob | 4 | | 2 | |
# | Cat | | 1 | 5 | 4 |
#
# Toy Story: $(1.75 + 0.75) / (1 + 2) = 0.83$. Then Bob: he gave it 0.08 less than $\mu + b_i$ = 4.08, and Fargo, whose bias is 0.17, 1.42 less: $(-0.08 - 1.42) / (1 + 2) = -0.5$.
# Bob is half a star stricter than the others.

# %% [markdown]
# ### Exercise 1.4: Regularised biases
# *medium · 12 minutes · 2 points*
#
# Film biases first, then user biases from what the films leave over, exactly as in the formulas. Somebody without ratings has bias 0.
#
# <details><summary>Hint 1: a question</summary>
#
# Ann only watches loved films. If her bias is computed from $r - \mu$ alone, for what does she get the credit?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# `np.bincount(items, weights=values, minlength=n_items)` adds up values per film; without `weights` it counts. Divide sum by `reg` + count. Then subtract
# `item_bias[items]` too and do the same per user. With `reg=0` a count of 0 would divide by zero: guard it.
# </details>


# %% exercise="1.4"
def fit_biases(users, items, ratings, n_users, n_items, reg):
    """Mean, user biases and item biases; item biases first.

    users, items, ratings [R] -> (mean, user_bias [U], item_bias [I]). No ratings -> bias 0.
    """

    ### BEGIN SOLUTION
    def shrunk_means(groups, values, n_groups):
        sums = np.bincount(groups, weights=values, minlength=n_groups)
        counts = np.bincount(groups, minlength=n_groups)
        return np.where(counts > 0, sums / np.maximum(counts + reg, 1e-12), 0)

    mean = np.mean(ratings)
    item_bias = shrunk_means(items, ratings - mean, n_items)
    user_bias = shrunk_means(users, ratings - mean - item_bias[items], n_users)
    return mean, user_bias, item_bias
    ### END SOLUTION


# %% check="1.4"
check("1.4", fit_biases)

# %% [markdown]
# ### How to read a claim
#
# Where the lab states a figure, one line says what it is worth: the figure; the **target** that it must reach; the **band** in which it should lie on your machine too; and a **control**, a weaker model or mere chance,
# put through the same test. A test that everything passes proves nothing, so "control … fails: ok" is good news. In a quick look (`FAST`) nothing is tested.


# %%
def biases_of(rows):
    """The package's biases, fitted to these rows."""
    return baselines.fit_biases(
        ml.users[rows], ml.items[rows], ml.ratings[rows], ml.n_users, ml.n_items
    )


results["Biases"] = [
    test_rmse(biases_of(train).predict(ml.users[test], ml.items[test]), test)
    for train, test in folds
]
claim("biases-rmse-random", np.mean(results["Biases"]), control=np.mean(results["Global mean"]))

# %%
biases = biases_of(folds[0][0])
order = np.argsort(biases.item)
shown = np.concatenate([order[:-6:-1], order[4::-1]])
pd.DataFrame(
    {
        "film": ml.titles[shown],
        "bias (stars)": biases.item[shown].round(2),
        "ratings": np.bincount(ml.items[folds[0][0]])[shown],
    }
).style.hide(axis="index").background_gradient(
    subset="bias (stars)", cmap="RdYlGn", vmin=-2, vmax=2
).format(precision=2)

# %% [markdown]
# **What do you see?** The five most and the five least loved films, once everybody's strictness is taken out. Why is there no film with three ratings of 5 at
# the top? What can this model never do, however much data it gets?

# %% [markdown] tags=["solution"]
# A film with three perfect ratings is pulled towards the average by $\lambda = 5$: its bias is $3 \cdot 1.5 / (3 + 5) = 0.56$, not 1.5. The films at the top have a hundred ratings or more, those at the bottom at least a dozen. But
# biases rank the films in the same order for everyone: the model knows what is good, not what is good *for you*. For that we need other people.

# %% [markdown]
# ## 5 Neighbours: films that are liked by the same people
#
# Take the **residuals** $x_{ui} = r_{ui} - \mu - b_u - b_i$ (`residuals`): what is left when strictness and popularity are gone, so only taste. Two films are alike when the people who
# rated *both* agree on them:
#
# $$s_{ij} = \frac{\sum_{u} x_{ui}\, x_{uj}}{\sqrt{\sum_{u} x_{ui}^2}\,\sqrt{\sum_{u} x_{uj}^2}} \cdot \frac{n_{ij}}{n_{ij} + \beta} \qquad \text{all sums over the } n_{ij} \text{ users who rated both}$$
#
# The last factor is the **shrinkage** (`shrinkage`): an agreement of three people is worth less than one of three hundred.

# %% [markdown]
# ### By hand
#
# Residuals of four people, $\beta = 2$:
#
# | | Alien | Aliens |
# |---|---|---|
# | Ann | 1 | 2 |
# | Bob | −1 | −1 |
# | Cat | 2 | |
# | Dan | | −2 |
#
# Only Ann and Bob rated both. Dot product $1\cdot2 + (-1)(-1) = 3$; lengths $\sqrt{2}$ and $\sqrt{5}$; cosine $3/\sqrt{10} = 0.95$; two people: $0.95 \cdot 2/(2+2) = $ **0.47**.
# Had Cat and Dan been in the lengths, the cosine would be 0.41, for ratings that were never given.

# %% [markdown]
# ### Exercise 1.5a: Similar items
# *hard · 12 minutes · 2 points*
#
# `residuals` has 0 where nothing was rated, and `rated` says where that is. Loops over pairs of films are right but slow: 1.4 million pairs. Three matrix products do it at once.
#
# <details><summary>Hint 1: a question</summary>
#
# The length of film $i$ is different for each partner $j$, because it runs over the people who rated both. Which matrix product adds up $x_{ui}^2$ only over the users who rated $j$?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# With $X$ for `residuals` and $M$ for `rated` as 0/1 numbers: $M^T M$ counts the users who rated both, $X^T X$ holds the dot products, $(X^2)^T M$ holds
# squared lengths of $i$ over the users who rated $j$; its transpose holds those of $j$. Divide where the lengths are above 0; elsewhere the similarity is 0.
# </details>


# %% exercise="1.5a"
def item_similarity(residuals, rated, shrinkage):
    """Cosine over the users who rated both films, times n / (n + shrinkage).

    residuals [U, I] (0 where not rated), rated [U, I] bool -> [I, I]; 0 where nobody rated both.
    """
    ### BEGIN SOLUTION
    rated = rated.astype(float)
    n_both = rated.T @ rated
    dots = residuals.T @ residuals
    squares = (residuals**2).T @ rated
    lengths = np.sqrt(squares * squares.T)
    cosine = np.divide(dots, lengths, out=np.zeros_like(dots), where=lengths > 0)
    return cosine * n_both / np.maximum(n_both + shrinkage, 1e-12)
    ### END SOLUTION


# %% check="1.5a"
check("1.5a", item_similarity)


# %%
def residual_matrix(rows):
    """What biases leave over in these rows: (biases, residuals [U, I], rated [U, I])."""
    fitted = biases_of(rows)
    left_over = ml.ratings[rows] - fitted.predict(ml.users[rows], ml.items[rows])
    return fitted, *baselines.rating_matrix(
        ml.users[rows], ml.items[rows], left_over, ml.n_users, ml.n_items
    )


biases, residuals, rated = residual_matrix(folds[0][0])
similarity = baselines.item_similarity(residuals, rated)
for title in ["Star Wars (1977)", "Toy Story (1995)", "Pulp Fiction (1994)"]:
    item = np.flatnonzero(ml.titles == title)[0]
    nearest = np.argsort(-similarity[item])
    nearest = nearest[nearest != item][:3]
    print(f"{title:20} " + ", ".join(f"{ml.titles[j]} {similarity[item, j]:.2f}" for j in nearest))

# %% [markdown]
# No title, genre or year went in. The similarity knows trilogies and moods because the same people disagree with the crowd in the same way.

# %% [markdown]
# ### Predicting from neighbours
#
# How far will user $u$ leave the crowd on film $i$? As far as on the films most like it that they rated. Take the $k$ (`k`) most similar of the user's films with $s_{ij} > 0$, never $i$ itself:
#
# $$\hat x_{ui} = \frac{\sum_{j} s_{ij}\, x_{uj}}{\sum_{j} s_{ij}} \qquad\text{and 0 when there is no such neighbour}$$
#
# By hand, $k = 2$: similarities 0.5, 0.3, 0.1, −0.4 to films where the user's residuals are 1, −1, 2, 2. The two nearest: $(0.5 \cdot 1 + 0.3 \cdot (-1)) / 0.8 = $ **0.25** stars above the usual.

# %% [markdown]
# ### Exercise 1.5b: Prediction from the nearest items
# *medium · 8 minutes · 2 points*
#
# <details><summary>Hint 1: a question</summary>
#
# Of all the films in the catalogue, which may vote? There are three conditions.
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Start with the films that the user rated, drop `item` itself and every film whose similarity is not above 0. Sort the rest by similarity, keep the first `k`. Return the weighted mean of
# the user's residuals there, or 0.0 when nothing is left.
# </details>


# %% exercise="1.5b"
def knn_predict(similarity, residuals, rated, user, item, k):
    """Predicted residual of one user for one film, in stars.

    similarity [I, I], residuals [U, I], rated [U, I] bool -> a float; 0.0 without neighbours.
    """
    ### BEGIN SOLUTION
    neighbours = np.flatnonzero(rated[user] & (similarity[item] > 0))
    neighbours = neighbours[neighbours != item]
    neighbours = neighbours[np.argsort(-similarity[item, neighbours])][:k]
    weights = similarity[item, neighbours]
    return float(weights @ residuals[user, neighbours] / weights.sum()) if len(neighbours) else 0.0
    ### END SOLUTION


# %% check="1.5b"
check("1.5b", knn_predict)

# %%
results["Item-kNN"] = []
for train, test in folds:
    biases, residuals, rated = residual_matrix(train)
    similarity = baselines.item_similarity(residuals, rated)
    users, items = ml.users[test], ml.items[test]
    left_over = baselines.knn_predict(similarity, residuals, rated, users, items, k=40)
    results["Item-kNN"].append(test_rmse(biases.predict(users, items) + left_over, test))
claim("knn-rmse-random", np.mean(results["Item-kNN"]), control=np.mean(results["Biases"]))

# %% [markdown]
# **What do you see?** How much of the way from biases to perfection did the neighbours bring? What would you need to store for a catalogue of ten million films?

# %% [markdown] tags=["solution"]
# Three hundredths of a star out of 0.94. But nobody gets to 0, since the same person asked twice does not give the same stars, and the films it suggests are now different for everyone: that is worth more than the figure shows. The price: the similarity table has $I^2$ cells. For ten million films
# that is $10^{14}$ numbers. The next model keeps a short list of numbers per film instead, and learns them.

# %% [markdown]
# ## 6 Matrix factorization
#
# Give each user a vector $p_u$ (`user_vec`) and each film a vector $q_i$ (`item_vec`) of $D$ numbers (`dim`). Nobody says what the numbers mean. A film scores high for a user when the two vectors point the same way:
#
# $$\hat r_{ui} = \mu + b_u + b_i + p_u \cdot q_i$$
#
# The table of 943 × 1,682 cells becomes a product of two thin ones: hence the name. All of it is learned from the known cells by walking downhill on the squared error.

# %% [markdown]
# ### By hand: one step of gradient descent
#
# For one rating, the error is $e = r_{ui} - \hat r_{ui}$, and the loss with weight decay $\lambda$ (`reg`) is $\tfrac12 e^2 + \tfrac{\lambda}{2}(\lVert p_u\rVert^2 + \lVert q_i\rVert^2 + b_u^2 + b_i^2)$. A step of size
# $\eta$ (`lr`) against its gradient, every new value computed from the **old** ones:
#
# $$p_u \leftarrow p_u + \eta\,(e\,q_i - \lambda p_u) \quad q_i \leftarrow q_i + \eta\,(e\,p_u - \lambda q_i) \quad b_u \leftarrow b_u + \eta\,(e - \lambda b_u) \quad b_i \leftarrow b_i + \eta\,(e - \lambda b_i)$$
#
# With $\mu = 3$, $p = (1, 0)$, $q = (0.5, 0.5)$, $b_u = 0.5$, $b_i = -0.5$, rating 4, $\eta = 0.1$, $\lambda = 0$: the prediction is $3 + 0.5 - 0.5 + 0.5 = 3.5$, so $e = 0.5$. New $p$: $(1, 0) + 0.05 \cdot (0.5, 0.5) = (1.025, 0.025)$; new $q$: $(0.55, 0.5)$; biases $0.55$ and $-0.45$. The new prediction is 3.68: closer to 4.

# %% [markdown]
# ### Exercise 1.6: One step of gradient descent by hand
# *medium · 8 minutes · 2 points*
#
# In numpy, without autograd: the four updates above. Return new arrays and leave the ones you were given as they are.
#
# <details><summary>Hint 1: a question</summary>
#
# The update of $q_i$ contains $p_u$. Which one: before or after this step?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Compute the prediction and `error` first. Then write the four new values under new names, each from the old ones only, and return them in order.
# </details>


# %% exercise="1.6"
def sgd_step(user_vec, item_vec, user_bias, item_bias, mean, rating, lr, reg):
    """One step of stochastic gradient descent on one rating.

    user_vec [D], item_vec [D], the rest single numbers ->
    (new user_vec [D], new item_vec [D], new user_bias, new item_bias).
    """
    ### BEGIN SOLUTION
    error = rating - (mean + user_bias + item_bias + user_vec @ item_vec)
    return (
        user_vec + lr * (error * item_vec - reg * user_vec),
        item_vec + lr * (error * user_vec - reg * item_vec),
        user_bias + lr * (error - reg * user_bias),
        item_bias + lr * (error - reg * item_bias),
    )
    ### END SOLUTION


# %% check="1.6"
check("1.6", sgd_step)

# %% [markdown]
# ### The same model in PyTorch
#
# Autograd computes those gradients for us, for thousands of ratings at once. `nn.Embedding(n, dim)` is a table of `n` vectors; calling it with indices `[B]` looks up rows and gives `[B, dim]`. We only
# write the **forward** pass: a batch of pairs in, a batch of predictions out.

# %% [markdown]
# ### Exercise 1.7: Matrix factorization in PyTorch
# *medium · 8 minutes · 2 points*
#
# `__init__` is given: four embedding tables and the global bias. Write `forward`. It gets a batch of users and a batch of films and predicts *pair by pair*.
#
# <details><summary>Hint 1: a question</summary>
#
# Write down the shape of each of the four look-ups for a batch of 5 pairs, and then for a batch of 1. Which of them have a dimension too many, and which function removes *only that one*?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Look up both vectors, multiply them element by element, sum over the last dimension: `[B]`. Look up both biases, `[B, 1]`, and drop their last dimension with `.squeeze(-1)`.
# Add the four terms.
# </details>


# %% exercise="1.7"
class MatrixFactorization(nn.Module):
    """Biased matrix factorization."""

    def __init__(self, n_users, n_items, dim=64, mean=0.0):
        super().__init__()
        self.user_emb = nn.Embedding(n_users, dim)
        self.item_emb = nn.Embedding(n_items, dim)
        self.user_bias = nn.Embedding(n_users, 1)
        self.item_bias = nn.Embedding(n_items, 1)
        self.global_bias = nn.Parameter(torch.tensor(float(mean)))
        for table in (self.user_emb, self.item_emb):
            nn.init.normal_(table.weight, std=0.01)
        for table in (self.user_bias, self.item_bias):
            nn.init.zeros_(table.weight)

    def forward(self, users, items):
        """users [B], items [B] -> predicted ratings [B], pair by pair; B may be 1."""
        ### BEGIN SOLUTION
        match = (self.user_emb(users) * self.item_emb(items)).sum(-1)
        biases = self.user_bias(users).squeeze(-1) + self.item_bias(items).squeeze(-1)
        return self.global_bias + biases + match
        ### END SOLUTION


# %% check="1.7"
check("1.7", MatrixFactorization)

# %% [markdown]
# ### The training loop
#
# An **epoch** shows the model every training rating once, in random order, in **minibatches**. For each batch: predict, compute the loss (mean squared error), clear the old gradients, compute
# the new ones, step. `optimizer.zero_grad()`, `loss.backward()`, `optimizer.step()`: three lines whose order and presence decide everything.

# %% [markdown]
# ### Exercise 1.8: The training epoch
# *hard · 12 minutes · 4 points*
#
# <details><summary>Hint 1: a question</summary>
#
# 10 rows in batches of 4: how many batches, and how large is the last? What must you multiply its mean loss by, so that the epoch's mean is right?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Draw `order = torch.randperm(n, generator=generator)`. For `start` in `range(0, n, batch_size)` take `rows = order[start:start + batch_size]`; predict for `users[rows], items[rows]`; mean of squared errors; `zero_grad`,
# `backward`, `step`; add `loss.item() * len(rows)` to a total. Return the total divided by `n`.
# </details>


# %% exercise="1.8"
def train_epoch(model, optimizer, users, items, ratings, batch_size, generator):
    """Train on every row once, in random order; the last batch may be smaller.

    users, items, ratings: tensors [R]; the order comes from torch.randperm(R, generator=generator).
    Returns the mean squared error per row over the epoch, a float.
    """
    ### BEGIN SOLUTION
    order = torch.randperm(len(users), generator=generator)
    total = 0.0
    for start in range(0, len(users), batch_size):
        rows = order[start : start + batch_size]
        loss = ((model(users[rows], items[rows]) - ratings[rows]) ** 2).mean()
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        total += loss.item() * len(rows)
    return total / len(users)
    ### END SOLUTION


# %% check="1.8"
check("1.8", train_epoch)

# %% [markdown]
# ### First on the table of Ann, Bob and Cat
#
# Eight known cells, two numbers per person and film. From here on the package's `models.MatrixFactorization` and `training.fit` do what you just wrote.

# %%
tiny_users = torch.tensor([0, 0, 0, 1, 1, 2, 2, 2])
tiny_items = torch.tensor([0, 1, 3, 0, 2, 1, 2, 3])
tiny_ratings = torch.tensor([5.0, 4, 1, 4, 2, 1, 5, 4])


def squared_error(model, users, items, ratings):
    """The loss of a batch, for `training.fit`."""
    return losses.mse(model(users, items), ratings)


torch.manual_seed(SEED)
tiny = models.MatrixFactorization(3, 4, dim=2, mean=tiny_ratings.mean(), init_std=0.1)
optimizer = torch.optim.Adam(tiny.parameters(), lr=0.05, weight_decay=0.01)
tiny_data = (tiny_users, tiny_items, tiny_ratings)
training.fit(tiny, optimizer, squared_error, tiny_data, epochs=200, progress=False)
pd.DataFrame(
    tiny.score_all(torch.arange(3)).detach().numpy().round(1),
    index=["Ann", "Bob", "Cat"],
    columns=["Toy Story", "Heat", "Fargo", "Clueless"],
)

# %% [markdown]
# **What do you see?** Compare the eight known cells with the table in section 4. What does the model say about the four empty ones, and from whom did it learn that?

# %% [markdown] tags=["solution"]
# The known cells come back almost exactly. The empty ones are filled in: Ann and Cat disagree on everything they share, so for Fargo, which Cat loves, Ann gets a low prediction. With eight ratings that is a guess; with 80,000 it is
# a recommender.

# %% [markdown]
# ### Then on MovieLens
#
# The recipe: 64 numbers per user and film, Adam with learning rate 0.001, batches of 1,024, weight decay 0.0003, 60 epochs. Both vectors start as small random numbers.

# %%
EPOCHS = 3 if FAST else 60


def tensors_of(rows):
    """users, items and ratings of these rows, on the device."""
    dataset = sampling.MovieLensDataset.from_ratings(ml.take(rows))
    return tuple(tensor.to(device) for tensor in (dataset.users, dataset.items, dataset.ratings))


# %%
def train_mf(train_rows, test_rows, epochs=EPOCHS, decay=3e-4, init_std=0.01, seed=SEED):
    """Train on some rows; RMSE on the hidden ones after each epoch -> (model, History)."""
    torch.manual_seed(seed)
    mean = ml.ratings[train_rows].mean()
    model = models.MatrixFactorization(ml.n_users, ml.n_items, 64, mean, init_std).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-3, weight_decay=decay)
    train = tensors_of(train_rows)
    users, items, _ = tensors_of(test_rows)

    def validate(model):
        return test_rmse(model(users, items).cpu(), test_rows)

    fitted = training.fit(
        model, optimizer, squared_error, train, epochs=epochs, validate=validate, seed=seed
    )
    return model, fitted


# %%
mf, history = train_mf(*folds[0])
print(f"{EPOCHS} epochs in {history.seconds:.0f} s: RMSE {history.validation[-1]:.3f} on fold 1")

# %% [markdown]
# ### The initialisation trap
#
# `nn.Embedding` starts with numbers of standard deviation 1. Two such vectors of 64 numbers have a dot product of about ±8: the model opens by predicting −5 or 11 stars. Same model, same data, same ten epochs, three ways to start:

# %%
trap_epochs = 2 if FAST else 10
starts = {
    f"std {std}": train_mf(*folds[0], epochs=trap_epochs, init_std=std)[1].validation
    for std in (1.0, 0.1, 0.01)
}
plots.lines(
    starts,
    xlabel="epoch",
    ylabel="RMSE (stars), fold 1",
    baseline=("Global mean", results["Global mean"][0]),
    title="How large the first weights are decides the race",
)
plt.show()

# %% [markdown]
# *RMSE per epoch for three sizes of the first weights: from standard deviation 1 the model is still worse than predicting the mean when the others have long passed it.*

# %%
other_start = train_mf(*folds[0], epochs=trap_epochs, seed=SEED + 1)[1].validation
claim(
    "mf-init-trap",
    starts["std 1.0"][-1] - starts["std 0.01"][-1],
    control=abs(other_start[-1] - starts["std 0.01"][-1]),
)

# %% [markdown]
# ### Over-fitting, and what weight decay does
#
# 64 numbers for someone who rated 30 films can memorise all 30. **Weight decay** pulls every number towards 0 at each step, unless the data keeps pulling it back.

# %%
_, loose = train_mf(*folds[0], decay=1e-5)
ax = plots.lines(
    {
        "train, decay 0.00001": np.sqrt(loose.train_loss),
        "test, decay 0.00001": loose.validation,
        "train, decay 0.0003": np.sqrt(history.train_loss),
        "test, decay 0.0003": history.validation,
    },
    xlabel="epoch",
    ylabel="RMSE (stars), fold 1",
    baseline=("Biases", results["Biases"][0]),
    title="Learning by heart is not learning",
)
ax.legend(frameon=False, loc="lower left", fontsize=8)  # smaller, to stay clear of the curves
plt.show()

# %% [markdown]
# *Training and test RMSE per epoch. With little decay the training error falls on and on while the test error turns round and climbs past the biases; with more decay the training error falls slowly and the test error levels off.*

# %%
turned = loose.validation[-1] - min(loose.validation)
claim("mf-overfit", turned, control=history.validation[-1] - min(history.validation))

# %% [markdown]
# **What do you see?** At which epoch would you have stopped the model with little decay? Why is it cheating to choose that epoch by looking at the test curve, and what would be honest?

# %% [markdown] tags=["solution"]
# Around epoch 10 to 12. But whoever picks the best epoch on the test ratings has used the test ratings: the figure is then the best of 60, not a forecast. Honest ways are to hold out a third, *validation* part of the
# training rows for such choices, or to fix the recipe beforehand, as here: 60 epochs and the last weights, whatever the curve looks like. (The recipe itself was once tuned on this data. On a data set this old nobody's figures are quite innocent.)

# %% [markdown]
# ### How many numbers per film?
#
# One run tells little: from another start the same recipe ends up to a thousandth of a star away, with two numbers per film up to a hundredth. So this comes from ten recorded runs for each size (fold 1, recipe as above), and one that ran just now:

# %%
sizes = json.loads(
    (runtime.course_root() / "benchmarks/results/01_embedding_size.json").read_text()
)["rmse"]
means = [np.mean(values) for values in sizes.values()]
spread = [np.std(values, ddof=1) for values in sizes.values()]
ax = plots.new_axes(
    "numbers per user and film (dim)", "RMSE (stars), fold 1", "More room helps, then stops helping"
)
ax.errorbar(
    list(sizes),
    means,
    yerr=2 * np.array(spread),
    fmt="o-",
    color=plots.MODEL_COLOURS["MF"],
    capsize=4,
    label="10 recorded runs, ± 2 sd",
)
ax.plot(["64"], history.validation[-1:], "*", color="#D55E00", markersize=12, label="the run above")
ax.legend(frameon=False)
plt.show()

# %% [markdown]
# *RMSE by embedding size, mean and spread of ten runs: the curve falls until 32, is flat to 64 and rises by two thousandths at 128. The star is the run above. Half of its 64 numbers would have done as well.*

# %% [markdown]
# ### Fast and slow minibatches
#
# The model is small, so what feeds it matters. Three ways to get the same batches: a `DataLoader` that fetches **row by row** and stacks; one whose dataset has `__getitems__` and fetches a **batch** at once; and plain **slicing** of tensors.

# %%
some = sampling.MovieLensDataset.from_ratings(ml.take(np.arange(20_480)))


class RowByRow(torch.utils.data.Dataset):
    """The same rows, for those who do not know `__getitems__`."""

    def __len__(self):
        return len(some)

    def __getitem__(self, row):
        return some.users[row], some.items[row], some.ratings[row]


# %%
loader = torch.utils.data.DataLoader
ways = {
    "row by row": loader(RowByRow(), batch_size=1024, shuffle=True),
    "__getitems__": loader(some, batch_size=1024, shuffle=True, collate_fn=some.collate),
    "slicing": sampling.minibatches((some.users, some.items, some.ratings), batch_size=1024),
}
milliseconds = {}
for name, batches in ways.items():
    started = time.perf_counter()
    n_rows = sum(len(users) for users, _, _ in batches)
    milliseconds[name] = 80_000 / n_rows * (time.perf_counter() - started) * 1000
milliseconds["an epoch of training"] = history.seconds / EPOCHS * 1000  # batches by slicing included
plots.bars(milliseconds, "milliseconds for 80,000 ratings", digits=0, title="Fetching and training")
plt.show()

# %% [markdown]
# *Time to fetch the 80,000 ratings of an epoch in three ways, and the time of a whole epoch of training as above: fetching row by row takes far longer than the training itself.*
#
# **What do you see?** With which of the three would a faster model, or a GPU, be worth its money here?

# %% [markdown] tags=["solution"]
# Not with the first: the model would wait for data most of the time, and a faster one would wait even longer. Sliced, the batches cost next to nothing. In a large model, where one step takes longer, or with pictures that must be
# decoded, the balance is another; measure before you optimise.

# %% [markdown]
# ### The figure
#
# All five folds, the recipe as it stands. The aim was an RMSE below 0.95; section 11 puts the figure beside those of a well-known library.

# %%
mf_runs = [(mf, history)] + [train_mf(*fold) for fold in folds[1:]]
results["MF"] = [run.validation[-1] for _, run in mf_runs]
claim("mf-rmse-random", np.mean(results["MF"]), control=np.mean(results["Biases"]))

# %% [markdown]
# ## 7 What is it worth tomorrow?
#
# Same models, same share of hidden ratings, but hidden by **time**. Warm rows belong to users with at least one training rating, cold rows to users the model has never met.

# %%
biases_then = biases_of(past).predict(ml.users[future], ml.items[future])
mf_then, _ = train_mf(past, future)
with torch.no_grad():
    mf_predictions = mf_then(*tensors_of(future)[:2]).cpu().numpy()
warm = np.isin(ml.users[future], ml.users[past])
by_split = {}
for name, predictions in {"Biases": biases_then, "MF": mf_predictions}.items():
    by_split[name] = {
        "random folds": np.mean(results[name]),
        "temporal, all rows": test_rmse(predictions, future),
        "temporal, warm rows": test_rmse(predictions[warm], future[warm]),
        "temporal, cold rows": test_rmse(predictions[~warm], future[~warm]),
    }

# %%
plots.grouped_bars(
    {row: {model: by_split[model][row] for model in by_split} for row in by_split["MF"]},
    xlabel="RMSE (stars), lower is better",
    title=f"{warm.sum():,} warm and {(~warm).sum():,} cold test ratings",
)
plt.show()

# %% [markdown]
# *RMSE of biases and matrix factorization under both splits. Under the temporal split both lose about a tenth of a star. On the few warm rows matrix factorization keeps most of its lead; on the many cold ones, and so over all rows, it falls a little behind the biases.*

# %%
gap = by_split["MF"]["temporal, all rows"] - np.mean(results["MF"])
claim(
    "mf-temporal-gap",
    gap,
    control=abs(results["MF"][0] - np.mean(results["MF"])) if len(folds) > 1 else 0.0,
)

# %% [markdown]
# **What do you see?** A colleague reports RMSE 0.91 from random folds and proposes to go live. What do you ask? And how can the better model be the worse one tomorrow?

# %% [markdown] tags=["solution"]
# "Which split?" For a new user neither $p_u$ nor $b_u$ has ever been trained, so all that is left of the prediction is $\mu + b_i$: no taste at all. The model is not bad at the future, it is *blind* to the new people in it. It even loses to the biases there, because its $b_i$ was learned
# together with the vectors: part of what makes a film popular stands in $p_u \cdot q_i$, and a new user's $p_u$ is 0, which is not the average user's. The random figure is not wrong either. It answers another question:
# how well does the model complete the tastes of somebody it knows? Lab 3 gives cold users and films something to go by: their features.

# %% [markdown]
# ## 8 What the vectors mean
#
# Nobody told the model about genres. Look at which films point the same way (cosine of the centred film vectors, films with at least 50 ratings).

# %%
item_vecs = mf.item_emb.weight.detach().cpu().numpy()  # [I, D]
famous = np.flatnonzero(ratings_per_item >= 50)
unit = item_vecs[famous] - item_vecs[famous].mean(axis=0)
unit /= np.linalg.norm(unit, axis=1, keepdims=True)
for title in ["Star Wars (1977)", "Aladdin (1992)", "Alien (1979)", "Sense and Sensibility (1995)"]:
    place = np.flatnonzero(ml.titles[famous] == title)[0]
    nearest = np.argsort(-(unit @ unit[place]))[1:4]
    print(f"{title:29} " + " · ".join(ml.titles[famous[nearest]]))

# %%
most_rated = np.argsort(-ratings_per_item[famous])[:150]
directions = np.linalg.svd(unit[most_rated], full_matrices=False)[2][:2]  # [2, D] of largest spread
plots.film_map(
    unit[most_rated] @ directions.T,
    ml.titles[famous[most_rated]],
    xlabel="first principal direction",
    ylabel="second principal direction",
)
plt.show()

# %% [markdown]
# *The 150 most rated films, their 64 numbers projected to the two directions in which they differ most. Films that the same people like lie near each other.*
#
# **What do you see?** Give each end of the two axes a name.

# %% [markdown] tags=["solution"]
# One axis runs from blockbusters (*Top Gun*, *Independence Day*) to art-house and dark comedy (*Brazil*, *Trainspotting*), the other from warm-hearted classics (*It's a Wonderful Life*) to the disaster films of 1997 (*Dante's Peak*, *Volcano*), more or less: the model was never shown a genre, a budget or a year. But mind that two directions carry
# only part of what 64 hold, and that another seed may flip or turn the axes.

# %% [markdown]
# ## 9 From scores to recommendations
#
# `mf.score_all(users)` predicts every film for a user. A recommender then leaves out what the user has rated already and takes the top $k$.

# %% [markdown]
# ### Exercise 1.9: The best unseen films
# *medium · 8 minutes · 2 points*
#
# Best first. Never a film in `seen`, never more than there are, and the caller's `scores` stay as they were.
#
# <details><summary>Hint 1: a question</summary>
#
# Scores may be negative. Which score is certain to come last?
# </details>
# <details><summary>Hint 2: the steps</summary>
#
# Copy the scores, set those of the seen films to minus infinity, sort in descending order (`np.argsort` of the negated scores), keep the first `k`. When fewer than `k` films are unseen, return just those.
# </details>


# %% exercise="1.9"
def top_k_unseen(scores, seen, k):
    """The k best items that the user has not seen, best first.

    scores [I], seen: array of item indices -> items [k], or all unseen ones if they are fewer.
    """
    ### BEGIN SOLUTION
    masked = np.array(scores, dtype=float)
    masked[seen] = -np.inf
    n_unseen = len(masked) - len(np.unique(seen))
    return np.argsort(-masked)[: min(k, n_unseen)]
    ### END SOLUTION


# %% check="1.9"
check("1.9", top_k_unseen)

# %%
user = int(np.argsort(ratings_per_user)[ml.n_users // 2])  # with a typical number of ratings
train_rows = folds[0][0]
theirs = train_rows[ml.users[train_rows] == user]
with torch.no_grad():
    scores = mf.score_all(torch.tensor([user], device=device))[0].cpu().numpy()
scores[ml.items[theirs]] = -np.inf
top = np.argsort(-scores)[:8]
liked = theirs[np.argsort(-ml.ratings[theirs], kind="stable")][:8]
pd.DataFrame(
    {
        f"user {user} gave most stars to": [
            f"{ml.titles[ml.items[row]]} · {ml.ratings[row]:.0f}" for row in liked
        ],
        "and is recommended": [f"{ml.titles[item]} · {scores[item]:.1f}" for item in top],
    }
)

# %% [markdown]
# ### And for you
#
# You are not in the table: a cold user. But film vectors are known, and finding *one* user's vector and bias for fixed film vectors is a small least-squares problem (**folding in**). With a column of ones for the bias,
# $X = [\,q_i,\ 1\,]$ over the films you rated and $y = r - \mu - b_i$:
#
# $$w = (X^\top X + \lambda I)^{-1} X^\top y$$

# %%
item_bias = mf.item_bias.weight.detach().cpu().numpy().squeeze(-1)
mean = float(mf.global_bias.detach())
with_one = np.hstack([item_vecs, np.ones((ml.n_items, 1))])  # [I, D + 1]


def recommend_for(my_ratings, k=8, reg=3.0):
    """my_ratings: title -> stars, at least one. The k best films that are not in it, as a table."""
    mine = [int(np.flatnonzero(ml.titles == title)[0]) for title in my_ratings]
    x = with_one[mine]
    y = np.array(list(my_ratings.values())) - mean - item_bias[mine]
    w = np.linalg.solve(x.T @ x + reg * np.eye(x.shape[1]), x.T @ y)
    scores = mean + item_bias + with_one @ w
    scores[mine] = -np.inf
    top = np.argsort(-scores)[:k]
    return pd.DataFrame({"film": ml.titles[top], "predicted stars": scores[top].round(1)})


# %%
import ipywidgets as widgets

my_stars = {
    "Star Wars (1977)": 5,
    "Toy Story (1995)": 4,
    "Fargo (1996)": "not seen",
    "The Godfather (1972)": 3,
    "Alien (1979)": 5,
    "Titanic (1997)": 2,
    "Pulp Fiction (1994)": 4,
    "Sense and Sensibility (1995)": "not seen",
}
choices = ["not seen", 1, 2, 3, 4, 5]
wide = {"description_width": "14em"}
sliders = {
    title: widgets.SelectionSlider(options=choices, value=stars, description=title, style=wide)
    for title, stars in my_stars.items()
}


# %%
shown = widgets.HTML()


def show(_=None):
    """Recommend from the sliders as they stand."""
    my_ratings = {t: slider.value for t, slider in sliders.items() if slider.value != "not seen"}
    shown.value = "Rate at least one film."
    if my_ratings:
        shown.value = recommend_for(my_ratings).to_html(border=0, justify="left")


for slider in sliders.values():
    slider.observe(show, names="value")
show()
widgets.HBox([widgets.VBox(list(sliders.values())), shown])

# %% [markdown]
# The same without sliders, in case your notebook does not show them:

# %%
recommend_for({title: stars for title, stars in my_stars.items() if stars != "not seen"})

# %% [markdown]
# ## 10 Stretch: who rated what, and who they are
#
# Which films somebody rated says something about them even before the stars (**implicit** feedback). `models.FlippedSVDpp` adds to the vectors:
#
# - for a user, a learned vector $y_j$ per film $j$ they rated: $p_u + |N_u|^{-1/2}\sum_{j \in N_u} y_j$ (SVD++, Koren 2008);
# - **flipped**, for a film, a learned vector per user who rated it (Rendle, Zhang and Koren 2019);
# - linear terms of **side features**: age, gender and occupation; genres and decade.
#
# Who rated what is taken from the *training* rows only. Dropout on the user vector keeps it from learning by heart, and for
# the last fifth of the epochs the steps are five times smaller, which lets the weights settle.


# %%
def indicators(values):
    """A 0/1 column for each distinct value: values [N] -> float32 [N, number of values]."""
    return (values[:, None] == np.unique(values)).astype(np.float32)


user_features = np.hstack(
    [indicators(ml.ages // 10), indicators(ml.genders), indicators(ml.occupations)]
)
item_features = np.hstack([ml.genres.astype(np.float32), indicators(ml.years // 10)])
print(f"{user_features.shape[1]} features of users, {item_features.shape[1]} of films")


# %%
def train_flipped(train_rows, test_rows, epochs=2 if FAST else 30):
    """The recipe of the stretch model -> RMSE on the hidden rows after the last epoch."""
    torch.manual_seed(SEED)
    users, items, ratings = tensors_of(train_rows)
    rated = torch.zeros(ml.n_users, ml.n_items, device=device)
    rated[users, items] = 1
    sides = [torch.from_numpy(features).to(device) for features in (user_features, item_features)]
    mean = ratings.mean().item()
    model = models.FlippedSVDpp(rated, *sides, dim=32, mean=mean, dropout=0.3).to(device)
    optimizer = torch.optim.Adam(model.parameters(), lr=2e-3, weight_decay=3e-4)
    late = int(0.8 * epochs) * -(-len(users) // 4096)  # the batch at which steps become smaller
    scheduler = torch.optim.lr_scheduler.MultiStepLR(optimizer, [late], gamma=0.2)
    train, settings = (users, items, ratings), {"batch_size": 4096, "scheduler": scheduler}
    training.fit(model, optimizer, squared_error, train, epochs=epochs, seed=SEED, **settings)
    with torch.no_grad():
        predictions = model(*tensors_of(test_rows)[:2]).cpu()
    return test_rmse(predictions, test_rows)


# %%
results["SVD++ flipped"] = [train_flipped(*fold) for fold in folds]
claim("mf-stretch-rmse-random", np.mean(results["SVD++ flipped"]), control=np.mean(results["MF"]))

# %% [markdown]
# ## 11 All models, side by side
#
# Mean RMSE over the same five random folds, with a 95 % interval ($t$-distribution, five folds). Next to it what the library [Surprise](https://surpriselib.com) publishes for comparable models (its README, five random folds, default settings; not our folds, and its k-NN compares users, not films).

# %%
from scipy import stats

published = {
    "Biases": ("Baseline", 0.944),
    "Item-kNN": ("k-NN Baseline", 0.931),
    "MF": ("SVD", 0.934),
    "SVD++ flipped": ("SVD++", 0.919),
}
half_width = {
    name: stats.t.ppf(0.975, len(values) - 1) * stats.sem(values) if len(values) > 1 else 0.0
    for name, values in results.items()
}
pd.DataFrame(
    {
        "model": list(results),
        "RMSE": [
            f"{np.mean(values):.3f} ± {half_width[name]:.3f}" for name, values in results.items()
        ],
        "Surprise": [
            "{} {:.3f}".format(*published[name]) if name in published else "" for name in results
        ],
    }
).style.hide(axis="index")

# %%
plots.intervals(
    {name: np.mean(values) for name, values in results.items()},
    half_width,
    xlabel="RMSE (stars), five random folds, lower is better",
)
plt.show()

# %% [markdown]
# *Mean RMSE of the five models with 95 % intervals over folds: from the mean to the biases is the longest step, from neighbours to matrix factorization the shortest.*
#
# **What do you see?** The intervals of Item-kNN and MF lie end to end. Does that mean that we can hardly tell which is better?

# %%
difference = np.array(results["Item-kNN"]) - np.array(results["MF"])
print("Item-kNN minus MF, fold by fold:", difference.round(4))

# %% [markdown] tags=["solution"]
# It does not: MF wins in every single fold. Some folds hide easier ratings than others, and they do so for all models at once. The interval of each model contains that common part, their *difference* on the same fold does not. Comparing models pair by pair, on the same rows, is far sharper than comparing two intervals. Lab 4
# makes a test of it.

# %% [markdown]
# ## What you have built
#
# - A split is a question. Random folds ask a model to complete tastes it knows, a temporal split asks it for tomorrow.
# - Most of what can be predicted is not taste: strictness and popularity. What is left is where recommenders compete.
# - Neighbours explain themselves ("because you liked…") and grow with the square of the catalogue. Factors are compact and need care: small first weights, weight decay, batches that keep the model busy.
# - A figure without its split, protocol and spread is a rumour.
#
# **But nobody asks a streaming service "how many stars?"** They ask what to watch. Lab 2 drops the stars, learns from *what people chose*, and ranks.
#
# Read on: Koren, Bell and Volinsky, *Matrix Factorization Techniques for Recommender Systems* (2009); Rendle, Zhang and Koren, *On the Difficulty of Evaluating Baselines* (2019); Harper and Konstan, *The MovieLens Datasets: History and Context* (2015).
