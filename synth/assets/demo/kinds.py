"""The list of sounds in the demo: 18 target classes, eleven kinds of interferers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from ...units import Seconds
from . import drums, impacts, keyboard, living, machines, outdoors, tonal, traffic, voice, water
from .draws import Draw, draws, log_uniform, object_draws
from .dsp import Signal, finish

Maker = Callable[[Draw, Draw, Seconds], Signal]
"""(generator of the object, generator of the performance, wished seconds) -> raw mono sound."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One class folder.

    Attributes:
        label: Name of the folder.
        make: Makes the raw sound.
        shortest: Shortest wished duration.
        longest: Longest wished duration; kinds of 8 s and more also have files over 10 s.
        takes: Files per object: above one, the object (speaker, instrument) has its own folder.
    """

    label: str
    make: Maker
    shortest: Seconds
    longest: Seconds
    takes: int = 1


EVENTS: tuple[Kind, ...] = (
    Kind("AlarmClock", tonal.alarm_clock, 1.2, 8.0),
    Kind("BicycleBell", tonal.bicycle_bell, 0.6, 4.0),
    Kind("Blender", machines.blender, 1.0, 8.0),
    Kind("Buzzer", tonal.buzzer, 0.4, 4.0),
    Kind("Clapping", impacts.clapping, 0.8, 6.0),
    Kind("Cough", voice.cough, 0.35, 3.0),
    Kind("CupboardOpenClose", impacts.cupboard_open_close, 1.0, 5.0),
    Kind("Dishes", impacts.dishes, 0.4, 6.0),
    Kind("Doorbell", tonal.doorbell, 1.2, 5.0),
    Kind("FootSteps", impacts.foot_steps, 1.0, 8.0),
    Kind("HairDryer", machines.hair_dryer, 1.5, 8.0),
    Kind("MechanicalFans", machines.mechanical_fans, 1.5, 8.0),
    Kind("MusicalKeyboard", keyboard.musical_keyboard, 1.0, 8.0, takes=2),
    Kind("Percussion", drums.percussion, 0.5, 7.0),
    Kind("Pour", water.pour, 1.0, 8.0),
    Kind("Speech", voice.speech, 0.7, 8.0, takes=2),
    Kind("Typing", impacts.typing, 0.8, 6.0),
    Kind("VacuumCleaner", machines.vacuum_cleaner, 1.5, 8.0),
)

INTERFERERS: tuple[Kind, ...] = (
    Kind("Bird", living.bird, 0.6, 6.0),
    Kind("Crackle", outdoors.crackle, 1.0, 6.0),
    Kind("Cricket", living.cricket, 0.8, 6.0),
    Kind("Dog", living.dog, 0.4, 4.0),
    Kind("Engine", traffic.engine, 1.5, 8.0),
    Kind("Rain", outdoors.rain, 1.5, 8.0),
    Kind("Siren", traffic.siren, 1.5, 8.0),
    Kind("Telephone", traffic.telephone, 1.2, 5.0),
    Kind("Thunder", outdoors.thunder, 2.0, 6.0),
    Kind("Train", traffic.train, 1.5, 6.0),
    Kind("Wind", outdoors.wind, 2.0, 8.0),
)


def sound(kind: Kind, split: str, number: int) -> Signal:
    """Return file `number` of a kind: `(samples,)` at 32 kHz, peak below one, 0.3 to 12 s.

    Everything is drawn from generators keyed by (split, kind, number), and for the object by
    (split, kind, number // takes), so that splits share neither objects nor performances.
    """
    thing = object_draws(split, kind.label, number // kind.takes)
    take = draws("take", split, kind.label, number)
    seconds = log_uniform(take, kind.shortest, kind.longest)
    if kind.longest >= 8.0 and number % 10 == 2:
        seconds = float(take.uniform(10.3, 11.9))
    return finish(kind.make(thing, take, seconds), float(take.uniform(0.35, 0.9)))


def file_name(kind: Kind, split: str, number: int) -> str:
    """Return the path of a file below its class folder; it says that the sound is synthetic."""
    name = f"synthetic_{kind.label.lower()}_{split}_{number:03d}.wav"
    if kind.takes == 1:
        return name
    return f"object_{split}_{number // kind.takes:02d}/{name}"
