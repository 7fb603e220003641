"""Write the small generated data set in data/sample: `python -m course_utils.data.sample [folder]`.

Invented users, films and ratings in the format of MovieLens 100K (u.data, u.item, u.user). The ratings come
from a known model (tastes times genres, plus biases, plus noise), and who rates what depends on popularity
and taste, so that a good model has something to find. Only `random.Random.random()` and + - * / are used:
Python promises the same numbers from the same seed on every version, so the files never change by a byte.
"""

import sys
from collections.abc import Iterable
from pathlib import Path
from random import Random

from .ratings import GENRES

N_USERS, N_ITEMS, N_RATINGS, N_TASTES = 200, 300, 10_000, 5
START, DAY, N_DAYS = 875_000_000, 86_400, 210

# Genre -> words of its titles; the genres are also the tastes: words that go together share one number.
NOUNS = {
    "Comedy": (0, ["Picnic", "Wedding", "Umbrella", "Neighbour", "Parrot", "Waiter", "Trousers", "Landlady"]),
    "Romance": (0, ["Letter", "Garden", "Waltz", "Sunday", "Balcony", "Promise", "Violin", "Orchard"]),
    "Drama": (1, ["Harbour", "Inheritance", "Silence", "Winter", "Verdict", "Brother", "Village", "Mirror"]),
    "War": (1, ["Trench", "Armistice", "Battalion", "Bridge", "Frontier", "Siege", "Courier", "Regiment"]),
    "Action": (2, ["Pursuit", "Hostage", "Runway", "Detonator", "Convoy", "Hurricane", "Engine", "Vault"]),
    "Sci-Fi": (2, ["Orbit", "Android", "Comet", "Signal", "Colony", "Machine", "Eclipse", "Laboratory"]),
    "Thriller": (3, ["Witness", "Alibi", "Stranger", "Corridor", "Ransom", "Shadow", "Informer", "Cellar"]),
    "Horror": (3, ["Crypt", "Scarecrow", "Attic", "Moth", "Fog", "Puppet", "Mansion", "Well"]),
    "Animation": (4, ["Hedgehog", "Teapot", "Snowman", "Dragon", "Kite", "Mouse", "Lantern", "Toymaker"]),
    "Musical": (4, ["Carousel", "Trumpet", "Chorus", "Parade", "Ballad", "Melody", "Dancer", "Encore"]),
}
ADJECTIVES = [
    "Crimson", "Quiet", "Last", "Borrowed", "Paper", "Midnight", "Second", "Golden", "Forgotten", "Distant",
    "Hollow", "Northern", "Broken", "Invisible", "Velvet", "Restless", "Seventh", "Patient",
]  # fmt: skip
FOREIGN = ["Dernière {}, La", "{} perduto, Il", "Schöne {}, Das", "{} del señor, El", "{} oublié, Le"]
OCCUPATIONS = ["student", "educator", "engineer", "librarian", "writer", "artist", "retired", "other"]


def make_sample(folder: Path) -> None:
    """Writes u.data, u.item and u.user into this folder (made if need be): 10,000 ratings, 200 x 300."""
    rng = Random(20_240)
    items, item_genres, item_vecs = _films(rng)
    users, user_vecs = _people(rng)
    popularity = [1 / (12 + rank) for rank in _shuffled(rng, range(N_ITEMS))]
    item_bias = [0.25 * _gauss(rng) + 6 * popularity[item] for item in range(N_ITEMS)]
    user_bias = [0.35 * _gauss(rng) for _ in range(N_USERS)]
    rows = []
    for user, n in enumerate(_activity(rng)):
        liking = [_dot(user_vecs[user], vec) for vec in item_vecs]
        weights = [popularity[i] * _appeal(liking[i]) for i in range(N_ITEMS)]
        chosen = _draw(rng, weights, n)
        for item, timestamp in zip(chosen, _visits(rng, n), strict=True):
            score = 3.2 + user_bias[user] + item_bias[item] + liking[item] + 0.5 * _gauss(rng)
            stars = min(5, max(1, int(score + 0.5)))
            rows.append((users[user][0], items[item][0], stars, timestamp))
    folder.mkdir(parents=True, exist_ok=True)
    _write(folder / "u.data", ["\t".join(map(str, row)) for row in _shuffled(rng, rows)])
    _write(folder / "u.user", ["|".join(map(str, user)) for user in users])
    flags = [["1" if name in genres else "0" for name in GENRES] for genres in item_genres]
    _write(folder / "u.item", ["|".join([*map(str, i), *f]) for i, f in zip(items, flags, strict=True)])


def _films(rng: Random):
    """(rows of u.item without flags, genres of each film, vectors): a film has the tastes of its genres."""
    titles = [(f"{a} {noun}, The", genre) for genre in NOUNS for noun in NOUNS[genre][1] for a in ADJECTIVES]
    titles = _shuffled(rng, titles)[:N_ITEMS]
    items, genres, vecs = [], [], []
    for number, (title, genre) in enumerate(titles):
        item_id = 1 + number + number // 4  # every fifth number is not used
        second = list(NOUNS)[int(rng.random() * len(NOUNS))]
        genres.append({genre, second} if rng.random() < 0.5 else {genre})
        if number % 25 == 7:
            word = title.split(" ")[1].rstrip(",")
            title = f"{title} ({FOREIGN[number // 25 % len(FOREIGN)].format(word)})"
        year = 1998 - int(60 * rng.random() * rng.random())
        items.append((item_id, f"{title} ({year})", f"01-Jan-{year}", "", ""))
        vec = [0.2 * _gauss(rng) for _ in range(N_TASTES)]
        for name in sorted(genres[-1]):
            vec[NOUNS[name][0]] += 1.0 if name == genre else 0.5
        vecs.append(vec)
    items[100] = (items[100][0], "unknown", "", "", "")  # as in the real data: one film nobody knows
    genres[100] = {"unknown"}
    return items, genres, vecs


def _people(rng: Random):
    """(rows of u.user, vectors): how much a user likes each taste."""
    users, vecs = [], []
    for number in range(N_USERS):
        user_id = 3 + number + number // 10  # begins at 3, every eleventh number is not used
        age = 15 + int(55 * rng.random() * rng.random())
        gender = "F" if rng.random() < 0.4 else "M"
        occupation = OCCUPATIONS[int(rng.random() * len(OCCUPATIONS))]
        users.append((user_id, age, gender, occupation, f"{10_000 + int(rng.random() * 89_999):05d}"))
        vec = [0.9 * _gauss(rng) for _ in range(N_TASTES)]
        vec[4] += (35 - age) / 40  # the young like animation and musicals
        vecs.append(vec)
    return users, vecs


def _activity(rng: Random) -> list[int]:
    """How many films each user rates: at least 10, a long tail, N_RATINGS in all."""
    raw = []
    for _ in range(N_USERS):
        x = rng.random()
        raw.append(0.08 + x * x * x)
    scale = (N_RATINGS - 10 * N_USERS) / _total(raw)
    counts = [10 + int(scale * x) for x in raw]
    counts[0] += N_RATINGS - sum(counts)
    return counts


def _appeal(liking: float) -> float:
    """How much taste adds to the chance that a film is seen: above 0, grows with liking."""
    return (1 + 2 * liking) * (1 + 2 * liking) if liking > 0 else 1 / (1 - 1.5 * liking)


def _visits(rng: Random, n: int) -> list[int]:
    """Timestamps of n ratings: one to three evenings; a page of up to five films is rated in one second."""
    first = rng.random() * N_DAYS
    evenings = [START + int((first + day) * DAY) for day in (0, 3, 20)][: 1 + n // 30]
    stamps = []
    while len(stamps) < n:
        evening = evenings[len(stamps) * len(evenings) // n]
        page = evening + 20 * len(stamps) + int(rng.random() * 15)
        stamps += [page] * (1 + int(rng.random() * 5))
    return stamps[:n]


def _draw(rng: Random, weights: list[float], n: int) -> list[int]:
    """n different indices, one after the other, each with a chance in proportion to its weight."""
    left, chosen = dict(enumerate(weights)), []
    for _ in range(n):
        mark = rng.random() * _total(left.values())
        for index in left:
            mark -= left[index]
            if mark < 0:
                break
        chosen.append(index)
        del left[index]
    return chosen


def _gauss(rng: Random) -> float:
    """A sum of uniform numbers, near enough to a standard normal one."""
    return _total(rng.random() for _ in range(12)) - 6


def _shuffled(rng: Random, values) -> list:
    keyed = [(rng.random(), value) for value in values]
    return [value for _, value in sorted(keyed, key=lambda pair: pair[0])]


def _dot(a: list[float], b: list[float]) -> float:
    return _total(x * y for x, y in zip(a, b, strict=True))


def _total(values: Iterable[float]) -> float:
    """One addition after the other; sum() rounds differently from Python 3.12 on."""
    total = 0.0
    for value in values:
        total += value
    return total


def _write(path: Path, lines: list[str]) -> None:
    path.write_bytes("".join(line + "\n" for line in lines).encode("latin-1"))


if __name__ == "__main__":
    here = Path(__file__).parents[2] / "data" / "sample"
    make_sample(Path(sys.argv[1]) if len(sys.argv) > 1 else here)
