"""Turns the lines of one pull into one bar that tells the truth.

Ollama's lines speak of one layer at a time, so:

- the total comes from the manifest, each digest counted once;
- a layer is finished when another digest or "verifying" follows, never by its own last line, which
  usually stands below its total;
- the shown bytes never fall: a roll-back shows as "retrying" until it has caught up.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Mapping

from modelwidgets.records import Manifest, PullPhase, PullStep

SPEED_WINDOW_SECONDS = 5.0
OVERALL_DIGEST = "sha256:model"
"""The digest that stands for all layers together in pulls of safetensors models."""


class Tally:
    """Adds up the lines of one pull, also over several attempts. Pure: no clock, no I/O."""

    def __init__(
        self, manifest: Manifest | None = None, kept: Mapping[str, int] | None = None
    ) -> None:
        self.total_bytes: int | None = manifest.total_bytes if manifest else None
        self.phase: PullPhase = "manifest"
        self.completed_bytes = 0
        """Never falls."""
        self.behind_bytes = 0
        """How far the server has fallen behind what was shown: what it fetches again."""
        self.arrived_bytes = 0
        """What was seen to come in, again too; not what was there before, so speed goes by it."""
        self.digest: str | None = None
        """The layer whose turn it is."""
        self._known = manifest is not None
        self._sizes: dict[str, int] = {}
        self._finished: set[str] = set()
        self._kept: dict[str, int] = {}
        self._settled_bytes = 0
        """Finished layers, and what is kept of those whose turn has not come."""
        self._layer_bytes = 0
        """What the server has of the layer whose turn it is."""
        for layer in manifest.layers if manifest else ():
            self._sizes.setdefault(layer.digest, layer.size_bytes)
        for digest, size in self._sizes.items():
            there = min(size, (kept or {}).get(digest, 0))
            if there == size:
                self._finished.add(digest)
            else:
                self._kept[digest] = there
            self._settled_bytes += there
        self.completed_bytes = self._settled_bytes

    @classmethod
    def going_on(cls, total_bytes: int | None, kept: Mapping[str, int]) -> Tally:
        """Where a pull of another process ended, before its manifest is asked for again."""
        tally = cls()
        tally.total_bytes = total_bytes
        tally._kept = dict(kept)
        tally._settled_bytes = tally.completed_bytes = sum(kept.values())
        return tally

    @property
    def reached_bytes(self) -> int:
        """Where the server really is; less than what is shown while it fetches again."""
        return self.completed_bytes - self.behind_bytes

    @property
    def kept(self) -> dict[str, int]:
        """What is there by digest, as far as the lines told."""
        kept = self._kept | {digest: self._sizes[digest] for digest in self._finished}
        return kept if self.digest is None else {**kept, self.digest: self._layer_bytes}

    def begin(self) -> None:
        """The server begins with the first layer, at first or again; what it kept counts."""
        if self.digest is not None:
            self._kept[self.digest] = self._layer_bytes
            self._settled_bytes += self._layer_bytes
            self.digest = None
        self.behind_bytes = 0
        self.phase = "manifest"

    def feed(self, step: PullStep) -> bool:
        """Take in one line; whether the server moved: it repeats a line while nothing comes."""
        if step.digest is not None:
            return self._feed_layer(step.digest, step)
        status = step.status
        if status.startswith("pulling manifest"):
            self.begin()
        elif status.startswith("verifying"):
            self._finish_all()
            self.phase = "verifying"
        elif status.startswith(("writing", "removing", "couldn't remove")):
            self._finish_all()
            self.phase = "writing"
        elif status == "success":
            self._finish_all()
            self.phase = "done"
        return True

    def _feed_layer(self, digest: str, step: PullStep) -> bool:
        turned = digest != self.digest
        if turned:
            self._turn_to(digest, step)
        reached = step.completed_bytes
        # no server has more of a layer than there is; a bar over its end would be a lie
        limit = self._sizes[digest] or step.total_bytes
        if limit and reached > limit:
            reached = limit
        arrived = reached - self._layer_bytes
        self._layer_bytes = reached
        if not turned:
            if arrived == 0:
                return False
            if arrived > 0:
                self.arrived_bytes += arrived
        behind = self.completed_bytes - self._settled_bytes - reached
        if behind > 0:
            self.behind_bytes = behind
            self.phase = "retrying"
        else:
            self.completed_bytes -= behind
            self.behind_bytes = 0
            self.phase = "downloading"
        return True

    def _turn_to(self, digest: str, step: PullStep) -> None:
        """Another layer begins, so the one before it is finished, and those between them too."""
        if self.digest is not None:
            self._finish(self.digest)
        self.digest = digest
        if digest == OVERALL_DIGEST:
            # this path reports all layers as one: its figures replace ours
            self._known, self._settled_bytes, self._kept = False, 0, {}
            self._finished.clear()
            self._sizes = {digest: step.total_bytes or 0}
            self.total_bytes = step.total_bytes or self.total_bytes
            return
        if digest not in self._sizes:
            if self._known:
                # the tag moved after its manifest was read: the total is no longer known
                self._known, self.total_bytes = False, None
            self._sizes[digest] = step.total_bytes or 0
        elif self._known:
            for earlier in self._sizes:
                if earlier == digest:
                    break
                self._finish(earlier)
        if digest in self._finished:
            self._finished.discard(digest)
            self._settled_bytes -= self._sizes[digest]
        self._settled_bytes -= self._kept.pop(digest, 0)

    def _finish(self, digest: str) -> None:
        if digest not in self._finished:
            self._finished.add(digest)
            self._settled_bytes += self._sizes[digest] - self._kept.pop(digest, 0)

    def _finish_all(self) -> None:
        if self.digest is not None:
            self._finish(self.digest)
            self.digest = None
        if self._known:
            for digest in self._sizes:
                self._finish(digest)
        self.completed_bytes = max(self.completed_bytes, self._settled_bytes)
        self.behind_bytes = 0


class Speed:
    """Bytes per second over the last few seconds."""

    def __init__(self) -> None:
        self._samples: deque[tuple[float, int]] = deque()
        self.next_at = -math.inf
        """From when on another note is worth it: five a second are enough."""

    def sample(self, at: float, arrived_bytes: int) -> None:
        """Note what has come in."""
        self.next_at = at + 0.2
        self._samples.append((at, arrived_bytes))
        while self._samples[0][0] < at - SPEED_WINDOW_SECONDS:
            self._samples.popleft()

    def bytes_per_second(self, at: float, arrived_bytes: int) -> float | None:
        """None until half a second has been seen."""
        if not self._samples:
            return None
        since, had = self._samples[0]
        if at - since < 0.5:
            return None
        return max(0, arrived_bytes - had) / (at - since)
