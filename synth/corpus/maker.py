"""Plan and render the scene of an index, in whatever process asks."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ..assets.catalog import Catalog
from ..errors import SynthError
from ..rendering.scene import Renderer, Scene
from ..scenes.plan import plan
from ..scenes.recipe import Recipe
from ..scenes.spec import SceneSpec
from .terms import Terms


class SceneMaker:
    """Makes scenes of a recipe from a catalog; another process opens the catalog by its path.

    Args:
        recipe: How scenes are drawn.
        catalog: From what.
        seed: Which series of scenes.
        stems: What is rendered.
    """

    def __init__(self, recipe: Recipe, catalog: Catalog, seed: int, stems: tuple[str, ...]) -> None:
        self._recipe = recipe
        self._seed = seed
        self._stems = stems
        self._place = (catalog.directory, catalog.root, catalog.content_hash)
        self._opened: tuple[Catalog, Renderer] | None = (catalog, Renderer(catalog))
        self._terms: Terms | None = None

    def __call__(self, index: int) -> Scene:
        """Return scene `index`."""
        catalog, renderer = self._open()
        return renderer.render(plan(self._recipe, catalog, self._seed, index), self._stems)

    def licences(self, spec: SceneSpec) -> dict[str, int]:
        """Return how often files of each data set and licence are used in a scene; see `Statistics`."""
        if self._terms is None:
            self._terms = Terms(self._open()[0])
        return self._terms.of_scene(spec)

    def _open(self) -> tuple[Catalog, Renderer]:
        if self._opened is None:
            catalog = _reopened(*self._place)
            self._opened = (catalog, Renderer(catalog))
        return self._opened

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_opened": None, "_terms": None}


def _reopened(directory: Path, root: Path, content_hash: str) -> Catalog:
    catalog = Catalog.load(directory, root=root)
    if catalog.content_hash != content_hash:
        raise SynthError(
            "the catalog was changed while scenes were made from it",
            where=directory,
            remedy="run the same command again, into a new folder",
        )
    return catalog
