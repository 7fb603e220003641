"""A small lab in the format of solutions/NN_topic.py, and a course folder that holds it."""

from pathlib import Path

LAB = "01_collaborative_filtering"  # the name of Lab 1, so that the toy makes Lab 1's claims

TOY = '''# ---
# title: A toy lab
# ---

# %% [markdown]
# # A toy lab
# Ratings, é and all.

# %% tags=["setup"]
import numpy as np

from course_utils import claims, runtime
from course_utils.exercises import check

# %% tags=["parameters"]
FAST = runtime.is_fast()
SEED = 0

# %% [markdown]
# ### Exercise 1.3: RMSE
# <details><summary>Hint 1</summary>What is under the root?</details>

# %% exercise="1.3"
def rmse(predictions, ratings):
    """Root of the mean squared error; predictions [B], ratings [B] -> float."""
    ### BEGIN SOLUTION
    error = np.asarray(predictions) - np.asarray(ratings)
    return float(np.sqrt(np.mean(error**2)))
    ### END SOLUTION

# %% check="1.3"
check("1.3", rmse)

# %% [markdown] tags=["solution"]
# The answer to "What do you see?"

# %%
# NBVAL_CHECK_OUTPUT
print("seed", SEED)

# %% [markdown]
# ### Exercise 1.1: ids

# %% exercise="1.1"
def dense_ids(raw_ids):
    """raw_ids [R] -> indices [R], ids [N]."""
    ### BEGIN SOLUTION
    ids, indices = np.unique(raw_ids, return_inverse=True)
    return indices, ids
    ### END SOLUTION

# %% check="1.1"
check("1.1", dense_ids)

# %% tags=["solution"]
print("only in the solution")
'''

CLAIMS = """# %% [markdown]
# ## The figures

# %% tags=["parameters"]
FAST = False
SHIFT = 0.0

# %%
from course_utils import claims
for one in claims.load().values():
    if one.lab == "01_collaborative_filtering":
        claims.claim(one.id, sum(one.band) / 2 + SHIFT, control=one.control_value)
"""


def make_course(folder: Path, **sources: str) -> Path:
    """A course folder with these lab sources: name without its number's leading underscore -> text."""
    (folder / "solutions").mkdir(parents=True)
    for name, text in sources.items():
        (folder / "solutions" / f"{name.removeprefix('_')}.py").write_text(text, encoding="utf-8")
    return folder
