"""Kept spectra change the speed and nothing else."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from synth import (
    Catalog,
    Renderer,
    SynthError,
    build_catalog,
    build_spectra,
    load_recipe,
    open_sounds,
    plan,
    render,
)
from synth.rendering.sounds import CatalogSounds
from tests.builders import make_dev_set


def make_catalog(folder: Path) -> Catalog:
    built = build_catalog("dcase2025", make_dev_set(folder / "dev_set"), folder / "catalog")
    assert built.result is not None
    return built.result


def test_scenes_are_the_same_bits_with_and_without_kept_spectra(tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path)
    recipe = load_recipe("dcase2025")
    specs = [plan(recipe, catalog, 0, index) for index in range(3)]
    before = [Renderer(catalog).render(spec) for spec in specs]
    sounds = CatalogSounds(catalog)
    calls: list[tuple[int, int]] = []
    size = build_spectra(sounds, progress=lambda *done: calls.append(done))
    files = list(sounds.cache_directory.glob("spectra-*.c64"))
    assert size == sum(f.stat().st_size for f in files) > 0
    assert calls[-1] == (len(files), len(files))
    for spec, scene in zip(specs, before, strict=True):
        again = Renderer(sounds).render(spec)
        assert np.array_equal(again.mixture, scene.mixture)
        assert np.array_equal(again.dry, scene.dry)


def test_a_limit_keeps_the_disk_free(tmp_path: Path) -> None:
    sounds = CatalogSounds(make_catalog(tmp_path))
    assert build_spectra(sounds, limit=1_000) == 0
    assert not list(sounds.cache_directory.glob("spectra-*"))


def test_a_full_disk_leaves_no_half_made_spectra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sounds = CatalogSounds(make_catalog(tmp_path))

    def full(handle: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(SynthError, match="cannot be kept: No space left"):
        build_spectra(sounds)
    assert not [p for p in sounds.cache_directory.rglob("*") if "spectra" in p.name]


def test_a_cut_file_of_spectra_is_named(tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path)
    sounds = CatalogSounds(catalog)
    build_spectra(sounds)
    for file in sounds.cache_directory.glob("spectra-*"):
        file.write_bytes(file.read_bytes()[:-8])
    spec = plan(load_recipe("dcase2025"), catalog, 0, 0)
    with pytest.raises(SynthError, match=r"spectra-.*bytes, expected"):
        Renderer(sounds).render(spec)


def test_threads_that_render_one_catalog_do_not_disturb_each_other(tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path)
    recipe = load_recipe("dcase2025")
    specs = [plan(recipe, catalog, 0, index) for index in range(8)]
    alone = [Renderer(catalog).render(spec).mixture for spec in specs]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(lambda spec: render(spec, catalog).mixture, specs))
    assert all(np.array_equal(a, b) for a, b in zip(alone, together, strict=True))


def test_a_catalog_that_is_no_longer_used_is_let_go(tmp_path: Path) -> None:
    """Rendering from many catalogs in one program does not pile up their memory."""
    catalog = make_catalog(tmp_path)
    render(plan(load_recipe("dcase2025"), catalog, 0, 0), catalog)
    gone = weakref.ref(catalog)
    del catalog
    gc.collect()
    assert gone() is None


def test_one_process_opens_a_catalog_once(tmp_path: Path) -> None:
    catalog = make_catalog(tmp_path)
    assert open_sounds(catalog) is open_sounds(catalog)
