"""One spelling of film titles, whichever source they come from.

GroupLens writes "Shawshank Redemption, The (1994)"; the recbole wheel keeps the year in a column of its own.
Both become "The Shawshank Redemption (1994)". The year is the one in the title, the year the film was made:
the release date in u.item is often later (the release in the United States) and the wheel does not have it.
"""

import re

# Only articles that stand behind a comma in MovieLens; "Niagara, Niagara" stays as it is.
ARTICLES = (
    "The", "A", "An", "Le", "La", "Les", "L'", "Un", "Une", "Il", "Lo", "Gli", "Una", "Der", "Die", "Das",
    "Ein", "Eine", "El", "Los", "Las", "O", "Det", "Den", "De", "Het",
)  # fmt: skip
_ARTICLE = re.compile(rf"^(?P<rest>.+), (?P<article>{'|'.join(ARTICLES)})$")
_YEAR = re.compile(r"^(?P<title>.*?)\s*\((?P<year>\d{4})(?:\s*[-\u2013]\s*(?:\d{4})?)?\)$")
_MEDIUM = re.compile(r"\s*\((?:V|TV|mini)\)$")  # for video, for television
_BRACKETS = re.compile(r"(?<= \()[^()]+(?=\))")
_MAIN = re.compile(r"^[^(]+(?= \(|$)")


def normalise_title(raw: str) -> tuple[str, int]:
    """The readable title with its year, and the year (0 = unknown).

    "Big Blue, The (Grand bleu, Le) (1988) " -> ("The Big Blue (Le Grand bleu) (1988)", 1988). Runs of blanks
    become one, "(V)" and "(TV)" behind the title go, articles move to the front, here and in brackets; of the
    years of a series, "(1994-1998)", the first is kept. No year, no brackets: "unknown" -> ("unknown", 0).
    """
    title = _MEDIUM.sub("", " ".join(raw.split()))
    match = _YEAR.match(title)
    title, year = (match["title"], int(match["year"])) if match else (title, 0)
    for part in (_MAIN, _BRACKETS):
        title = part.sub(lambda found: _article_first(found[0]), title)
    return (f"{title} ({year})" if year else title), year


def _article_first(title: str) -> str:
    match = _ARTICLE.match(title)
    if not match:
        return title
    return match["article"] + ("" if match["article"].endswith("'") else " ") + match["rest"]
