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
    "list_recipes": "scenes.recipe",
    "load_recipe": "scenes.recipe",
    "recipe_text": "scenes.recipe",
    "to_dcase_scene": "scenes.dcase_json",
    "read_scene": "scenes.dcase_json",
    "RoomFacts": "scenes.dcase_json",
    "encode_flac16": "assets.audio",
    "to_int16": "assets.audio",
    "RULES": "scenes.rules",
    "Sounds": "rendering.sounds",
    "early_window": "rendering.early",
    "plan": "scenes.plan",
    "check_plannable": "scenes.plan",
    "EventSpec": "scenes.spec",
    "NoiseSpec": "scenes.spec",
    "SceneSpec": "scenes.spec",
    "StrongLabel": "scenes.labels",
    "frame_matrix": "scenes.labels",
    "strong_labels": "scenes.labels",
    "from_tsv": "scenes.label_files",
    "to_seld": "scenes.label_files",
    "to_tsv": "scenes.label_files",
    "FolderSounds": "rendering.sounds",
    "Renderer": "rendering.scene",
    "STEMS": "rendering.scene",
    "Scene": "rendering.scene",
    "render": "rendering.scene",
    "load_scenes": "rendering.folder",
    "stem_names": "rendering.folder",
    "write_scene": "rendering.folder",
    "write_dcase_scene": "rendering.folder",
    "open_sounds": "rendering.sounds",
    "build_spectra": "rendering.spectra",
    "write_corpus": "corpus.corpus",
    "CorpusProgress": "corpus.corpus",
    "CorpusReport": "corpus.corpus",
    "CorpusIndex": "corpus.corpus_index",
    "CorpusReader": "corpus.reader",
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
    from .assets.audio import to_int16 as to_int16
    from .assets.audit import AuditReport as AuditReport
    from .assets.audit import Finding as Finding
    from .assets.audit import audit_catalog as audit_catalog
    from .assets.audit import catalog_ledger as catalog_ledger
    from .assets.catalog import Catalog as Catalog
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
    from .corpus.corpus import CorpusProgress as CorpusProgress
    from .corpus.corpus import CorpusReport as CorpusReport
    from .corpus.corpus import write_corpus as write_corpus
    from .corpus.corpus_index import CorpusIndex as CorpusIndex
    from .corpus.publication import prepare_publication as prepare_publication
    from .corpus.publication import upload as upload
    from .corpus.reader import CorpusReader as CorpusReader
    from .corpus.statistics import Statistics as Statistics
    from .corpus.verify import VerifyReport as VerifyReport
    from .corpus.verify import verify_corpus as verify_corpus
    from .errors import Problem as Problem
    from .errors import ProblemsError as ProblemsError
    from .errors import SynthError as SynthError
    from .rendering.early import early_window as early_window
    from .rendering.folder import load_scenes as load_scenes
    from .rendering.folder import stem_names as stem_names
    from .rendering.folder import write_dcase_scene as write_dcase_scene
    from .rendering.folder import write_scene as write_scene
    from .rendering.scene import STEMS as STEMS
    from .rendering.scene import Renderer as Renderer
    from .rendering.scene import Scene as Scene
    from .rendering.scene import render as render
    from .rendering.sounds import FolderSounds as FolderSounds
    from .rendering.sounds import Sounds as Sounds
    from .rendering.sounds import open_sounds as open_sounds
    from .rendering.spectra import build_spectra as build_spectra
    from .scenes.dcase_json import RoomFacts as RoomFacts
    from .scenes.dcase_json import read_scene as read_scene
    from .scenes.dcase_json import to_dcase_scene as to_dcase_scene
    from .scenes.label_files import from_tsv as from_tsv
    from .scenes.label_files import to_seld as to_seld
    from .scenes.label_files import to_tsv as to_tsv
    from .scenes.labels import StrongLabel as StrongLabel
    from .scenes.labels import frame_matrix as frame_matrix
    from .scenes.labels import strong_labels as strong_labels
    from .scenes.plan import check_plannable as check_plannable
    from .scenes.plan import plan as plan
    from .scenes.recipe import Recipe as Recipe
    from .scenes.recipe import list_recipes as list_recipes
    from .scenes.recipe import load_recipe as load_recipe
    from .scenes.recipe import recipe_text as recipe_text
    from .scenes.rules import RULES as RULES
    from .scenes.spatialscaper import scaper_scene as scaper_scene
    from .scenes.spec import EventSpec as EventSpec
    from .scenes.spec import NoiseSpec as NoiseSpec
    from .scenes.spec import SceneSpec as SceneSpec
