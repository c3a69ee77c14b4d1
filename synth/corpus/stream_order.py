"""Which process makes which positions: the one place that knows batches, ranks and where a stream ends."""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import SynthError

MAX_POSITION = 1 << 62


@dataclass(frozen=True, slots=True)
class BatchOrder:
    """Positions 0, 1, 2 … cut into global batches, and those into the shares of the ranks.

    A global batch is `global_batch` positions from where the one before it ended. Rank r gets the
    r-th `batch_size` of them. So the order over all ranks together depends on nothing but
    `global_batch`, and it never depends on who makes the samples.

    Attributes:
        batch_size: Samples that one rank gets at a time.
        rank: Which of the processes that train together this one is.
        world_size: How many they are.
        length: Where a fixed set ends; None: never. The last batch may be short, or empty on
            some ranks.

    Raises:
        SynthError: A number is out of its range.
    """

    batch_size: int = 1
    rank: int = 0
    world_size: int = 1
    length: int | None = None

    def __post_init__(self) -> None:
        for name, value, low, high in (
            ("batch_size", self.batch_size, 1, 1 << 20),
            ("world_size", self.world_size, 1, 1 << 20),
            ("rank", self.rank, 0, self.world_size - 1),
            ("length", 0 if self.length is None else self.length, 0, MAX_POSITION),
        ):
            if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
                raise SynthError(
                    f"is {value!r}, allowed are whole numbers from {low} to {high}",
                    where=name,
                    remedy="give another value",
                )

    @property
    def global_batch(self) -> int:
        """Return how many samples all ranks together get at a time."""
        return self.batch_size * self.world_size

    def share(self, position: int) -> range:
        """Return this rank's positions in the global batch that begins at `position`."""
        first = position + self.rank * self.batch_size
        end = first + self.batch_size
        return range(first, end if self.length is None else max(min(end, self.length), first))

    def after(self, position: int, batches: int = 1) -> int:
        """Return where the stream stands when so many global batches from `position` on are consumed."""
        end = position + batches * self.global_batch
        return end if self.length is None else max(min(end, self.length), position)

    def checked(self, position: int) -> int:
        """Return a position that the stream can stand at.

        Raises:
            SynthError: It is negative, or beyond the end.
        """
        end = MAX_POSITION if self.length is None else self.length
        if isinstance(position, bool) or not isinstance(position, int) or not 0 <= position <= end:
            raise SynthError(
                f"is {position!r}, allowed are whole numbers from 0 to {end}",
                where="position",
                remedy="give the position of a state_dict of this stream",
            )
        return position
