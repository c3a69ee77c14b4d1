"""Official scene files: what is read is what the official renderer plays, and what is written it can read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from synth.errors import SynthError
from synth.scenes.dcase_json import RoomFacts, read_list, read_scene, to_dcase_scene
from synth.scenes.dcase_write import seconds_for
from synth.scenes.labels import strong_labels
from synth.scenes.spec import EventSpec, NoiseSpec, SceneSpec, TrimSpec

GOLDEN = Path(__file__).parents[2] / "golden" / "scene_json"
T = 320_000


def golden(year: int) -> Any:
    return json.loads((GOLDEN / f"dcase{year}.json").read_text())


def grid(scene: Any) -> np.ndarray:
    """A place with the positions of the scene and some that nobody asks for."""
    wanted = [e["event_position"][0] for e in (*scene["fg_events"], *scene["int_events"])]
    return np.array([[9.0, 9.0, 9.0], *wanted, [-9.0, 0.0, 0.0]])


def read(tmp_path: Path, scene: Any, table: np.ndarray | None = None) -> SceneSpec:
    path = tmp_path / "scene.json"
    path.write_text(scene if isinstance(scene, str) else json.dumps(scene))
    found = grid(scene) if table is None else table
    return read_scene(path, tmp_path, lambda _: found)


@pytest.mark.parametrize("year", [2025, 2026])
def test_a_golden_file_comes_back_key_by_key(tmp_path: Path, year: int) -> None:
    scene = golden(year)
    spec = read(tmp_path, scene)
    facts = RoomFacts(rate=32_000, channels=4, positions=360, taps=32_000)
    assert to_dcase_scene(spec, room=facts) == scene
    assert SceneSpec.from_json(spec.to_json()) == spec


def test_2025_reading_follows_the_2025_rules(tmp_path: Path) -> None:
    spec = read(tmp_path, golden(2025))
    assert (spec.rules, spec.duration, spec.sample_rate, spec.ref_db) == ("dcase2025", T, 32_000, -50)
    assert spec.place == "data/dev_set/room_ir/valid/room_v54.sofa"
    second = spec.targets[1]
    assert second.path == "data/dev_set/sound_event/valid/VacuumCleaner/VacuumCleaner_valid_02.wav"
    assert second.onset == int(0.28171281501909096 * 32_000)
    assert second.duration == int(6.73671875 * 32_000)
    assert second.position == 2
    assert second.file_times is not None
    assert second.file_times.event_time == 0.28171281501909096
    assert (spec.dry.before_ms, spec.dry.after_ms, spec.dry.channel) == (6, 50, 0)
    assert spec.noise is not None
    assert spec.noise.path == "data/dev_set/edge/noise/long12.wav"


def test_tails_end_where_the_generator_ends_them(tmp_path: Path) -> None:
    wanted = json.loads((GOLDEN / "dcase2025_tails.json").read_text())
    spec = read(tmp_path, golden(2025))
    labels = strong_labels(spec, tails=[wanted["taps"]] * 3, support="tail")
    assert [one.label for one in labels] == wanted["labels"]
    assert [[one.onset, one.offset] for one in labels] == wanted["onset_offset"]


def test_order_of_sources_differs_by_year(tmp_path: Path) -> None:
    for year, sorted_interferers in ((2025, False), (2026, True)):
        scene = golden(year)
        early, late = dict(scene["int_events"][0]), dict(scene["int_events"][0])
        early["event_time"], late["event_time"] = 0.0, 1.0
        scene["int_events"] = [late, early]
        scene["fg_events"].reverse()
        spec = read(tmp_path, scene)
        onsets = [event.onset for event in spec.interferers]
        assert onsets == ([0, 32_000] if sorted_interferers else [32_000, 0])
        assert [e.onset for e in spec.targets] == sorted(e.onset for e in spec.targets)


def test_position_is_nearest_in_2025_and_exact_in_2026(tmp_path: Path) -> None:
    for year in (2025, 2026):
        scene = golden(year)
        table = grid(scene)
        assert read(tmp_path, scene, table + 9e-7).targets[0].position == 1
        if year == 2025:
            assert read(tmp_path, scene, table + 0.05).targets[0].position == 1
        else:
            with pytest.raises(SynthError, match=r"fg_events\.0\.event_position.*none of the"):
                read(tmp_path, scene, table + 2e-6)


def test_noise_shorter_than_the_scene_has_no_source_time(tmp_path: Path) -> None:
    scene = golden(2025)
    scene["bg_events"][0]["source_time"] = None
    noise = read(tmp_path, scene).noise
    assert noise is not None
    assert (noise.start, noise.file_times is not None and noise.file_times.source_time) == (0, None)
    scene["bg_events"] = []
    assert read(tmp_path, scene).noise is None


def test_the_old_key_init_args_is_understood(tmp_path: Path) -> None:
    scene = golden(2025)
    scene["init_args"] = scene.pop("config")
    assert read(tmp_path, scene).ref_db == -50


@pytest.mark.parametrize(
    ("place", "value", "message"),
    [
        (("fg_events", 0, "snr"), "loud", r"fg_events\.0\.snr"),
        (("fg_events", 0, "event_position"), None, r"fg_events\.0\.event_position"),
        (("fg_events", 0, "event_time"), 10.0, r"fg_events\.0.*do not fit"),
        (("fg_events", 0, "event_time"), -1, r"fg_events\.0\.event_time"),
        (("fg_events", 0, "event_duration"), 1e-6, r"fg_events\.0.*do not fit"),
        (("fg_events", 0, "pitch_shift"), 2, r"fg_events\.0\.pitch_shift"),
        (("fg_events", 0, "label"), "../../x", r"fg_events\.0: label"),
        (("fg_events", 0, "source_file"), "../../../../etc/passwd", "not a relative path"),
        (("fg_events", 0, "source_file"), "/etc/passwd", "not a relative path"),
        (("config", "foreground_dir"), "/etc", "not a relative path"),
        (("config", "interference_dir"), None, "interference_dir"),
        (("config", "sr"), 1, r"config\.sr"),
        (("config", "ref_channel"), -1, r"config\.ref_channel"),
        (("room",), "../x.sofa", "not a relative path"),
        (("room",), 7, "room"),
        (("bg_events",), golden(2025)["bg_events"] * 2, "bg_events"),
    ],
)
def test_a_faulty_field_is_named(tmp_path: Path, place: tuple[Any, ...], value: Any, message: str) -> None:
    scene = golden(2025)
    table = grid(scene)
    spot = scene
    for key in place[:-1]:
        spot = spot[key]
    spot[place[-1]] = value
    with pytest.raises(SynthError, match=message):
        read(tmp_path, scene, table)


def test_all_faults_are_reported_at_once(tmp_path: Path) -> None:
    scene = golden(2026)
    table = grid(scene)
    del scene["config"]["sr"]
    scene["fg_events"][1]["snr"] = None
    del scene["room"]["args"]["metadata"]["sofa_path"]
    with pytest.raises(SynthError) as caught:
        read(tmp_path, scene, table)
    for field in ("config.sr", "fg_events.1.snr", "sofa_path"):
        assert field in str(caught.value)


def test_links_do_not_lead_out_of_the_root(tmp_path: Path) -> None:
    root = tmp_path / "root"
    (root / "data").mkdir(parents=True)
    (root / "data" / "dev_set").symlink_to(tmp_path)
    scene = golden(2025)
    with pytest.raises(SynthError, match="leads out of"):
        read(root, scene)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"config": NaN}', "NaN"),
        ('{"config": 1, "config": 2}', "given twice"),
        ("[" * 200_000, "nested|JSON"),
        ("[" * 30 + "]" * 30, "nested"),
        ('{"a": ' + "9" * 5000 + "}", "JSON"),
        ("{", "JSON"),
        (" " * ((1 << 20) + 1), "longer than"),
    ],
)
def test_hostile_json_is_refused(tmp_path: Path, text: str, message: str) -> None:
    with pytest.raises(SynthError, match=message):
        read(tmp_path, text, np.zeros((1, 3)))


def test_lists_are_read_relative_to_their_folder(tmp_path: Path) -> None:
    path = tmp_path / "valid.json"
    names = ["Speech", "silence", "silence"]
    path.write_text(
        json.dumps([{"metadata_path": "valid/0.json", "ref_event": names}, {"metadata_path": "valid/1.json"}])
    )
    first, second = read_list(path)
    assert (first.path, first.ref_event) == (tmp_path / "valid/0.json", tuple(names))
    assert second.ref_event is None
    path.write_text(json.dumps([{"metadata_path": "../0.json"}]))
    with pytest.raises(SynthError, match="relative path"):
        read_list(path)
    path.write_text(json.dumps(golden(2025)))
    assert read_list(path) == []
    path.write_text("[1]")
    with pytest.raises(SynthError, match=r"valid\.json: 0"):
        read_list(path)
    with pytest.raises(SynthError, match="cannot be read"):
        read_list(tmp_path / "none.json")


@given(samples=st.integers(0, 960_000), rate=st.sampled_from([8_000, 32_000, 44_100, 48_000]))
def test_written_seconds_truncate_to_the_samples_meant(samples: int, rate: int) -> None:
    assert int(seconds_for(samples, rate) * rate) == samples


def test_written_seconds_lose_no_sample_at_any_length_of_a_scene() -> None:
    lengths = np.arange(1, T + 1)
    lost = lengths[(lengths / 32_000 * 32_000).astype(int) != lengths]
    assert len(lost) > 1000  # what plain division does, so the loop below means something
    assert all(int(seconds_for(int(n), 32_000) * 32_000) == n for n in lost)


def own_spec(**changes: Any) -> SceneSpec:
    event = EventSpec(
        label="Speech",
        path="dev_set/sound_event/train/Speech/a/b.wav",
        start=7,
        duration=1003,
        onset=1001,
        position=1,
        xyz=(1.0, 0.5, -0.25),
        snr_db=12.5,
    )
    content = {
        "rules": "s5kit2026",
        "duration": T,
        "ref_db": -55.0,
        "place": "dev_set/room_ir/train/a.sofa",
        "targets": (event, event.model_copy(update={"onset": 2001})),
        "noise": NoiseSpec(path="dev_set/noise/train/n.wav", start=32_000, duration=T),
    }
    return SceneSpec.model_validate(content | changes)


def test_our_own_scene_survives_the_official_form(tmp_path: Path) -> None:
    spec = own_spec()
    table = np.array([[0.0, 0.0, 0.0], [1.0, 0.5, -0.25]])
    written = to_dcase_scene(spec, room=RoomFacts(32_000, 4, 2, 100))
    assert written["fg_events"][0]["source_file"] == "Speech/a/b.wav"
    again = read(tmp_path, written, table)
    plain = {"file_times": None}
    assert tuple(e.model_copy(update=plain) for e in again.targets) == spec.targets
    assert again.noise is not None
    assert again.noise.model_copy(update=plain) == spec.noise
    assert (again.place, again.ref_db, again.duration) == (spec.place, spec.ref_db, spec.duration)


def test_our_own_forms_are_read_as_they_are(tmp_path: Path) -> None:
    spec = own_spec()
    assert read(tmp_path, spec.to_json(), np.zeros((1, 3))) == spec
    assert (
        read(tmp_path, json.dumps({"spec": json.loads(spec.to_json()), "labels": []}), np.zeros((1, 3)))
        == spec
    )
    with pytest.raises(SynthError, match=r"scene\.json: place"):
        read(tmp_path, spec.to_json().replace("dev_set/room_ir", "../room_ir"), np.zeros((1, 3)))


def test_a_prefix_leads_from_the_official_working_folder_to_the_data_root() -> None:
    written = to_dcase_scene(own_spec(), room=RoomFacts(32_000, 4, 2, 100), prefix="data")
    assert written["config"]["foreground_dir"] == "data/dev_set/sound_event/train"
    assert written["config"]["background_dir"] == "data/dev_set/noise/train"
    assert written["room"]["args"]["metadata"]["sofa_path"] == "data/dev_set/room_ir/train/a.sofa"
    assert written["fg_events"][0]["source_file"] == "Speech/a/b.wav"


def test_a_scene_without_events_names_folders_that_exist() -> None:
    written = to_dcase_scene(own_spec(targets=()), room=RoomFacts(32_000, 4, 2, 100))
    assert (written["fg_events"], written["int_events"]) == ([], [])
    assert written["config"]["foreground_dir"] == "dev_set"
    assert written["config"]["background_dir"] == "dev_set/noise/train"


def test_what_the_official_form_cannot_say_is_refused() -> None:
    short = NoiseSpec(path="dev_set/noise/train/n.wav", start=5, duration=100)
    facts = RoomFacts(32_000, 4, 2, 100)
    with pytest.raises(SynthError, match="two events of one class"):
        to_dcase_scene(own_spec(), form="dcase2025")
    with pytest.raises(SynthError, match="RoomFacts"):
        to_dcase_scene(own_spec())
    with pytest.raises(SynthError, match="trim"):
        to_dcase_scene(own_spec(trim=TrimSpec(seconds=1.0)), room=facts)
    with pytest.raises(SynthError, match="noise"):
        to_dcase_scene(own_spec(noise=short), room=facts)
