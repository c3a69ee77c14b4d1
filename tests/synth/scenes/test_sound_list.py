"""Files of a class: the same draws whether there are six of them or a million."""

from __future__ import annotations

import numpy as np
import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from synth.scenes.sound_list import SoundList, sounds_by_class


def table(paths: list[str]) -> pd.DataFrame:
    depths = [path.count("/") - 1 for path in paths]
    return pd.DataFrame(
        {
            "path": paths,
            "label": [path.split("/")[0] for path in paths],
            "source": [path.split("/")[-1] for path in paths],
            "depth": depths,
            "rate": [16_000 if n % 2 else 32_000 for n in range(len(paths))],
            "frames": range(1, len(paths) + 1),
        }
    )


NAMES = st.sampled_from("abc")
PATHS = st.lists(
    st.builds(lambda label, folders, name: "/".join([label, *folders, f"{name}.wav"]), NAMES, st.lists(NAMES, max_size=3), st.integers(0, 30)),
    unique=True,
    min_size=1,
    max_size=30,
)  # fmt: skip


@given(PATHS, st.integers(0, 3))
def test_sorted_grouped_and_cut_as_the_rules_say(paths: list[str], depth: int) -> None:
    frame = table(paths)
    lists = sounds_by_class(frame, np.arange(len(paths)), 32_000, depth)
    assert [sounds.label for sounds in lists] == sorted({path.split("/")[0] for path in paths})
    for sounds in lists:
        assert [sound.path for sound in sounds] == sorted(p for p in paths if p.split("/")[0] == sounds.label)
        for sound in sounds:
            row = paths.index(sound.path)
            assert sound.samples == (row + 1) * (2 if row % 2 else 1)
            folders = sound.path.split("/")[1:-1]
            if depth and len(folders) >= depth:
                assert sound.group == "/".join([sounds.label, *folders[:depth]])
        groups = {sound.group for sound in sounds}
        assert sounds.several_sources() == (len(groups) > 1)


@given(PATHS, st.integers(0, 2), st.data())
def test_files_of_other_sources(paths: list[str], depth: int, data: st.DataObject) -> None:
    for sounds in sounds_by_class(table(paths), np.arange(len(paths)), 32_000, depth):
        used = data.draw(st.lists(st.sampled_from([sound.group for sound in sounds]), max_size=3))
        expected = [n for n, sound in enumerate(sounds) if sound.group not in used]
        assert sounds.outside(set(used)).tolist() == expected


def test_sources_whose_hashes_agree_are_told_apart() -> None:
    sounds = SoundList(table(["a/x/1.wav", "a/y/2.wav"]), np.arange(2), "a", 32_000, 1)
    sounds._hashes = np.full(2, hash("a/x"), dtype=np.int64)
    assert sounds.outside({"a/x"}).tolist() == [1]
