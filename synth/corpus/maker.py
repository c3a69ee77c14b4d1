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
        self._catalog: Catalog | None = catalog
        self._renderer: Renderer | None = None
        self._terms: Terms | None = None

    def __call__(self, index: int) -> Scene:
        """Return scene `index`."""
        if self._renderer is None:
            self._renderer = Renderer(self._open())
        return self._renderer.render(self.plan(index), self._stems)

    def plan(self, index: int) -> SceneSpec:
        """Return scene `index` on paper."""
        return plan(self._recipe, self._open(), self._seed, index)

    def series(self, recipe: Recipe, seed: int) -> SceneMaker:
        """Return a maker of another series from the same catalog; what is open is shared."""
        other = SceneMaker.__new__(SceneMaker)
        self._open()
        other.__dict__.update(self.__dict__, _recipe=recipe, _seed=seed)
        return other

    def licences(self, spec: SceneSpec) -> dict[str, int]:
        """Return how often files of each data set and licence are used in a scene; see `Statistics`."""
        if self._terms is None:
            self._terms = Terms(self._open())
        return self._terms.of_scene(spec)

    def _open(self) -> Catalog:
        if self._catalog is None:
            self._catalog = reopened(*self._place)
        return self._catalog

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_catalog": None, "_renderer": None, "_terms": None}


def reopened(directory: Path, root: Path, content_hash: str) -> Catalog:
    """Return a catalog opened by its path.

    Raises:
        SynthError: It is not the one that had this hash.
    """
    catalog = Catalog.load(directory, root=root)
    if catalog.content_hash != content_hash:
        raise SynthError(
            "the catalog was changed while scenes were made from it",
            where=directory,
            remedy="run the same command again, into a new folder",
        )
    return catalog
