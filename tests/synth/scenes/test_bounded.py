"""Text that others wrote is bounded and unambiguous before anything else looks at it."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from synth.errors import SynthError
from synth.scenes.bounded import MAX_TEXT_BYTES, load_json, load_yaml, path_inside, read_bounded


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\na: 2\n", "given twice"),
        ("a: {b: 1, b: 2}", "given twice"),
        ("a: &x [1]\nb: *x\n", "aliases"),
        ("a: !!python/object/apply:os.system [ls]", "could not determine a constructor"),
        ("a: !mine 1", "could not determine a constructor"),
        ("a: [1, 2", "not valid YAML"),
        ("a: 1\n---\nb: 2\n", "not valid YAML"),
        ("? [1, 2]\n: 3\n", "not valid YAML"),
        ("[" * 5000, "nested|not valid"),
        ("a: " + "[" * 30 + "]" * 30, "nested deeper"),
        ("x" * (MAX_TEXT_BYTES + 1), "longer than"),
        (b"\xff\xfe", "UTF-8"),
        ("a: \x00", "not valid YAML"),
    ],
)
def test_hostile_yaml_is_refused_quickly(text: str | bytes, message: str) -> None:
    began = time.perf_counter()
    with pytest.raises(SynthError, match=message) as caught:
        load_yaml(text, where="mine.yaml")
    assert caught.value.where == "mine.yaml"
    assert time.perf_counter() - began < 5


def test_yaml_bombs_of_aliases_stay_small() -> None:
    bomb = "a: &a [x, x]\n" + "".join(
        f"{c}: &{c} [*{p}, *{p}]\n" for p, c in zip("abcdefg", "bcdefgh", strict=True)
    )
    with pytest.raises(SynthError, match="aliases"):
        load_yaml(bomb, where="bomb")


def test_plain_yaml_and_json_are_read() -> None:
    assert load_yaml("a: [1, 2.5, null, true, x]", where="x") == {"a": [1, 2.5, None, True, "x"]}
    assert load_json(b'{"a": [1, 2.5, null, true, "x"]}', where="x") == {"a": [1, 2.5, None, True, "x"]}


@pytest.mark.parametrize(
    "text", ['{"a": NaN}', "[Infinity]", '{"a": 1, "a": 1}', "[" * 10**5, "{", b"\xff", "1 2"]
)
def test_json_that_is_not_strict_is_refused(text: str | bytes) -> None:
    with pytest.raises(SynthError, match=r"x\.json"):
        load_json(text, where="x.json")


def test_files_are_read_up_to_a_limit(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"12345")
    assert read_bounded(path, 5) == b"12345"
    with pytest.raises(SynthError, match="longer than 4 bytes"):
        read_bounded(path, 4)
    with pytest.raises(SynthError, match="No such file"):
        read_bounded(tmp_path / "b")
    with pytest.raises(SynthError, match="cannot be read"):
        read_bounded(tmp_path)
    with pytest.raises(SynthError, match="cannot be read"):
        read_bounded(Path("a\0b"))


@pytest.mark.parametrize(
    "path", ["/etc/passwd", "../x", "a/../../x", "a/..", "", ".", "a\0b", "link/x", "loop/x"]
)
def test_paths_that_leave_the_root_are_refused(tmp_path: Path, path: str) -> None:
    root = tmp_path / "root"
    root.mkdir()
    (root / "link").symlink_to(tmp_path)
    (root / "loop").symlink_to(root / "loop")
    with pytest.raises(SynthError, match="here"):
        path_inside(root, path, where="here")


@pytest.mark.parametrize("path", ["a/b.wav", "./a//b.wav", "~/a.wav", "-a", "a b/ü.wav", "..a/b"])
def test_odd_but_honest_paths_are_kept(tmp_path: Path, path: str) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "inner").symlink_to(tmp_path / "real")
    assert path_inside(tmp_path, path, where="here") == str(Path(path))
    assert path_inside(tmp_path, "inner/x", where="here") == "inner/x"
