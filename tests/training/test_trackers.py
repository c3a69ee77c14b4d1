"""A run that nobody can watch is found out to be wrong when it is over."""

from __future__ import annotations

import io
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from rich.console import Console

from synth import SynthError
from training.panels import Panel, decibels, map_image, sound_panel
from training.progress import make_display
from training.trackers import Trackers


def opened(folder: Path, names: tuple[str, ...] = ("tensorboard",), step: int = 0, **kwargs: Any) -> Trackers:
    return Trackers(names, run="toy", folder=folder, step=step, config={"loop": {"steps": 3}}, **kwargs)


def scalars(folder: Path, name: str) -> list[tuple[int, float]]:
    events = events_of(folder)
    return [(event.step, event.value) for event in events.Scalars(name)]


def events_of(folder: Path) -> Any:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    events = EventAccumulator(str(folder / "tensorboard"), purge_orphaned_data=True)
    events.Reload()
    return events


class TestTensorBoard:
    def test_holds_figures_pictures_and_sounds(self, tmp_path: Path) -> None:
        trackers = opened(tmp_path)
        trackers.log({"train/loss": 0.5}, 1)
        trackers.log({"train/loss": 0.25}, 2)
        sound = torch.sin(torch.arange(8000) * 0.3)
        trackers.show([sound_panel("scene-0/estimate", sound, 16_000)], 2)
        trackers.close()
        assert scalars(tmp_path, "train/loss") == [(1, 0.5), (2, 0.25)]
        events = events_of(tmp_path)
        (picture,) = events.Images("scene-0/estimate")
        assert (picture.height, picture.width) == (256, 28)
        (heard,) = events.Audio("scene-0/estimate")
        assert heard.sample_rate == 16_000
        assert heard.length_frames == 8000

    def test_a_resumed_run_replaces_what_it_does_again(self, tmp_path: Path) -> None:
        """The killed run had logged steps 1 to 3; the checkpoint was of step 1."""
        first = opened(tmp_path)
        for step in (1, 2, 3):
            first.log({"loss": float(step)}, step)
        first.close()
        second = opened(tmp_path, step=1)
        for step in (2, 3, 4):
            second.log({"loss": 10.0 * step}, step)
        second.close()
        assert scalars(tmp_path, "loss") == [(1, 1.0), (2, 20.0), (3, 30.0), (4, 40.0)]


class TestOthers:
    def test_a_package_that_is_not_there_is_named(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "wandb", None)
        with pytest.raises(SynthError, match=r"trackers: wandb needs the package wandb.*pip install wandb"):
            opened(tmp_path, ("wandb",))

    def test_unknown_ones_are_refused(self, tmp_path: Path) -> None:
        with pytest.raises(SynthError, match="'vandb' is not one of tensorboard, wandb, mlflow"):
            opened(tmp_path, ("vandb",))

    def test_wandb_gets_everything_under_one_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stand-in for the service: a resumed run goes on in the same run."""
        calls: list[tuple[str, Any]] = []
        fake = types.ModuleType("wandb")
        run = types.SimpleNamespace(
            log=lambda values, step: calls.append(("log", (step, values))), finish=lambda: None
        )
        fake.init = lambda **kwargs: calls.append(("init", kwargs)) or run  # type: ignore[attr-defined]
        fake.config = types.SimpleNamespace(update=lambda values, **_: calls.append(("config", values)))  # type: ignore[attr-defined]
        fake.Image = lambda image: ("image", image.shape)  # type: ignore[attr-defined]
        fake.Audio = lambda sound, sample_rate: ("audio", len(sound), sample_rate)  # type: ignore[attr-defined]
        monkeypatch.setitem(sys.modules, "wandb", fake)
        for step in (0, 5):
            trackers = opened(tmp_path, ("wandb",), step)
            trackers.log({"loss": 1.0}, step + 1)
            trackers.show([Panel("p", np.zeros((4, 10)), np.zeros((2, 3, 3), np.uint8), 8000)], step + 1)
            trackers.close()
        first, second = (value for kind, value in calls if kind == "init")
        assert first["id"] == second["id"]
        assert first["resume"] == "allow"
        assert ("config", {"loop.steps": 3}) in calls
        assert ("log", (6, {"p": ("image", (2, 3, 3)), "p/sound": ("audio", 10, 8000)})) in calls

    def test_one_that_fails_does_not_end_the_run(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        said: list[str] = []
        trackers = opened(tmp_path, say=said.append)

        def refuse(*_: object, **__: object) -> None:
            raise ConnectionError("no route")

        monkeypatch.setattr("accelerate.tracking.TensorBoardTracker.log", refuse)
        for step in (1, 2):
            trackers.log({"loss": 1.0}, step)
        trackers.close()
        assert said == [
            "tensorboard did not take what was logged (ConnectionError: no route); the run goes on"
        ]


class TestPanels:
    def test_a_tone_is_a_line_at_its_frequency(self) -> None:
        rate, hertz = 16_000, 4000
        sound = torch.sin(2 * torch.pi * hertz * torch.arange(rate) / rate)
        shown = decibels(sound)
        assert shown.shape[0] == 513
        assert int(shown.mean(1).argmax()) == 513 // 2
        image = sound_panel("tone", sound, rate).image
        assert image is not None
        rows = image.astype(int).sum((1, 2))
        assert abs(int(rows.argmax()) - len(image) / 2) <= 1

    def test_silence_and_a_click_are_pictures_too(self) -> None:
        for sound in (torch.zeros(4, 3000), torch.ones(1), torch.zeros(0)):
            image = sound_panel("quiet", sound, 16_000).image
            assert image is not None
            assert image.dtype == np.uint8

    def test_the_first_row_is_at_the_bottom(self) -> None:
        image = map_image(np.array([[1.0, 1.0], [0.0, 0.0]]), (0, 1))
        assert image[1].sum() > image[0].sum()


class TestProgress:
    def shown(self, terminal: bool, main: bool = True) -> str:
        text = io.StringIO()
        console = Console(file=text, force_terminal=terminal, width=200, _environ={})
        display = make_display("toy", 2, 10, main=main, console=console)
        display.say("hello [not markup]")
        for step in range(3, 7):
            display.advance(step)
        display.show(6, 0.123456, 45.67, 0.031)
        display.close()
        return text.getvalue()

    def test_plain_lines_in_a_file(self) -> None:
        text = self.shown(terminal=False)
        assert "toy: step 6/10  loss 0.1235  45.7 clips/s  data wait 3.1%" in text
        assert "hello [not markup]\n" in text
        assert text.count("\n") == 2
        assert "\x1b" not in text

    def test_a_bar_on_a_terminal(self) -> None:
        text = self.shown(terminal=True)
        assert "6/10" in text
        assert "loss 0.1235  45.7 clips/s  data wait 3.1%" in text
        assert "left" in text

    def test_other_ranks_are_silent(self) -> None:
        assert self.shown(terminal=True, main=False) == ""
