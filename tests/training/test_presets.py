"""The presets are the published settings; a file of one's own builds on them."""

from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from models import separator_settings
from synth import SynthError
from training.config import SedConfig, SeparatorConfig, load_config, parse_config
from training.presets import list_presets
from training.show import config_text

ALL = [name for preset in list_presets() for name in (preset, f"{preset}-tiny")]
BACKBONES = ("m2d", "atst", "beats", "fpasst", "asit")


@pytest.mark.parametrize("name", ALL)
def test_a_preset_is_shown_in_full_and_reads_back(name: str) -> None:
    """What `s5kit train show` prints is a configuration file, with a comment behind every number."""
    text = config_text(name)
    assert parse_config(yaml.safe_load(text), where=name) == load_config(name)
    for line in text.splitlines():
        key, _, value = line.partition(":")
        if any(c.isdigit() for c in value.partition("#")[0]) and key.strip() not in ("name", "title", "out"):
            assert "#" in line, line


def test_everything_that_was_published_has_a_preset() -> None:
    expected = {f"{task}-{name}" for task in ("sed", "tagger") for name in BACKBONES}
    ladder = ("resunet", "audiosep", "timefilm", "injection", "injection-frozen", "dprnn")
    expected |= {f"separator-{step}" for step in (*ladder, "iterative-2", "iterative-3", "iterative-4")}
    expected |= {
        "baseline2025-tagger-head",
        "baseline2025-tagger",
        "baseline2025-resunet",
        "baseline2025-resunetk",
    }
    expected |= {f"baseline2026-tagger-{c}{stage}" for c in ("1c", "4c") for stage in ("-head", "")}
    assert expected | {"baseline2026-resunetk"} <= set(list_presets())


@pytest.mark.parametrize(
    ("name", "lr"), [("m2d", 4e-4), ("beats", 4e-4), ("asit", 3e-4), ("fpasst", 6e-4), ("atst", 1e-4)]
)
def test_transformers_are_tuned_as_the_paper_says(name: str, lr: float) -> None:
    """Morocutti et al. 2025: rates per model, 25000 steps of 32, 4000 of warm-up, lambda 0.5 (strong) and 0 (weak)."""
    for task, weight, source in (("sed", 0.5, "strong"), ("tagger", 0.0, "weak")):
        config = load_config(f"{task}-{name}")
        assert isinstance(config, SedConfig)
        assert (config.model.name, config.optim.lr, config.loss.strong_weight) == (name, lr, weight)
        assert (config.loop.steps, config.loop.batch_size, config.schedule.warmup_steps) == (
            25_000,
            32,
            4_000,
        )
        assert (config.optim.optimizer, config.schedule.kind) == ("adam", "cosine")
        assert 1e-6 <= config.optim.weight_decay <= 1e-5
        assert 0.77 <= config.optim.layer_decay <= 0.9
        assert config.model.weights is not None
        assert source in config.model.weights.name


def test_separators_are_trained_as_the_paper_says() -> None:
    """225000 steps on 4 GPUs at 4, 12000 of warm-up, 6e-4 and 3e-3, fp16, Adam without weight decay."""
    for name in (n for n in list_presets() if n.startswith("separator-")):
        config = load_config(name)
        assert isinstance(config, SeparatorConfig)
        assert (config.loop.steps, config.loop.batch_size, config.schedule.warmup_steps) == (
            225_000,
            16,
            12_000,
        )
        assert (config.optim.lr_pretrained, config.optim.lr_new, config.optim.weight_decay) == (
            6e-4,
            3e-3,
            0.0,
        )
        assert (config.optim.optimizer, config.loop.precision, config.loop.clip) == ("adam", "fp16", 0.5)


def test_the_ablation_adds_one_part_at_a_time() -> None:
    """Two rungs of the ladder that differ in more than one thing would explain nothing."""
    ladder = ("resunet", "audiosep", "timefilm", "injection-frozen", "injection", "dprnn", "iterative-2")
    seen = []
    for step in ladder:
        config = load_config(f"separator-{step}")
        assert isinstance(config, SeparatorConfig)
        model = config.model
        net = separator_settings(model.preset, **model.overrides)
        seen.append(
            (
                model.audiosep is not None,
                net.time_film == "additive" and model.guide.name == "m2d",
                net.injection == "add",
                model.guide.name != "none" and not model.guide.frozen,
                net.dprnn == "after",
                net.feedback and net.iterations == 2,
            )
        )
        assert (net.n_fft, net.hop, net.sources) == (2048, 160, 1)
    assert seen == [tuple(n < rung for n in range(6)) for rung in range(7)]
    for passes in (3, 4):
        deeper, two = (load_config(f"separator-iterative-{n}") for n in (passes, 2))
        assert isinstance(deeper, SeparatorConfig)
        assert deeper.model.overrides == {**two.model.overrides, "iterations": passes}  # type: ignore[union-attr]


def test_the_baselines_train_in_their_stages() -> None:
    for tagger in ("baseline2025-tagger", "baseline2026-tagger-1c", "baseline2026-tagger-4c"):
        head, blocks = load_config(f"{tagger}-head"), load_config(tagger)
        assert isinstance(head, SedConfig)
        assert isinstance(blocks, SedConfig)
        assert (head.model.train_only, head.optim.lr) == (0, 1e-3)
        assert (blocks.model.train_only, blocks.optim.lr) == (2, 1e-5)
        assert blocks.model.weights == head.out / "best" / "model.safetensors"
        assert (blocks.optim.optimizer, blocks.optim.amsgrad, blocks.schedule.kind) == (
            "adamw",
            True,
            "constant",
        )
    kinds = {
        "baseline2025-resunet": "snr",
        "baseline2025-resunetk": "masked_snr",
        "baseline2026-resunetk": "class_aware_pit",
    }
    for name, kind in kinds.items():
        config = load_config(name)
        assert isinstance(config, SeparatorConfig)
        assert (config.loss.kind, config.loop.batch_size, config.optim.lr_pretrained) == (kind, 5, 1e-4)
        assert config.optim.lr_new == 1e-4


@pytest.mark.parametrize("name", list_presets())
def test_the_small_form_needs_no_weights_and_no_gpu(name: str) -> None:
    config = load_config(f"{name}-tiny")
    assert config.model.size == "tiny"
    assert config.model.weights is None
    assert (config.loop.precision, config.loop.compile, config.data.recipe) == ("fp32", False, "demo")
    if isinstance(config, SeparatorConfig):
        assert config.model.audiosep is config.model.guide.weights is None
    full = load_config(name)
    assert config.loss == full.loss
    assert config.name == f"{name}-tiny" != full.name


def test_a_file_of_ones_own_builds_on_a_preset_and_on_other_files(tmp_path: Path) -> None:
    (tmp_path / "deep").mkdir()
    (tmp_path / "ours.yaml").write_text(
        "base: sed-beats\nname: ours\nloop:\n  steps: 9000  # we have less time\n"
    )
    (tmp_path / "deep" / "more.yaml").write_text("base: ../ours.yaml\nname: more\noptim: {lr: 1.0e-5}\n")
    config = load_config(tmp_path / "deep" / "more.yaml")
    assert isinstance(config, SedConfig)
    assert (config.name, config.model.name, config.loop.steps, config.optim.lr) == (
        "more",
        "beats",
        9000,
        1e-5,
    )
    shown = config_text(tmp_path / "deep" / "more.yaml", ["loop.seed=3"])
    assert any("steps: 9000" in line and line.endswith("# we have less time") for line in shown.splitlines())
    assert any("seed: 3" in line and line.endswith("# set by hand") for line in shown.splitlines())


@pytest.mark.parametrize("preset", ["sed-m2d", "separator-iterative-2"])
def test_a_file_builds_on_a_small_form_too(tmp_path: Path, preset: str) -> None:
    """What one tries first: a tiny net on sounds of one's own."""
    (tmp_path / "mine.yaml").write_text(f"base: {preset}-tiny\nname: mine\nloop: {{steps: 77}}\n")
    mine, small = load_config(tmp_path / "mine.yaml"), load_config(f"{preset}-tiny")
    assert (mine.name, mine.loop.steps) == ("mine", 77)
    assert mine.model == small.model
    assert mine.optim == small.optim


def test_bases_that_go_round_in_a_circle_end_with_a_message(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("base: b.yaml\n")
    (tmp_path / "b.yaml").write_text("base: a.yaml\n")
    with pytest.raises(SynthError, match="on itself"):
        load_config(tmp_path / "a.yaml")


@pytest.mark.parametrize(
    ("name", "words"),
    [
        ("sed-m2", "did you mean sed-m2d"),
        ("base/../../recipes/demo", "no such configuration"),
        ("nothing.yaml", "nothing.yaml"),
    ],
)
def test_a_preset_that_there_is_not(name: str, words: str) -> None:
    with pytest.raises(SynthError, match=words):
        load_config(name)


@pytest.mark.parametrize("text", ["- a\n", "a: [", "base: [x]\n", "a: 1\na: 2\n", "a: &x 1\nb: *x\n"])
def test_a_file_that_is_no_configuration(tmp_path: Path, text: str) -> None:
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(SynthError, match=r"x\.yaml"):
        load_config(tmp_path / "x.yaml")
