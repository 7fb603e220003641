"""Writes MovieLens files for the tests, in GroupLens' own formats."""

import zipfile
from pathlib import Path

from course_utils.data import GENRES

# Release dates that are not in the year of the title, and the odd lines of the real u.item.
DATES = {23: "16-Feb-1996", 100: "14-Feb-1997", 181: "14-Mar-1997", 1016: "", 1623: "20-Dec-1996"}
TRAILING_BLANK = {1128, 1201, 1635}


def grouplens_100k(wheel: Path, folder: Path) -> Path:
    """u.data, u.item and u.user as GroupLens writes them, made from the files in the recbole wheel."""
    folder.mkdir(parents=True, exist_ok=True)
    with zipfile.ZipFile(wheel) as archive:
        inter, item, user = (
            archive.read(f"recbole/dataset_example/ml-100k/ml-100k.{kind}").decode().split("\n", 1)[1]
            for kind in ("inter", "item", "user")
        )
    (folder / "u.data").write_bytes(inter.encode())
    (folder / "u.user").write_bytes(user.replace("\t", "|").encode())
    lines = [item_line(*line.split("\t")) for line in item.splitlines()]
    (folder / "u.item").write_bytes("".join(lines).encode("latin-1"))
    return folder


def item_line(item_id: str, title: str, year: str, genres: str) -> str:
    flags = "|".join(str(int(name in genres.split())) for name in GENRES)
    if title == "unkonwn":
        return f"{item_id}|unknown||||{flags}\n"
    if year == "V":
        title, year = f"{title} (V)", "1995"
    else:
        title = f"{title} ({year})" + " " * (int(item_id) in TRAILING_BLANK)
    date = DATES.get(int(item_id), f"01-Jan-{year}")
    url = "http://us.imdb.com/M/title-exact?" + title.strip().replace(" ", "%20").replace("é", "%E9")
    return f"{item_id}|{title}|{date}||{url}|{flags}\n"


def zipped(folder: Path, target: Path, inside: str) -> Path:
    """A zip of the files of this folder, under the folder name `inside`."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(folder.iterdir()):
            archive.write(path, f"{inside}/{path.name}")
    return target


def small_100k(folder: Path, **changed: bytes) -> Path:
    """Three ratings by two users of three films; `changed` replaces files (u_data=b"...")."""
    none, drama = ["0"] * 19, ["0"] * 8 + ["1"] + ["0"] * 10
    films = ["Postino, Il (1994)", "Fargo (1996)", "unknown"]
    items = [
        "|".join([number, title, "", "", "", *flags])
        for number, title, flags in zip("258", films, (drama, none, ["1", *none[1:]]), strict=True)
    ]
    return _write(
        folder,
        {
            "u.data": b"7\t5\t3\t881250949\n9\t2\t5\t881250949\n7\t8\t1\t881250950\n",
            "u.item": ("\n".join(items) + "\n").encode("latin-1"),
            "u.user": b"7|24|M|technician|85711\n9|53|F|other|T8H1N\n",
        },
        changed,
    )


def small_1m(folder: Path, **changed: bytes) -> Path:
    """Four ratings by two users of three films in the format of ml-1m, and one film without any rating."""
    return _write(
        folder,
        {
            "ratings.dat": b"1::1193::5::978300760\n2::661::3::978302109\n2::1193::1::978301968\n"
            b"1::11::4::9783\n",
            "movies.dat": "661::James and the Giant Peach (1996)::Animation|Children's|Musical\n"
            "1193::One Flew Over the Cuckoo's Nest (1975)::Drama\n"
            "11::American President, The (1995)::Comedy\n"
            "1::Cité, La (1998)::Drama|Romance\n".encode("latin-1"),
            "users.dat": b"1::F::1::10::48067\n2::M::56::16::70072\n",
        },
        changed,
    )


def small_32m(folder: Path, **changed: bytes) -> Path:
    """Four ratings by two users of three films in the format of ml-32m."""
    return _write(
        folder,
        {
            "ratings.csv": b"userId,movieId,rating,timestamp\n1,17,4.0,944249077\n1,25,0.5,944250228\n"
            b"4,17,4.5,943228858\n4,193609,5.0,1943230976\n",
            "movies.csv": "movieId,title,genres\n17,Sense and Sensibility (1995),Drama|Romance\n"
            '25,"City of Lost Children, The (Cité des enfants perdus, La) (1995)",Adventure|Children|IMAX\n'
            '193609,"Say ""Yes"", Now",(no genres listed)\n'.encode(),
        },
        changed,
    )


def _write(folder: Path, files: dict[str, bytes], changed: dict[str, bytes]) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for name, content in files.items():
        (folder / name).write_bytes(changed.get(name.replace(".", "_"), content))
    return folder
