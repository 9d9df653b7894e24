"""Files and folders are whole or absent."""

import pytest

from kvgym import _atomic


def test_a_file_takes_the_place_of_the_old_one(tmp_path):
    path = tmp_path / "new" / "a.txt"
    for text in ("one", "two"):
        _atomic.write(path, text)
        assert path.read_text() == text
    assert list(path.parent.iterdir()) == [path]


def test_a_folder_takes_the_place_of_the_old_one(tmp_path):
    for name in ("one", "two"):
        with _atomic.replacing(tmp_path / "folder") as temporary:
            temporary.mkdir()
            (temporary / name).touch()
    assert [path.name for path in (tmp_path / "folder").iterdir()] == ["two"]
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("folder", [False, True])
def test_what_fails_leaves_things_as_they_were(tmp_path, folder):
    path = tmp_path / "a"
    _atomic.write(path, "old")
    with pytest.raises(KeyboardInterrupt), _atomic.replacing(path) as temporary:
        temporary.mkdir() if folder else temporary.write_text("half")
        raise KeyboardInterrupt
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
