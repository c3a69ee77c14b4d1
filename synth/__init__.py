"""s5kit's generator: catalogs, recipes, scenes on paper, scenes as sound, corpora.

    catalog = Catalog.load("my-catalog")
    recipe = load_recipe("dcase2025")
    spec = plan(recipe, catalog, seed=0, index=7)
    scene = render(spec, catalog)

Names are imported when they are first used, so that `import synth` is light. (The room of the
renderer is called `rendering`, so that `synth.render` is the function.)
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

_HOMES = {
    "prepare_foa_meir": "assets.importers.foa_meir",
    "prepare_sofa": "assets.importers.sofa_rooms",
    "RoomOptions": "assets.importers.sofa_rooms",
    "prepare_npz": "assets.importers.npz_rooms",
    "prepare_wav": "assets.importers.wav_folders",
    "prepare_dcase": "assets.importers.dcase_sources",
    "prepare_by_config": "assets.importers.dcase_sources",
    "prepare_semantic_hearing": "assets.importers.semantic_hearing",
    "Curation": "assets.importers.curation",
    "curate": "assets.importers.curation",
    "PreparationReport": "assets.importers.prepared",
    "check_rirs": "assets.rir_check",
    "RirReport": "assets.rir_check",
    "PlaceFigures": "assets.rir_check",
    "Catalog": "assets.catalog",
    "build_catalog": "assets.importers.dcase",
    "BuildReport": "assets.importers.report",
    "SummaryRow": "assets.importers.report",
    "build_demo": "assets.demo.build",
    "build_scaper_catalog": "assets.importers.spatialscaper",
    "new_scaper": "assets.importers.spatialscaper",
    "SPATIALSCAPER_INSTALL": "assets.importers.spatialscaper",
    "scaper_scene": "scenes.spatialscaper",
    "DownloadReport": "assets.download.source",
    "download_source": "assets.download.source",
    "download_state": "assets.download.source",
    "load_sources": "assets.download.table",
    "Unpacked": "assets.download.unpack",
    "unpack": "assets.download.unpack",
    "unpack_all": "assets.download.unpack",
    "Problem": "errors",
    "ProblemsError": "errors",
    "SynthError": "errors",
    "Recipe": "scenes.recipe",
    "recipe_problems": "scenes.recipe_errors",
    "apply_overrides": "scenes.overrides",
    "draws_for": "scenes.seeding",
    "load_json": "scenes.bounded",
    "load_yaml": "scenes.bounded",
    "read_bounded": "scenes.bounded",
    "list_recipes": "scenes.recipe",
    "load_recipe": "scenes.recipe",
    "recipe_text": "scenes.recipe",
    "to_dcase_scene": "scenes.dcase_json",
    "read_scene": "scenes.dcase_json",
    "RoomFacts": "scenes.dcase_json",
    "encode_flac16": "assets.audio",
    "to_int16": "assets.audio",
    "target_classes": "assets.classes",
    "sha256_file": "files",
    "write_bytes": "files",
    "write_text": "files",
    "atomic_write": "files",
    "fsync_directory": "files",
    "folder_lock": "corpus.lock",
    "read_frames": "assets.audio",
    "probe": "assets.audio",
    "RULES": "scenes.rules",
    "Sounds": "rendering.sounds",
    "early_window": "rendering.early",
    "plan": "scenes.plan",
    "check_plannable": "scenes.plan",
    "EventSpec": "scenes.spec",
    "NoiseSpec": "scenes.spec",
    "SceneSpec": "scenes.spec",
    "apply_event_effects": "rendering.effects.events",
    "read_event": "rendering.effects.events",
    "scene_chain": "rendering.effects.scene",
    "foa_matrix": "rendering.effects.space",
    "BandPass": "scenes.effect_specs",
    "ColouredNoise": "scenes.effect_specs",
    "EqBand": "scenes.effect_specs",
    "Gain": "scenes.effect_specs",
    "HighPass": "scenes.effect_specs",
    "LowPass": "scenes.effect_specs",
    "PitchShift": "scenes.effect_specs",
    "Polarity": "scenes.effect_specs",
    "SceneEffects": "scenes.effect_specs",
    "SelfNoise": "scenes.effect_specs",
    "SpaceEffect": "scenes.effect_specs",
    "TimeStretch": "scenes.effect_specs",
    "heard_from": "scenes.labels",
    "StrongLabel": "scenes.labels",
    "frame_matrix": "scenes.labels",
    "strong_labels": "scenes.labels",
    "from_tsv": "scenes.label_files",
    "to_seld": "scenes.label_files",
    "to_tsv": "scenes.label_files",
    "FolderSounds": "rendering.sounds",
    "BatchRenderer": "rendering.batch",
    "RenderAhead": "rendering.ahead",
    "Renderer": "rendering.scene",
    "STEMS": "rendering.scene",
    "Scene": "rendering.scene",
    "render": "rendering.scene",
    "load_scenes": "rendering.folder",
    "stem_names": "rendering.folder",
    "write_scene": "rendering.folder",
    "write_dcase_scene": "rendering.folder",
    "open_sounds": "rendering.sounds",
    "SampleFormat": "rendering.sample",
    "default_classes": "rendering.sample",
    "label_arrays": "rendering.sample",
    "scene_sample": "rendering.sample",
    "build_spectra": "rendering.spectra",
    "write_corpus": "corpus.corpus",
    "write_corpus_part": "corpus.corpus",
    "PartReport": "corpus.corpus",
    "Engine": "corpus.engines",
    "LocalEngine": "corpus.engines",
    "Watch": "corpus.engines",
    "RayEngine": "corpus.ray_engine",
    "corpus_of": "corpus.live",
    "parse_shards": "corpus.live",
    "stream_shards": "corpus.shard_stream",
    "measure_stages": "corpus.stream_measure",
    "measure_loader": "corpus.stream_measure",
    "measure_shards": "corpus.stream_measure",
    "measure_gpu": "corpus.stream_measure",
    "LoaderRate": "corpus.stream_measure",
    "look_at_machine": "corpus.machine",
    "Machine": "corpus.machine",
    "advise": "corpus.advice",
    "step_need": "corpus.advice",
    "Advice": "corpus.advice",
    "Rates": "corpus.advice",
    "STEPS": "corpus.advice",
    "ServeSettings": "corpus.serving.server",
    "serve_shards": "corpus.serving.server",
    "CorpusProgress": "corpus.corpus",
    "CorpusReport": "corpus.corpus",
    "CorpusIndex": "corpus.corpus_index",
    "CorpusReader": "corpus.reader",
    "open_corpus": "corpus.stream_remote",
    "Stream": "corpus.stream",
    "SceneStream": "corpus.stream",
    "SpecStream": "corpus.stream",
    "CorpusStream": "corpus.stream",
    "StreamLoader": "corpus.stream_loader",
    "collate": "corpus.stream_loader",
    "ignore_signals": "corpus.stream_worker",
    "Statistics": "corpus.statistics",
    "VerifyReport": "corpus.verify",
    "AuditReport": "assets.audit",
    "Finding": "assets.audit",
    "audit_catalog": "assets.audit",
    "catalog_ledger": "assets.audit",
    "LedgerRow": "assets.licences",
    "redistribution_of": "assets.licences",
    "strictest": "assets.licences",
    "merge_catalogs": "assets.merge",
    "available_cores": "assets.workers",
    "verify_corpus": "corpus.verify",
    "prepare_publication": "corpus.publication",
    "upload": "corpus.publication",
    "Estimate": "report.view",
    "Inspection": "report.loading",
    "Notice": "report.notices",
    "SceneView": "report.view",
    "open_inspection": "report.loading",
    "worst_scenes": "report.loading",
    "scene_view": "report.loading",
    "write_report": "report.document",
}

__all__ = sorted(_HOMES)


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'synth' has no attribute {name!r}")
    value = getattr(importlib.import_module(f".{_HOMES[name]}", __name__), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return __all__


if TYPE_CHECKING:
    from .assets.audio import encode_flac16 as encode_flac16
    from .assets.audio import probe as probe
    from .assets.audio import read_frames as read_frames
    from .assets.audio import to_int16 as to_int16
    from .assets.audit import AuditReport as AuditReport
    from .assets.audit import Finding as Finding
    from .assets.audit import audit_catalog as audit_catalog
    from .assets.audit import catalog_ledger as catalog_ledger
    from .assets.catalog import Catalog as Catalog
    from .assets.classes import target_classes as target_classes
    from .assets.demo.build import build_demo as build_demo
    from .assets.download.source import DownloadReport as DownloadReport
    from .assets.download.source import download_source as download_source
    from .assets.download.source import download_state as download_state
    from .assets.download.table import load_sources as load_sources
    from .assets.download.unpack import Unpacked as Unpacked
    from .assets.download.unpack import unpack as unpack
    from .assets.download.unpack import unpack_all as unpack_all
    from .assets.importers.curation import Curation as Curation
    from .assets.importers.curation import curate as curate
    from .assets.importers.dcase import build_catalog as build_catalog
    from .assets.importers.dcase_sources import prepare_by_config as prepare_by_config
    from .assets.importers.dcase_sources import prepare_dcase as prepare_dcase
    from .assets.importers.foa_meir import prepare_foa_meir as prepare_foa_meir
    from .assets.importers.npz_rooms import prepare_npz as prepare_npz
    from .assets.importers.prepared import PreparationReport as PreparationReport
    from .assets.importers.report import BuildReport as BuildReport
    from .assets.importers.report import SummaryRow as SummaryRow
    from .assets.importers.semantic_hearing import prepare_semantic_hearing as prepare_semantic_hearing
    from .assets.importers.sofa_rooms import RoomOptions as RoomOptions
    from .assets.importers.sofa_rooms import prepare_sofa as prepare_sofa
    from .assets.importers.spatialscaper import SPATIALSCAPER_INSTALL as SPATIALSCAPER_INSTALL
    from .assets.importers.spatialscaper import build_scaper_catalog as build_scaper_catalog
    from .assets.importers.spatialscaper import new_scaper as new_scaper
    from .assets.importers.wav_folders import prepare_wav as prepare_wav
    from .assets.licences import LedgerRow as LedgerRow
    from .assets.licences import redistribution_of as redistribution_of
    from .assets.licences import strictest as strictest
    from .assets.merge import merge_catalogs as merge_catalogs
    from .assets.rir_check import PlaceFigures as PlaceFigures
    from .assets.rir_check import RirReport as RirReport
    from .assets.rir_check import check_rirs as check_rirs
    from .assets.workers import available_cores as available_cores
    from .corpus.advice import STEPS as STEPS
    from .corpus.advice import Advice as Advice
    from .corpus.advice import Rates as Rates
    from .corpus.advice import advise as advise
    from .corpus.advice import step_need as step_need
    from .corpus.corpus import CorpusProgress as CorpusProgress
    from .corpus.corpus import CorpusReport as CorpusReport
    from .corpus.corpus import PartReport as PartReport
    from .corpus.corpus import write_corpus as write_corpus
    from .corpus.corpus import write_corpus_part as write_corpus_part
    from .corpus.corpus_index import CorpusIndex as CorpusIndex
    from .corpus.engines import Engine as Engine
    from .corpus.engines import LocalEngine as LocalEngine
    from .corpus.engines import Watch as Watch
    from .corpus.live import corpus_of as corpus_of
    from .corpus.live import parse_shards as parse_shards
    from .corpus.lock import folder_lock as folder_lock
    from .corpus.machine import Machine as Machine
    from .corpus.machine import look_at_machine as look_at_machine
    from .corpus.publication import prepare_publication as prepare_publication
    from .corpus.publication import upload as upload
    from .corpus.ray_engine import RayEngine as RayEngine
    from .corpus.reader import CorpusReader as CorpusReader
    from .corpus.serving.server import ServeSettings as ServeSettings
    from .corpus.serving.server import serve_shards as serve_shards
    from .corpus.shard_stream import stream_shards as stream_shards
    from .corpus.statistics import Statistics as Statistics
    from .corpus.stream import CorpusStream as CorpusStream
    from .corpus.stream import SceneStream as SceneStream
    from .corpus.stream import SpecStream as SpecStream
    from .corpus.stream import Stream as Stream
    from .corpus.stream_loader import StreamLoader as StreamLoader
    from .corpus.stream_loader import collate as collate
    from .corpus.stream_measure import LoaderRate as LoaderRate
    from .corpus.stream_measure import measure_gpu as measure_gpu
    from .corpus.stream_measure import measure_loader as measure_loader
    from .corpus.stream_measure import measure_shards as measure_shards
    from .corpus.stream_measure import measure_stages as measure_stages
    from .corpus.stream_remote import open_corpus as open_corpus
    from .corpus.stream_worker import ignore_signals as ignore_signals
    from .corpus.verify import VerifyReport as VerifyReport
    from .corpus.verify import verify_corpus as verify_corpus
    from .errors import Problem as Problem
    from .errors import ProblemsError as ProblemsError
    from .errors import SynthError as SynthError
    from .files import atomic_write as atomic_write
    from .files import fsync_directory as fsync_directory
    from .files import sha256_file as sha256_file
    from .files import write_bytes as write_bytes
    from .files import write_text as write_text
    from .rendering.ahead import RenderAhead as RenderAhead
    from .rendering.batch import BatchRenderer as BatchRenderer
    from .rendering.early import early_window as early_window
    from .rendering.effects.events import apply_event_effects as apply_event_effects
    from .rendering.effects.events import read_event as read_event
    from .rendering.effects.scene import scene_chain as scene_chain
    from .rendering.effects.space import foa_matrix as foa_matrix
    from .rendering.folder import load_scenes as load_scenes
    from .rendering.folder import stem_names as stem_names
    from .rendering.folder import write_dcase_scene as write_dcase_scene
    from .rendering.folder import write_scene as write_scene
    from .rendering.sample import SampleFormat as SampleFormat
    from .rendering.sample import default_classes as default_classes
    from .rendering.sample import label_arrays as label_arrays
    from .rendering.sample import scene_sample as scene_sample
    from .rendering.scene import STEMS as STEMS
    from .rendering.scene import Renderer as Renderer
    from .rendering.scene import Scene as Scene
    from .rendering.scene import render as render
    from .rendering.sounds import FolderSounds as FolderSounds
    from .rendering.sounds import Sounds as Sounds
    from .rendering.sounds import open_sounds as open_sounds
    from .rendering.spectra import build_spectra as build_spectra
    from .report.document import write_report as write_report
    from .report.loading import Inspection as Inspection
    from .report.loading import open_inspection as open_inspection
    from .report.loading import scene_view as scene_view
    from .report.loading import worst_scenes as worst_scenes
    from .report.notices import Notice as Notice
    from .report.view import Estimate as Estimate
    from .report.view import SceneView as SceneView
    from .scenes.bounded import load_json as load_json
    from .scenes.bounded import load_yaml as load_yaml
    from .scenes.bounded import read_bounded as read_bounded
    from .scenes.dcase_json import RoomFacts as RoomFacts
    from .scenes.dcase_json import read_scene as read_scene
    from .scenes.dcase_json import to_dcase_scene as to_dcase_scene
    from .scenes.effect_specs import BandPass as BandPass
    from .scenes.effect_specs import ColouredNoise as ColouredNoise
    from .scenes.effect_specs import EqBand as EqBand
    from .scenes.effect_specs import Gain as Gain
    from .scenes.effect_specs import HighPass as HighPass
    from .scenes.effect_specs import LowPass as LowPass
    from .scenes.effect_specs import PitchShift as PitchShift
    from .scenes.effect_specs import Polarity as Polarity
    from .scenes.effect_specs import SceneEffects as SceneEffects
    from .scenes.effect_specs import SelfNoise as SelfNoise
    from .scenes.effect_specs import SpaceEffect as SpaceEffect
    from .scenes.effect_specs import TimeStretch as TimeStretch
    from .scenes.label_files import from_tsv as from_tsv
    from .scenes.label_files import to_seld as to_seld
    from .scenes.label_files import to_tsv as to_tsv
    from .scenes.labels import StrongLabel as StrongLabel
    from .scenes.labels import frame_matrix as frame_matrix
    from .scenes.labels import heard_from as heard_from
    from .scenes.labels import strong_labels as strong_labels
    from .scenes.overrides import apply_overrides as apply_overrides
    from .scenes.plan import check_plannable as check_plannable
    from .scenes.plan import plan as plan
    from .scenes.recipe import Recipe as Recipe
    from .scenes.recipe import list_recipes as list_recipes
    from .scenes.recipe import load_recipe as load_recipe
    from .scenes.recipe import recipe_text as recipe_text
    from .scenes.recipe_errors import recipe_problems as recipe_problems
    from .scenes.rules import RULES as RULES
    from .scenes.seeding import draws_for as draws_for
    from .scenes.spatialscaper import scaper_scene as scaper_scene
    from .scenes.spec import EventSpec as EventSpec
    from .scenes.spec import NoiseSpec as NoiseSpec
    from .scenes.spec import SceneSpec as SceneSpec
