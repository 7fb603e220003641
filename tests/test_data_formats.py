"""The formats of MovieLens: what is read, how titles are spelt, which rows are refused (file and line)."""

import numpy as np
import pytest
from movielens_files import small_1m, small_32m, small_100k, zipped

from course_utils.data import GENRES, DataError, formats
from course_utils.data.sizes import SIZES
from course_utils.data.sources import from_path
from course_utils.data.titles import normalise_title


def read(size, path):
    return from_path(SIZES[size], path)


def test_100k_format(tmp_path):
    r = read("100k", small_100k(tmp_path))
    assert (len(r), r.n_users, r.n_items) == (3, 2, 3)
    assert r.user_ids.tolist() == [7, 9]
    assert r.item_ids.tolist() == [2, 5, 8]
    assert r.users.tolist() == [0, 1, 0]  # in the order of u.data
    assert r.items.tolist() == [1, 0, 2]
    assert r.ratings.tolist() == [3, 5, 1]
    assert r.timestamps.tolist() == [881250949, 881250949, 881250950]
    assert r.titles.tolist() == ["Il Postino (1994)", "Fargo (1996)", "unknown"]
    assert r.years.tolist() == [1994, 1996, 0]
    assert r.genres.sum(axis=1).tolist() == [1, 0, 1]
    assert r.genres[0, GENRES.index("Drama")]
    assert r.genres[2, GENRES.index("unknown")]
    assert r.ages.tolist() == [24, 53]
    assert r.genders.tolist() == ["M", "F"]
    assert r.occupations.tolist() == ["technician", "other"]


def test_1m_format(tmp_path):
    r = read("1m", small_1m(tmp_path))
    assert r.user_ids.tolist() == [1, 2]
    assert r.item_ids.tolist() == [11, 661, 1193]  # film 1 has no rating and is left out
    assert r.users.tolist() == [0, 1, 1, 0]
    assert r.items.tolist() == [2, 1, 2, 0]
    assert r.ratings.tolist() == [5, 3, 1, 4]
    assert r.titles[0] == "The American President (1995)"
    assert r.years.tolist() == [1995, 1996, 1975]
    assert [GENRES[g] for g in np.flatnonzero(r.genres[1])] == ["Animation", "Children's", "Musical"]
    assert r.ages.tolist() == [1, 56]
    assert r.occupations.tolist() == ["K-12 student", "self-employed"]


def test_1m_is_latin_1(tmp_path):
    rated = b"1::1::5::978300760\n"
    r = read("1m", small_1m(tmp_path, ratings_dat=rated))
    assert r.titles.tolist() == ["La Cité (1998)"]
    assert r.user_ids.tolist() == [1]  # user 2 has no rating and is left out
    assert r.ages.tolist() == [1]


def test_32m_format(tmp_path):
    r = read("32m", small_32m(tmp_path))
    assert r.user_ids.tolist() == [1, 4]
    assert r.item_ids.tolist() == [17, 25, 193609]
    assert r.ratings.tolist() == [4.0, 0.5, 4.5, 5.0]
    assert r.titles[1] == "The City of Lost Children (La Cité des enfants perdus) (1995)"
    assert r.titles[2] == 'Say "Yes", Now'
    assert r.years.tolist() == [1995, 1995, 0]
    assert [GENRES[g] for g in np.flatnonzero(r.genres[1])] == ["Adventure", "Children's"]  # IMAX is no genre
    assert [GENRES[g] for g in np.flatnonzero(r.genres[2])] == ["unknown"]
    assert r.genre_names == GENRES
    assert r.ages is None
    assert r.genders is None
    assert r.occupations is None
    assert r.take([0]).ages is None


@pytest.mark.parametrize(("size", "make"), [("100k", small_100k), ("1m", small_1m), ("32m", small_32m)])
def test_a_zip_a_folder_and_a_folder_around_them_give_the_same(tmp_path, size, make):
    folder = SIZES[size].folder
    plain = make(tmp_path / "deep" / folder)
    packed = zipped(plain, tmp_path / f"{folder}.zip", folder)
    texts = [str(vars(read(size, path))) for path in (plain, tmp_path / "deep", packed, tmp_path)]
    assert len(set(texts)) == 1


def test_windows_line_ends_and_a_missing_last_one_are_read(tmp_path):
    unix = read("100k", small_100k(tmp_path / "a"))
    for path in small_100k(tmp_path / "b").iterdir():
        path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n").removesuffix(b"\r\n"))
    assert str(vars(read("100k", tmp_path / "b"))) == str(vars(unix))


@pytest.mark.parametrize("block_bytes", [1, 7, 40, 1 << 24])
def test_blocks_cut_lines_nowhere(tmp_path, monkeypatch, block_bytes):
    whole = read("32m", small_32m(tmp_path))
    monkeypatch.setattr(formats, "BLOCK_BYTES", block_bytes)
    assert str(vars(read("32m", tmp_path))) == str(vars(whole))


GOOD = "7\t5\t3\t881250949\n9\t2\t5\t881250949\n"


@pytest.mark.parametrize(
    ("row", "words"),
    [
        ("7\t8\t1", "3 columns, expected 4"),
        ("7\t8\t1\t881250950\t", "5 columns, expected 4"),
        ("7\t8\t1\t881250950\t4", "5 columns, expected 4"),
        ("7 8 1 881250950", "1 column, expected 4"),
        ("", "1 column, expected 4"),
        ("x\t8\t1\t881250950", "user is 'x'"),
        ("7\t8.5\t1\t881250950", "item is '8.5'"),
        ("7\t\t1\t881250950", "item is ''"),
        ("7\t8\tfour\t881250950", "rating is 'four'"),
        ("7\t8\tnan\t881250950", "rating is 'nan'"),
        ("7\t8\t1\tyesterday", "timestamp is 'yesterday'"),
        ("7\t8\t0\t881250950", "rating is 0, allowed are 1 to 5"),
        ("7\t8\t6\t881250950", "rating is 6, allowed are 1 to 5"),
        ("7\t8\t3.5\t881250950", "rating is 3.5, allowed are 1 to 5"),
        ("7\t8\t-1\t881250950", "rating is '-1'"),
        ("7\t99999999999\t1\t881250950", "item 99999999999 is too large"),
        ("7\t5\t1\t881250950", "user 7 rates item 5 again (first in line 1)"),
        ("8\t8\t1\t881250950", "user 8 is not in the list of users"),
        ("7\t6\t1\t881250950", "item 6 is not in the list of items"),
    ],
)
@pytest.mark.parametrize("block_bytes", [30, 1 << 24])
def test_a_bad_row_of_u_data_is_named(tmp_path, monkeypatch, row, words, block_bytes):
    monkeypatch.setattr(formats, "BLOCK_BYTES", block_bytes)
    folder = small_100k(tmp_path, u_data=f"{GOOD}{row}\n9\t8\t2\t881250951\n".encode())
    with pytest.raises(DataError) as error:
        read("100k", folder)
    assert str(error.value).startswith(f"{folder / 'u.data'}, line 3: ")
    assert words in str(error.value)


def test_five_columns_in_every_row_are_not_an_index(tmp_path):
    with pytest.raises(DataError, match="line 1: 5 columns"):
        read("100k", small_100k(tmp_path, u_data=b"7\t5\t3\t881250949\t1\n9\t2\t5\t881250949\t1\n"))


def test_five_columns_that_would_pass_as_four_are_refused(tmp_path):
    # without its first column, each row looks good to the parser
    with pytest.raises(DataError, match="line 1: 5 columns"):
        read("100k", small_100k(tmp_path, u_data=b"1\t7\t5\t3\t881250949\n1\t9\t2\t5\t881250949\n"))


def test_a_lone_carriage_return_is_no_line_end(tmp_path):
    with pytest.raises(DataError, match="line 1: 7 columns"):
        read("100k", small_100k(tmp_path, u_data=b"7\t5\t3\t881250949\r9\t2\t5\t881250949\n"))


def test_of_several_repeated_pairs_the_first_in_the_file_is_named(tmp_path):
    rows = b"9\t2\t5\t1\n7\t5\t3\t1\n9\t2\t4\t1\n7\t5\t3\t1\n9\t2\t5\t1\n"
    with pytest.raises(DataError, match=r"line 3: user 9 rates item 2 again \(first in line 1\)"):
        read("100k", small_100k(tmp_path, u_data=rows))


def test_columns_that_make_up_for_each_other_are_refused(tmp_path):
    rows = b"7\t5\t3\n9\t2\t5\t881250949\t1\n"  # 6 tabs in 2 rows, as it should be
    with pytest.raises(DataError, match="line 1: 3 columns"):
        read("100k", small_100k(tmp_path, u_data=rows))
    rows = b"9\t2\t5\t881250949\t1\n7\t5\t3\n"
    with pytest.raises(DataError, match="line 1: 5 columns"):
        read("100k", small_100k(tmp_path, u_data=rows))


@pytest.mark.parametrize(
    ("size", "make", "changed", "words"),
    [
        ("100k", small_100k, {"u_data": b""}, "u.data: no ratings"),
        ("100k", small_100k, {"u_item": b"2|Fargo (1996)\n"}, "u.item, line 1: 2 columns, expected 24"),
        ("100k", small_100k, {"u_item": b"2|F|||" + b"|0" * 18 + b"|2\n"}, "u.item, line 1: the genre flags"),
        ("100k", small_100k, {"u_item": b"x|F|||" + b"|0" * 19 + b"\n"}, "u.item, line 1: id is 'x'"),
        ("100k", small_100k, {"u_item": (b"2|F|||" + b"|0" * 19 + b"\n") * 2}, "line 2: item 2 is listed"),
        ("100k", small_100k, {"u_item": b""}, "u.item, line 1: 1 column"),
        ("100k", small_100k, {"u_user": b"7|24|M|technician\n"}, "u.user, line 1: 4 columns, expected 5"),
        ("100k", small_100k, {"u_user": b"7|24|M|x|1\n9|young|F|x|1\n"}, "u.user, line 2: age is 'young'"),
        ("100k", small_100k, {"u_user": b"7|24|?|x|1\n"}, "u.user, line 1: gender is '?'"),
        ("100k", small_100k, {"u_user": b"7|24|M|x|1\n7|24|M|x|1\n"}, "line 2: user 7 is listed twice"),
        ("1m", small_1m, {"ratings_dat": b"1::1193::5\n"}, "ratings.dat, line 1: 3 columns"),
        ("1m", small_1m, {"ratings_dat": b"1:1193::5::978300760\n"}, "ratings.dat, line 1: 3 columns"),
        ("1m", small_1m, {"ratings_dat": b"1::1193::4.5::9\n"}, "ratings.dat, line 1: rating is 4.5"),
        ("1m", small_1m, {"ratings_dat": b"1::1193::4::9\n3::661::4::9\n"}, "line 2: user 3 is not in"),
        ("1m", small_1m, {"movies_dat": b"11::A::Comedy\n12::B::Commedia\n"}, "line 2: genre 'Commedia'"),
        ("1m", small_1m, {"users_dat": b"1::F::1::21::48067\n"}, "users.dat, line 1: occupation is 21"),
        ("32m", small_32m, {"ratings_csv": b"1,17,4.0,944249077\n"}, "ratings.csv, line 1: the header is"),
        (
            "32m",
            small_32m,
            {"ratings_csv": b"userId,movieId,rating,timestamp\n1,17,4.0,9\n1,25,0,9\n"},
            "ratings.csv, line 3: rating is 0, allowed are 0.5 to 5 in steps of 0.5",
        ),
        (
            "32m",
            small_32m,
            {"ratings_csv": b"userId,movieId,rating,timestamp\n1,17,4.0,9\n1,26,4.0,9\n"},
            "ratings.csv, line 3: item 26 is not in the list of items",
        ),
        (
            "32m",
            small_32m,
            {"ratings_csv": b"userId,movieId,rating,timestamp\n1,17,4.0,9\n1,17,4.5,9\n"},
            "ratings.csv, line 3: user 1 rates item 17 again (first in line 2)",
        ),
        ("32m", small_32m, {"ratings_csv": b"userId,movieId,rating,timestamp\n"}, "ratings.csv: no ratings"),
        ("32m", small_32m, {"movies_csv": b"17,A,Drama\n"}, "movies.csv, line 1: the header is"),
        ("32m", small_32m, {"movies_csv": b"movieId,title,genres\n17,A, B,Drama\n"}, "line 2: 4 columns"),
        ("32m", small_32m, {"movies_csv": b"movieId,title,genres\n17,A,Opera\n"}, "line 2: genre 'Opera'"),
        ("32m", small_32m, {"movies_csv": b'movieId,title,genres\n17,"A,Drama\n'}, "movies.csv, line "),
        ("32m", small_32m, {"movies_csv": b"movieId,title,genres\n17,\xe9,Drama\n"}, "movies.csv, line "),
        ("32m", small_32m, {"movies_csv": b"movieId,title,genres\n"}, "movies.csv: no items"),
        ("32m", small_32m, {"movies_csv": b""}, "movies.csv: no items"),
    ],
)
def test_a_bad_file_is_named_with_its_line(tmp_path, size, make, changed, words):
    with pytest.raises(DataError) as error:
        read(size, make(tmp_path, **changed))
    assert str(tmp_path) in str(error.value)
    assert words in str(error.value)


@pytest.mark.parametrize("name", ["u.data", "u.item", "u.user"])
def test_a_missing_file_is_named(tmp_path, name):
    (small_100k(tmp_path) / name).unlink()
    with pytest.raises(DataError, match=f"{tmp_path}: {name} is missing"):
        read("100k", tmp_path)


def test_nothing_there(tmp_path):
    with pytest.raises(DataError, match="no such file or folder"):
        read("100k", tmp_path / "nowhere")


@pytest.mark.parametrize(
    ("raw", "title", "year"),
    [
        ("Toy Story (1995)", "Toy Story (1995)", 1995),
        ("Shawshank Redemption, The (1994)", "The Shawshank Redemption (1994)", 1994),
        ("Close Shave, A (1995)", "A Close Shave (1995)", 1995),
        ("Big Blue, The (Grand bleu, Le) (1988)", "The Big Blue (Le Grand bleu) (1988)", 1988),
        ("Star Maker, The (Uomo, L') (1995)", "The Star Maker (L'Uomo) (1995)", 1995),
        ("Convent, The (Convento, O) (1995)", "The Convent (O Convento) (1995)", 1995),
        ("Die xue shuang xiong (Killer, The) (1989)", "Die xue shuang xiong (The Killer) (1989)", 1989),
        ("A, The (a.k.a. B) (C, Le) (1990)", "The A (a.k.a. B) (Le C) (1990)", 1990),
        ("Niagara, Niagara (1997)", "Niagara, Niagara (1997)", 1997),
        ("Mrs. Brown (Her Majesty, Mrs. Brown) (1997)", "Mrs. Brown (Her Majesty, Mrs. Brown) (1997)", 1997),
        ("Land Before Time III (1995) (V)", "Land Before Time III (1995)", 1995),
        ("Two  Friends (1986) ", "Two Friends (1986)", 1986),
        ("2001: A Space Odyssey (1968)", "2001: A Space Odyssey (1968)", 1968),
        ("1984", "1984", 0),
        ("unknown", "unknown", 0),
        ("Babylon 5", "Babylon 5", 0),
        ("Fawlty Towers (1975-1979)", "Fawlty Towers (1975)", 1975),
        ("Big Little Lies (2017\u2013)", "Big Little Lies (2017)", 2017),
        ("(500) Days of Summer (2009)", "(500) Days of Summer (2009)", 2009),
        ("Cité des enfants perdus, La (1995)", "La Cité des enfants perdus (1995)", 1995),
    ],
)
def test_titles(raw, title, year):
    assert normalise_title(raw) == (title, year)
    assert normalise_title(title) == (title, year)  # a second time changes nothing
