"""`Ratings`, the real MovieLens 100K from each source, the cache, and what is said when nothing works."""

import os
import shutil
import subprocess
import sys
import zipfile
from dataclasses import FrozenInstanceError, replace
from pathlib import Path

import numpy as np
import pytest
from movielens_files import grouplens_100k, small_1m, small_32m, small_100k, zipped

from course_utils.data import (
    GENRES,
    DataError,
    Ratings,
    cache_file,
    check_cache,
    load_movielens,
    sources,
)
from course_utils.data.ratings import digests
from course_utils.data.sizes import SIZES

FIELDS = [name for name in Ratings.__dataclass_fields__ if name not in ("name", "genre_names")]


@pytest.fixture(scope="module")
def real():
    return load_movielens("100k")


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel of recbole, fetched by pip as the package does it."""
    folder = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "-d", str(folder), sources.RECBOLE]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode and not os.environ.get("CI"):
        pytest.skip(f"pip cannot fetch {sources.RECBOLE}: {done.stderr.strip()}")
    return next(folder.glob("*.whl"))


@pytest.fixture(scope="module")
def grouplens(wheel, tmp_path_factory):
    """A folder that holds ml-100k/ and ml-100k.zip as GroupLens publishes it."""
    folder = tmp_path_factory.mktemp("grouplens")
    zipped(grouplens_100k(wheel, folder / "ml-100k"), folder / "ml-100k.zip", "ml-100k")
    return folder


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and a GroupLens that refuses every connection at once."""
    folder = tmp_path / "cache"
    folder.mkdir()
    monkeypatch.setenv("COURSE_DATA_CACHE", str(folder))
    monkeypatch.setenv("COURSE_HEADLESS", "1")
    monkeypatch.delenv("COURSE_DATA_DIR", raising=False)
    monkeypatch.setattr(sources, "GROUPLENS", "http://127.0.0.1:9/")
    return folder


@pytest.fixture
def no_pip(tmp_path, monkeypatch):
    """pip finds nothing, whatever this machine has configured."""
    (tmp_path / "empty").mkdir()
    monkeypatch.setenv("PIP_CONFIG_FILE", os.devnull)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(tmp_path / "empty"))


def assert_same(a, b):
    for field in FIELDS:
        left, right = getattr(a, field), getattr(b, field)
        assert left.dtype.kind == right.dtype.kind
        np.testing.assert_array_equal(left, right, err_msg=field)


# Ratings


def small():
    return Ratings(
        name="small",
        users=[0, 1, 1],
        items=[0, 0, 1],
        ratings=[4, 3.5, 5],
        timestamps=[10, 10, 20],
        user_ids=[3, 9],
        item_ids=[5, 7],
        titles=["A (1990)", "B"],
        years=[1990, 0],
        genres=np.zeros((2, 19), bool),
    )


def test_ratings_have_dtypes_sizes_and_a_short_repr():
    r = small()
    assert (len(r), r.n_users, r.n_items) == (3, 2, 2)
    assert repr(r) == "Ratings('small': 3 ratings, 2 users, 2 items)"
    assert r.users.dtype == r.items.dtype == r.timestamps.dtype == r.user_ids.dtype == np.int64
    assert r.ratings.dtype == np.float32


def test_ratings_cannot_be_changed():
    r = small()
    with pytest.raises(FrozenInstanceError):
        r.users = np.zeros(3)
    for field in FIELDS:
        if getattr(r, field) is not None:
            with pytest.raises(ValueError, match="read-only"):
                getattr(r, field)[:1] = getattr(r, field)[1:]
    with pytest.raises(ValueError, match="read-only"):
        r.take([1]).users[0] = 5


def test_making_ratings_leaves_the_callers_array_writable():
    mine = np.array([0, 1, 1])
    replace(small(), users=mine)
    mine[0] = 1


def test_lengths_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"items has shape \(2,\), expected \(3,\)"):
        replace(small(), items=[0, 1])
    with pytest.raises(ValueError, match=r"genres has shape \(2, 18\), expected \(2, 19\)"):
        replace(small(), genres=np.zeros((2, 18)))
    with pytest.raises(ValueError, match="ages"):
        replace(small(), ages=[1])


def test_take_keeps_the_maps():
    r = small().take(np.array([2, 0]))
    assert r.items.tolist() == [1, 0]
    assert r.timestamps.tolist() == [20, 10]
    assert r.ratings.tolist() == [5, 4]
    assert (r.n_users, r.n_items) == (2, 2)
    assert small().take(np.array([False, True, False])).ratings.tolist() == [3.5]


def test_digests_see_every_value():
    r = load_movielens("sample")
    base = digests(r)
    parts = {
        "ratings": ["users", "items", "ratings", "timestamps", "user_ids", "item_ids"],
        "users": ["ages", "genders", "occupations"],
        "genres": ["genres"],
        "titles": ["titles", "years"],
    }
    for part, fields in parts.items():
        for field in fields:
            changed = getattr(r, field).copy()
            changed.flat[:] = np.roll(changed, 1)  # the same values in other places
            found = digests(replace(r, **{field: changed}))
            assert [name for name in base if found[name] != base[name]] == [part], field


# The real data


def test_the_real_data_is_what_the_course_says(real):
    assert (len(real), real.n_users, real.n_items) == (100_000, 943, 1_682)
    assert real.user_ids.tolist() == list(range(1, 944))
    assert real.item_ids.tolist() == list(range(1, 1683))
    assert np.bincount(real.ratings.astype(int)).tolist() == [0, 6110, 11370, 27145, 34174, 21201]
    assert np.bincount(real.users).min() == 20
    # the first row of u.data: 196 242 3 881250949
    assert (real.user_ids[real.users[0]], real.item_ids[real.items[0]]) == (196, 242)
    assert (real.ratings[0], real.timestamps[0]) == (3, 881250949)
    assert len(np.unique(real.users * 1682 + real.items)) == 100_000
    assert real.genre_names == GENRES
    assert real.genres.shape == (1682, 19)
    assert dict(zip(GENRES, real.genres.sum(0).tolist(), strict=True))["Drama"] == 725
    assert [GENRES[g] for g in np.flatnonzero(real.genres[0])] == ["Animation", "Children's", "Comedy"]
    assert (real.ages[0], real.genders[0], real.occupations[0]) == (24, "M", "technician")
    assert np.unique(real.genders, return_counts=True)[1].tolist() == [273, 670]
    assert len(np.unique(real.occupations)) == 21


def test_titles_of_the_real_data(real):
    at = dict(zip(real.item_ids.tolist(), real.titles.tolist(), strict=True))
    assert at[1] == "Toy Story (1995)"
    assert at[64] == "The Shawshank Redemption (1994)"
    assert at[267] == "unknown"
    assert at[543] == "Les Misérables (1995)"
    assert at[1412] == "Land Before Time III: The Time of the Great Giving (1995)"
    assert at[1633] == "Á köldum klaka (Cold Fever) (1994)"
    assert at[181] == "Return of the Jedi (1983)"  # in the title; the release date in u.item is 1997
    assert real.years[266] == 0
    assert np.delete(real.years, 266).min() == 1922
    assert real.years.max() == 1998
    assert all(
        title.endswith(f"({year})") for title, year in zip(real.titles, real.years, strict=True) if year
    )
    assert at[121] == "Independence Day (ID4) (1996)"
    assert not any(title.partition(" (")[0].endswith((", The", ", A", ", La")) for title in at.values())
    assert real.n_items - len(set(at.values())) == 18  # films that are listed twice


def test_the_pins_are_those_of_the_data(real):
    assert digests(real) == SIZES["100k"].pins


def test_grouplens_files_and_the_wheel_are_the_same_bit_for_bit(real, wheel, grouplens, cache):
    import hashlib

    data = (grouplens / "ml-100k" / "u.data").read_bytes()
    assert hashlib.md5(data).hexdigest() == "6e47046882bad158b0efbb84cd5cb987"
    from_wheel = sources.read_wheel(SIZES["100k"], wheel)
    from_files = sources.from_path(SIZES["100k"], grouplens / "ml-100k")
    assert_same(from_wheel, real)
    assert_same(from_files, real)
    assert_same(load_movielens("100k", source=grouplens / "ml-100k.zip"), real)
    assert check_cache("100k") is None
    assert_same(load_movielens("100k"), real)  # from the cache
    raw = [line.split("\t") for line in data.decode().splitlines()]
    assert real.user_ids[real.users].tolist() == [int(row[0]) for row in raw]
    assert real.item_ids[real.items].tolist() == [int(row[1]) for row in raw]
    assert real.ratings.tolist() == [int(row[2]) for row in raw]
    assert real.timestamps.tolist() == [int(row[3]) for row in raw]


def test_with_nothing_but_pip_the_wheel_is_fetched_and_cached(real, wheel, cache, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    assert check_cache("100k") == "not fetched yet"
    assert_same(load_movielens("100k"), real)
    assert check_cache("100k") is None
    assert sorted(path.name for path in cache.iterdir()) == [".ml-100k.lock", "ml-100k.npz"]


# Files that the user names, or puts there by hand


@pytest.mark.parametrize("named", ["ml-100k", "ml-100k.zip", ""])
def test_a_named_folder_or_archive_is_used(real, grouplens, cache, monkeypatch, named):
    monkeypatch.setenv("COURSE_DATA_DIR", str(grouplens / named))
    assert_same(load_movielens("100k"), real)


def test_what_is_named_and_bad_is_an_error_at_once_even_with_a_good_cache(
    grouplens, cache, tmp_path, monkeypatch
):
    shutil.copy(grouplens / "ml-100k.zip", cache)
    load_movielens("100k")
    with pytest.raises(DataError, match="nowhere: no such file or folder"):
        load_movielens("100k", source=tmp_path / "nowhere")
    short = shutil.copytree(grouplens / "ml-100k", tmp_path / "short")
    (short / "u.data").write_bytes((short / "u.data").read_bytes()[:1_000_000].rsplit(b"\n", 1)[0])
    monkeypatch.setenv("COURSE_DATA_DIR", str(short))
    with pytest.raises(DataError, match=f"{short}: .* but ml-100k has 100,000 ratings"):
        load_movielens("100k")


@pytest.mark.parametrize(
    ("name", "old", "new", "words"),
    [
        ("u.data", b"196\t242\t3\t", b"196\t242\t4\t", "the checksum of the ratings"),
        ("u.user", b"1|24|M|", b"1|25|M|", "the checksum of the users"),
        ("u.item", b"|0|0|0|1|1|1|0", b"|0|0|1|1|1|1|0", "the checksum of the genres"),
    ],
)
def test_altered_data_is_refused(grouplens, cache, tmp_path, name, old, new, words):
    altered = shutil.copytree(grouplens / "ml-100k", tmp_path / "altered")
    (altered / name).write_bytes((altered / name).read_bytes().replace(old, new, 1))
    with pytest.raises(DataError, match=words):
        load_movielens("100k", source=altered)
    assert check_cache("100k") == "not fetched yet"


def test_titles_that_lost_their_accents_are_used_with_a_warning_and_not_cached(
    real, grouplens, cache, tmp_path
):
    altered = shutil.copytree(grouplens / "ml-100k", tmp_path / "altered")
    (altered / "u.item").write_bytes((altered / "u.item").read_bytes().replace(b"\xe9", b"e"))
    with pytest.warns(UserWarning, match="altered: some titles or years are not those of GroupLens"):
        r = load_movielens("100k", source=altered)
    assert r.titles[542] == "Les Miserables (1995)"
    np.testing.assert_array_equal(r.ratings, real.ratings)
    assert check_cache("100k") == "not fetched yet"


@pytest.mark.parametrize("name", ["ml-100k", "ml-100k.zip"])
def test_files_put_by_hand_are_found(real, grouplens, cache, no_pip, name):
    (shutil.copytree if name == "ml-100k" else shutil.copy)(grouplens / name, cache / name)
    assert_same(load_movielens("100k"), real)


def test_a_half_unpacked_folder_is_named_and_the_next_source_used(real, wheel, grouplens, cache, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(wheel.parent))
    shutil.copytree(grouplens / "ml-100k", cache / "ml-100k")
    (cache / "ml-100k" / "u.user").unlink()
    with pytest.warns(UserWarning, match="ml-100k: u.user is missing. Left aside"):
        assert_same(load_movielens("100k"), real)
    assert check_cache("100k") is None


# The cache


@pytest.fixture
def filled(grouplens, cache, no_pip):
    """A cache with the data in it, and the archive beside it to fill it again."""
    shutil.copy(grouplens / "ml-100k.zip", cache)
    load_movielens("100k")
    return cache_file("100k")


def cut(path):
    path.write_bytes(path.read_bytes()[:100_000])


def empty(path):
    path.write_bytes(b"")


def no_archive(path):
    path.write_text("<html>please log in</html>")


def flip(path):
    content = bytearray(path.read_bytes())
    content[1_500_000] ^= 1
    path.write_bytes(content)


def half(path):
    with np.load(path) as stored:
        arrays = {name: stored[name] for name in ("users", "items", "digests", "genre_names")}
    np.savez(path, **arrays)


def forged(path):
    """Other ratings, with checksums that fit them."""
    with np.load(path) as stored:
        arrays = dict(stored)
    arrays["ratings"][0] = 5
    fields = {name: value for name, value in arrays.items() if name in FIELDS}
    arrays["digests"] = np.array(sorted(digests(Ratings(name="100k", **fields)).items()))
    np.savez(path, **arrays)


def pickled(path):
    np.savez(path, users=np.array([{"a": 1}], dtype=object), digests=np.zeros((0, 2), str))


@pytest.mark.parametrize("damage", [cut, empty, no_archive, flip, half, forged, pickled])
def test_a_damaged_cache_is_named_and_replaced(real, filled, damage):
    damage(filled)
    assert str(filled) in check_cache("100k")
    with pytest.warns(UserWarning, match=f"{filled}: .*It is replaced") as warned:
        assert_same(load_movielens("100k"), real)
    assert len(warned) == 1
    assert check_cache("100k") is None


def test_a_good_cache_is_loaded_without_any_other_source_and_without_words(real, filled, recwarn):
    (filled.parent / "ml-100k.zip").unlink()
    assert_same(load_movielens("100k"), real)
    assert not recwarn.list


def test_what_a_killed_process_left_is_cleared(filled):
    left = filled.with_name(".ml-100k.npz.4711.tmp")
    left.write_bytes(b"half")
    filled.unlink()
    load_movielens("100k")
    assert not left.exists()


def test_a_cache_that_cannot_be_written_is_a_warning(real, grouplens, tmp_path, monkeypatch):
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("COURSE_DATA_CACHE", str(tmp_path / "file" / "cache"))
    with pytest.warns(UserWarning, match="cannot be written"):
        assert_same(load_movielens("100k", source=grouplens), real)


# Sizes without pinned sums


@pytest.mark.parametrize(("size", "make"), [("1m", small_1m), ("32m", small_32m)])
def test_a_small_copy_of_a_larger_size_is_used_with_a_warning_and_not_cached(cache, tmp_path, size, make):
    with pytest.warns(UserWarning, match="it has 4 ratings, 2 users and 3 rated items, GroupLens publishes"):
        r = load_movielens(size, source=make(tmp_path / "files"))
    assert r.name == size
    assert check_cache(size) == "not fetched yet"


@pytest.mark.parametrize(("size", "make"), [("1m", small_1m), ("32m", small_32m)])
def test_a_whole_copy_is_cached_with_its_own_sum(cache, tmp_path, monkeypatch, size, make):
    monkeypatch.setitem(SIZES, size, replace(SIZES[size], counts=(4, 2, 3)))
    first = load_movielens(size, source=make(tmp_path / "files"))
    again = load_movielens(size)
    assert str(vars(again)) == str(vars(first))
    with np.load(cache_file(size)) as stored:
        arrays = dict(stored)
    arrays["ratings"][0] = 2
    np.savez(cache_file(size), **arrays)
    assert "the checksum of the ratings is wrong" in check_cache(size)


# Nothing works


def test_when_nothing_works_every_source_and_the_way_out_are_named(cache, no_pip):
    (cache / "ml-100k.zip").write_bytes(b"PK half a download")
    with pytest.warns(UserWarning, match="Left aside"), pytest.raises(DataError) as error:
        load_movielens("100k")
    message = str(error.value)
    assert f"cache: {cache_file('100k')} is not there" in message
    assert f"files put by hand: {cache / 'ml-100k.zip'}: not a whole zip archive" in message
    assert "GroupLens: http://127.0.0.1:9/ml-100k.zip: " in message
    assert "refused" in message
    assert "the recbole wheel: pip download recbole==1.2.1: " in message
    assert f"copy it, as it is, to {cache / 'ml-100k.zip'}" in message
    assert "COURSE_DATA_DIR" in message


def test_larger_sizes_have_no_wheel(cache):
    with pytest.raises(DataError, match="it carries only MovieLens 100K, not 1m"):
        load_movielens("1m")


def test_an_unknown_size_is_a_value_error():
    with pytest.raises(ValueError, match="size='10m': allowed are '100k', '1m', '32m' and 'sample'"):
        load_movielens("10m")


def test_small_files_are_not_taken_for_100k(cache, tmp_path):
    with pytest.raises(DataError, match="3 ratings, 2 users and 3 rated items, but ml-100k has"):
        load_movielens("100k", source=small_100k(tmp_path))


# Archives


@pytest.mark.parametrize("name", ["/etc/evil", "../evil", "ml-100k/../../evil", "C:/evil", "..\\evil"])
def test_an_archive_that_leads_outside_is_refused(grouplens, cache, tmp_path, name):
    path = Path(shutil.copy(grouplens / "ml-100k.zip", tmp_path / "unsafe.zip"))
    with zipfile.ZipFile(path, "a") as archive:
        archive.writestr(name, "x")
    with pytest.raises(DataError, match=r"unsafe archive, member .* leads outside"):
        load_movielens("100k", source=path)


def test_an_archive_with_a_link_is_refused(tmp_path):
    link = zipfile.ZipInfo("ml-100k/u.data")
    link.external_attr = 0o120777 << 16
    with zipfile.ZipFile(tmp_path / "link.zip", "w") as archive:
        archive.writestr(link, "/etc/passwd")
    with pytest.raises(DataError, match=r"unsafe archive, member 'ml-100k/u.data' is a link"):
        load_movielens("100k", source=tmp_path / "link.zip")


def test_a_file_that_is_too_large_is_refused_before_it_is_read(tmp_path):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        for name in ("u.data", "u.item", "u.user"):
            archive.writestr(f"ml-100k/{name}", bytes(33 << 20))
    with pytest.raises(DataError, match=r"u.data: 34,603,008 bytes, at most 33,554,432 are allowed"):
        load_movielens("100k", source=tmp_path / "bomb.zip")


def test_a_damaged_member_is_named(grouplens, tmp_path):
    content = bytearray((grouplens / "ml-100k.zip").read_bytes())
    content[5_000] ^= 0xFF
    (tmp_path / "bad.zip").write_bytes(content)
    with pytest.raises(DataError, match=r"bad.zip/ml-100k/u.data"):
        load_movielens("100k", source=tmp_path / "bad.zip")
