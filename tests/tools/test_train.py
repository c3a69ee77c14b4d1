"""`s5kit train`: what a user types is what trains, on as many processes as there are, and stops when told to."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from typer.testing import CliRunner

from models import load_model
from synth import Catalog, SynthError, build_catalog
from tests.builders import make_dev_set
from tools.cli import app
from training import launch_command, list_presets, load_config, run_command
from training.config import Config
from training.start import main_of

SMALL = (
    "data.set.scene.duration=0.5",
    "data.set.scene.max_event_duration=0.5",
    "data.workers=0",
    "validation.workers=0",
    "validation.num_scenes=2",
    "loop.steps=2",
    "loop.batch_size=2",
    "schedule.warmup_steps=0",
    "trackers=[]",
)


def s5kit(*arguments: str) -> str:
    result = CliRunner().invoke(app, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_presets_are_listed_for_people_and_programs() -> None:
    rows = json.loads(s5kit("train", "list", "--json"))
    assert [row["name"] for row in rows] == list_presets()
    by_name = {row["name"]: row for row in rows}
    assert by_name["separator-iterative-2"]["steps"] == 225_000
    assert by_name["sed-beats"]["net"] == "beats"
    shown = s5kit("train", "list")
    assert all(name in shown for name in list_presets())


def test_what_is_shown_trains_the_same(tmp_path: Path) -> None:
    """A preset printed into a file is a configuration to start from."""
    own = tmp_path / "own.yaml"
    own.write_text(s5kit("train", "show", "sed-atst-tiny", "loop.steps=77"))
    assert load_config(own) == load_config("sed-atst-tiny", ["loop.steps=77"])


def test_one_process_needs_no_launcher_and_several_get_one() -> None:
    """Without GPUs two processes are two: `accelerate launch --cpu --num_processes 2` would start one."""
    alone = launch_command("separator-resunet", ["loop.seed=1"])
    assert alone == [
        sys.executable,
        "-m",
        "training.separator",
        "--config",
        "separator-resunet",
        "loop.seed=1",
    ]
    two = launch_command("sed-m2d-tiny", num_processes=2)
    assert two[1:3] == ["-m", "accelerate.commands.launch"]
    assert "--multi_gpu" in two
    assert two[two.index("--num_processes") + 1] == "2"
    assert two[-4:] == ["training.sed", "--config", "sed-m2d-tiny", "loop.device=cpu"]
    assert "loop.device=cpu" not in launch_command("sed-m2d-tiny", num_processes=2, gpus=2)
    printed = s5kit("train", "sed-m2d-tiny", "--num-processes", "2", "--dry-run")
    if not torch.cuda.is_available():
        assert printed.split() == two


def test_a_wrong_name_or_key_is_told_before_anything_starts() -> None:
    for arguments, words in (
        (["sed-m3d"], "did you mean sed-m2d"),
        (["sed-m2d", "loop.stepz=1"], "loop.steps"),
    ):
        with pytest.raises(SynthError, match=words):
            CliRunner().invoke(app, ["train", *arguments, "--dry-run"], catch_exceptions=False)


@pytest.fixture(scope="module")
def catalog(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("train")
    make_dev_set(folder / "dev_set")
    build_catalog("dcase2025", folder / "dev_set", folder / "catalog", workers=1)
    return folder / "catalog"


def test_a_run_from_the_catalog_to_weights(catalog: Path, tmp_path: Path) -> None:
    """Stage 1, then a separator guided by it: each opens with `load_model`; figures and panels are on disk."""
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    settings = [*SMALL, f"data.catalog={catalog}", "data.recipe=dcase2025"]
    main_of(("sed",), ["--config", "sed-m2d-tiny", *settings, f"out={tmp_path / 'sed'}"])
    guide = f"model.guide.weights={tmp_path / 'sed' / 'best'}"
    predicted = ("validation.labels=[oracle,predicted]", f"validation.tagger={tmp_path / 'sed' / 'best'}")
    main_of(
        ("separator",),
        [
            *("--config", "separator-timefilm-tiny", *settings, f"out={tmp_path / 'sep'}", guide, *predicted),
            *("trackers=[tensorboard]", "validation.panels=1"),
        ],
    )
    first, second = (load_model(tmp_path / name / "best") for name in ("sed", "sep"))
    assert all(torch.equal(second.sed.state_dict()[k], v) for k, v in first.state_dict().items())
    lines = [json.loads(line) for line in (tmp_path / "sep" / "metrics.jsonl").read_text().splitlines()]
    figures = {name for line in lines for name in line}
    assert {
        "valid/oracle/ca_sdri",
        "valid/predicted/ca_sdri",
        "valid/predicted/label_accuracy",
        "loss",
    } <= figures
    seen = EventAccumulator(str(tmp_path / "sep" / "tensorboard"))
    seen.Reload()
    for kind in ("images", "audio"):
        names = {name.rpartition("/")[2] for name in seen.Tags()[kind]}
        assert names == {"mixture", "target", "estimate"}
    run = json.loads((tmp_path / "sep" / "run.json").read_text())
    assert run["data"]["catalog_hash"] == Catalog.load(catalog).content_hash
    assert load_config(tmp_path / "sep" / "config.yaml").validation.num_scenes == 2


def test_a_guided_separator_goes_on_to_the_bit(catalog: Path, tmp_path: Path) -> None:
    """Refinement passes, dropout, a guide that learns, averages: all of it is where it was after three steps."""
    settings = (
        *SMALL,
        f"data.catalog={catalog}",
        "data.recipe=dcase2025",
        "schedule.kind=constant",
        "loop.ema=0.9",
        "loop.accumulate=2",
        "validation.every=5",
    )
    for out, steps in (("whole", 5), ("parts", 3), ("parts", 5)):
        config = ["--config", "separator-iterative-2-tiny", *settings, f"out={tmp_path / out}"]
        main_of(("separator",), [*config, f"loop.steps={steps}"])
    for file in ("model", "ema", "optimizer"):
        one, other = (
            load_file(tmp_path / out / "checkpoints" / "step-000000005" / f"{file}.safetensors")
            for out in ("whole", "parts")
        )
        assert one.keys() == other.keys()
        assert all(torch.equal(one[name], other[name]) for name in one), file


def test_errors_end_with_one_message(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = f"out={tmp_path / 'x'}"
    for arguments, words in (
        (["--config", "sed-m2d", "data.catalog=null", out], "give data.catalog=FOLDER"),
        (["--config", "separator-resunet"], "this program a sed"),
        (["--config", "nothing"], "no such configuration"),
    ):
        with pytest.raises(SystemExit) as ended:
            main_of(("sed",), arguments)
        assert ended.value.code == 1
        message = capsys.readouterr().err
        assert message.startswith("error: ")
        assert words in message
        assert "Traceback" not in message
    assert not (tmp_path / "x").exists()


def test_ranks_speak_once(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Eight ranks do not print one mistake eight times; what one rank alone has met is not swallowed."""
    monkeypatch.setenv("LOCAL_RANK", "1")
    with pytest.raises(SystemExit) as ended:
        main_of(("sed",), ["--config", "nothing"])
    assert (ended.value.code, capsys.readouterr().err) == (1, "")

    def fail(config: Config) -> None:
        error = SynthError("a worker died", where="position 7", remedy="run it again")
        error.add_note("(rank 1)")
        raise error

    monkeypatch.setattr("training.start.train", fail)
    with pytest.raises(SystemExit):
        main_of(("sed",), ["--config", "sed-m2d-tiny", f"out={tmp_path / 'x'}"])
    assert capsys.readouterr().err == "error: position 7: a worker died (run it again) (rank 1)\n"


CHILD = """
import signal, subprocess, sys, time
def end(number, frame):
    open(sys.argv[1] + sys.argv[2], "w").write(str(number))
    sys.exit(3)
signal.signal(signal.SIGTERM, end)
if sys.argv[2] == "0":
    other = subprocess.Popen([sys.executable, __file__, sys.argv[1], "1"])
open(sys.argv[1] + sys.argv[2] + ".up", "w").close()
time.sleep(60)
"""


def test_sigterm_reaches_every_process_of_a_run(tmp_path: Path) -> None:
    """A scheduler signals `s5kit` alone; what it started must save and end, not live on as orphans."""
    script = tmp_path / "child.py"
    script.write_text(CHILD)
    mark = str(tmp_path / "mark")

    def end() -> None:
        deadline = time.monotonic() + 30
        while not all(Path(f"{mark}{n}.up").exists() for n in (0, 1)) and time.monotonic() < deadline:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    threading.Thread(target=end).start()
    before = signal.getsignal(signal.SIGTERM)
    assert run_command([sys.executable, str(script), mark, "0"]) == 3
    assert signal.getsignal(signal.SIGTERM) is before
    deadline = time.monotonic() + 10
    while not Path(f"{mark}1").exists() and time.monotonic() < deadline:
        time.sleep(0.02)
    assert [Path(f"{mark}{n}").read_text() for n in (0, 1)] == [str(int(signal.SIGTERM))] * 2


def test_threads_are_those_asked_for() -> None:
    code = "import os, sys; sys.exit(int(os.environ['OMP_NUM_THREADS']))"
    assert run_command([sys.executable, "-c", code], threads=5) == 5


@pytest.mark.slow
@pytest.mark.parametrize("preset", ["sed-m2d-tiny", "separator-iterative-2-tiny"])
def test_two_processes_train_as_one_command(catalog: Path, tmp_path: Path, preset: str) -> None:
    """Both ranks learn from their half of every step and end with the same weights on disk."""
    command = launch_command(
        preset,
        [*SMALL, f"data.catalog={catalog}", "data.recipe=dcase2025", f"out={tmp_path / 'two'}"],
        num_processes=2,
    )
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    assert (tmp_path / "two" / "best" / "model.safetensors").is_file()
    last = [json.loads(line) for line in (tmp_path / "two" / "metrics.jsonl").read_text().splitlines()][-1]
    assert last["step"] == 2
