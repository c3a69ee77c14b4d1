"""Plan: draw one SceneSpec. All that is random about a scene is decided here."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from ..errors import ProblemsError, SynthError
from ..units import Decibels, Hertz, Samples
from .demands import demand_problems
from .effect_sections import NO_EFFECTS, Role, snr_range
from .effects import NOTHING, DrawnEffects, draw_event_effects, draw_scene_effects
from .onsets import draw_onset
from .recipe import Recipe
from .seeding import Draws, draws_for
from .sound_list import Sound, SoundList
from .spec import EventSpec, NoiseSpec, Origin, SceneSpec
from .stock import Place, PlanTables, Stock, longest_event, scene_samples, take_stock
from .windowing import Window, draw_window, seen

__all__ = ["PlanTables", "check_plannable", "plan"]

MAX_TRIES = 1000
"""How often the events of a scene are drawn anew before it is given up."""

_KEPT_STOCKS = 8
_stocks: OrderedDict[tuple[str, str], Stock] = OrderedDict()


def plan(recipe: Recipe, catalog: PlanTables, seed: int, index: int) -> SceneSpec:
    """Draw scene `index` of the series `seed`: a pure function of its four arguments.

    One place per scene, uniform over places. The number of targets is uniform; with two or more,
    a share `same_class.rate` of the scenes repeats classes: of n targets k (uniform from 1 to
    min(n - 1, max_duplicates)) take the class of one of the other n - k, from another source and
    a direction more than `min_angle` from all of that class. Otherwise all classes differ. Class,
    file in the class, position in the place, onset and SNR are uniform. Interferers are drawn
    with replacement. A part of a long file starts at a uniform sample; noise starts as
    `noise.start` says. No more than `max_overlap` targets, or interferers, sound at once; see
    `draw_onset`. Targets and interferers are listed in onset order.

    When events cannot be placed, they are all drawn anew (their number and whether classes repeat
    stay), at most `MAX_TRIES` times. Scenes that repeat classes take a place in which two
    positions are far enough apart.

    Place, targets, interferers and noise have streams of random numbers of their own: a recipe
    that changes only one of them keeps the others. So has every effect, see `draw_event_effects`;
    a time stretch moves the range that the event's onset is drawn from.

    Args:
        recipe: How.
        catalog: From what.
        seed: Any integer.
        index: 0 or more.

    Raises:
        SynthError: The recipe asks for what the catalog has not, or this scene's events cannot be
            placed.
    """
    return _Planner(recipe, _stock(recipe, catalog), seed, index).spec(catalog.content_hash)


def check_plannable(recipe: Recipe, catalog: PlanTables) -> None:
    """Check that a catalog has what a recipe asks for; `plan` does so before its first scene.

    Raises:
        ProblemsError: It has not; every key is named.
    """
    _stock(recipe, catalog)


def _stock(recipe: Recipe, catalog: PlanTables) -> Stock:
    key = (recipe.recipe_hash, catalog.content_hash)
    stock = _stocks.get(key)
    if stock is None:
        stock = take_stock(recipe, catalog)
        if problems := demand_problems(recipe, catalog, stock):
            raise ProblemsError(problems, remedy="change the recipe, or build a catalog with more in it")
        _stocks[key] = stock
        while len(_stocks) > _KEPT_STOCKS:
            _stocks.popitem(last=False)
    return stock


class _NoRoom(Exception):  # noqa: N818 - a signal between two methods, not an error
    """The events drawn so far leave no choice for the next; args name the rule's key."""


class _Planner:
    """Draws one scene; its methods read top to bottom."""

    def __init__(self, recipe: Recipe, stock: Stock, seed: int, index: int) -> None:
        self.recipe, self.stock = recipe, stock
        self.seed, self.index = seed, index
        self.scene = scene_samples(recipe)
        self.longest = longest_event(recipe)
        self.effects = None if recipe.effects == NO_EFFECTS else recipe.effects
        self.window = Window() if self.effects is None else draw_window(self.effects, seed, index, self.rate)

    @property
    def rate(self) -> Hertz:
        return self.recipe.scene.sample_rate

    def spec(self, catalog_hash: str) -> SceneSpec:
        recipe = self.recipe
        draws = self._draws("targets")
        count = draws.integer(*recipe.targets.count)
        # Drawn in any case, so that recipes which differ in the rate share all else.
        repeated = draws.uniform(0, 1) < recipe.targets.same_class.rate and count >= 2
        places = self.stock.wide_places if repeated else self.stock.places
        place = places[self._draws("place").choice(len(places))]
        targets = self._targets(draws, place, count, repeated)
        interferers = self._interferers(self._draws("interferers"), place)
        effects = None
        if self.effects is not None:
            keep = round(self.effects.scene.keep * self.rate)
            wanted = min(recipe.targets.count[0], count)
            targets, interferers = seen(self.window, targets, interferers, self.scene, keep, wanted)
            effects = draw_scene_effects(self.effects, self.seed, self.index)
        return SceneSpec(
            rules=recipe.rules,
            sample_rate=recipe.scene.sample_rate,
            duration=self.scene,
            ref_db=recipe.scene.ref_db,
            place=place.path,
            targets=targets,
            interferers=interferers,
            noise=self._noise(self._draws("noise")),
            dry=self.stock.dry,
            labels=self.stock.labels,
            trim=self.stock.trim,
            origin=self._origin(catalog_hash),
            effects=effects,
        )

    def _event_effects(self, role: Role, count: int) -> list[DrawnEffects]:
        if self.effects is None:
            return [NOTHING] * count
        return draw_event_effects(self.effects, self.seed, self.index, role, count, self.rate)

    def _snr_range(self, role: Role) -> tuple[Decibels, Decibels]:
        final = self.recipe.targets.snr_db if role == "targets" else self.recipe.interference.snr_db
        if self.effects is None:
            return final
        return snr_range(self.effects.scene.snr_curriculum, role, final, self.index)

    def _draws(self, purpose: str) -> Draws:
        return draws_for(self.seed, self.index, purpose)

    def _targets(self, draws: Draws, place: Place, count: int, repeated: bool) -> tuple[EventSpec, ...]:
        effects = self._event_effects("targets", count)
        return self._tried(lambda: self._try_targets(draws, place, effects, repeated))

    def _interferers(self, draws: Draws, place: Place) -> tuple[EventSpec, ...]:
        count = draws.integer(*self.recipe.interference.count)
        effects = self._event_effects("interference", count)
        return self._tried(lambda: self._try_interferers(draws, place, effects))

    def _tried(self, attempt: Callable[[], list[EventSpec]]) -> tuple[EventSpec, ...]:
        """Return the events of the first attempt that found room for all, in onset order."""
        for _ in range(MAX_TRIES):
            try:
                return tuple(sorted(attempt(), key=_onset))
            except _NoRoom as signal:
                key = signal.args[0]
        raise SynthError(
            f"no arrangement of the events found in {MAX_TRIES} tries (scene {self.index}, seed {self.seed})",
            where=f"{self.recipe.name}: {key}",
            remedy="loosen this rule or ask for fewer events",
        )

    def _try_targets(
        self, draws: Draws, place: Place, effects: Sequence[DrawnEffects], repeated: bool
    ) -> list[EventSpec]:
        same, classes = self.recipe.targets.same_class, self.stock.events
        count, snr_db = len(effects), self._snr_range("targets")
        copies = draws.integer(1, min(count - 1, same.max_duplicates)) if repeated else 0
        left = list(classes)
        if count - copies > len(left):
            raise _NoRoom("targets.count")
        events: list[EventSpec] = []
        used: list[tuple[SoundList, Sound]] = []
        for n in range(count):
            if n < count - copies:
                sounds: SoundList = left.pop(draws.choice(len(left)))
                sound = sounds[draws.choice(len(sounds))]
                positions = None
            else:
                sounds = used[draws.choice(count - copies)][0]
                twins = [m for m, (others, _) in enumerate(used) if others is sounds]
                sound = self._other_source(draws, sounds, [used[m][1] for m in twins])
                positions = place.apart([events[m].position for m in twins], same.min_angle)
            used.append((sounds, sound))
            events.append(self._event(draws, sound, place, positions, events, snr_db, effects[n]))
        return events

    def _try_interferers(
        self, draws: Draws, place: Place, effects: Sequence[DrawnEffects]
    ) -> list[EventSpec]:
        events: list[EventSpec] = []
        snr_db = self._snr_range("interference")
        for drawn in effects:
            sounds = self.stock.interferers[draws.choice(len(self.stock.interferers))]
            sound = sounds[draws.choice(len(sounds))]
            events.append(self._event(draws, sound, place, None, events, snr_db, drawn))
        return events

    def _other_source(self, draws: Draws, sounds: SoundList, used: Sequence[Sound]) -> Sound:
        """Draw a file of a class that shares no source with those used."""
        left = sounds.outside({sound.group for sound in used})
        if not len(left):
            raise _NoRoom("targets.same_class.exclusion_depth")
        return sounds[int(left[draws.choice(len(left))])]

    def _event(
        self,
        draws: Draws,
        sound: Sound,
        place: Place,
        positions: Sequence[int] | None,
        others: Sequence[EventSpec],
        snr_db: tuple[Decibels, Decibels],
        drawn: DrawnEffects,
    ) -> EventSpec:
        """Draw the rest of an event: the part of the file, onset, position (None: any) and SNR."""
        read, duration, effects = drawn.fit(sound.samples, self.longest)
        start = draws.integer(0, sound.samples - read)
        extents = [(other.onset, other.onset + other.duration) for other in others]
        line = self.scene + self.window.extra
        onset = draw_onset(draws, extents, duration, line, self.recipe.scene.max_overlap)
        if onset is None:
            raise _NoRoom("scene.max_overlap")
        if positions is None:
            position = draws.choice(len(place.points))
        elif positions:
            position = positions[draws.choice(len(positions))]
        else:
            raise _NoRoom("targets.same_class.min_angle")
        return EventSpec(
            label=sound.label,
            path=sound.path,
            start=start,
            duration=duration,
            onset=onset,
            position=position,
            xyz=place.point(position),
            snr_db=draws.uniform(*snr_db) + drawn.gain_db,
            source=sound.source,
            effects=effects,
        )

    def _noise(self, draws: Draws) -> NoiseSpec:
        """Draw the background: a file, and where it starts if it is longer than the scene."""
        path, samples = self.stock.noises[draws.choice(len(self.stock.noises))]
        start = draws.integer(0, max(samples - self.scene, 0))
        if self.recipe.noise.start == "seconds":
            start -= start % self.recipe.scene.sample_rate
        duration = min(samples, self.scene)
        return NoiseSpec(path=path, start=start, duration=duration, snr_db=self.recipe.noise.snr_db)

    def _origin(self, catalog_hash: str) -> Origin:
        return Origin(
            recipe=self.recipe.name,
            recipe_hash=self.recipe.recipe_hash,
            catalog_hash=catalog_hash,
            split=self.recipe.split,
            seed=self.seed,
            index=self.index,
        )


def _onset(event: EventSpec) -> Samples:
    return event.onset
