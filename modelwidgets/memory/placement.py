"""Which layers llama.cpp's `--fit` puts on which GPU, for the memory that is free.

Everything goes on the GPUs if a margin stays free on each. If not, they are filled from the last
GPU to the first and from the last layers, so that the first layers stay in RAM. A model of experts
does better: all its layers without their experts are placed first, and then, from the first GPU
on, layers get their experts back as far as these fit; the layer at the border may get a part.

llama.cpp asks its own allocator what a trial layout takes and closes in on the border by false
position; so does this file, with the estimate in the place of the allocator.

Source: ggml-org/llama.cpp, build b11434, `common/fit.cpp`.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

from modelwidgets.fit_records import FitVerdict, MemoryEstimate, Placement
from modelwidgets.memory import formula
from modelwidgets.memory.estimate import device_bytes, estimate, held_bytes
from modelwidgets.memory.layout import Layout, RunOptions
from modelwidgets.memory.sized_model import SizedModel
from modelwidgets.memory.weights import EXPERTS, FEED_FORWARD

MARGIN_BYTES = 1 << 30
_WITH_UP = re.compile(r"ffn_(gate|gate_up|down).*")
_WITH_UP_AND_GATE = re.compile(r"ffn_down.*")


@dataclass(frozen=True, slots=True, kw_only=True)
class GpuMemory:
    """One GPU as the engine finds it."""

    free_bytes: int
    """After its own context, whose size a probe before the start has to take off."""
    margin_bytes: int = MARGIN_BYTES
    shared_bytes: int | None = None
    """Of memory that is the RAM too, what the engine's context takes; None: memory of its own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RamMemory:
    """The memory of the machine, or of the container if that is less."""

    available_bytes: int
    swap_bytes: int = 0

    def holds(self, needed_bytes: int) -> bool:
        """With the swap."""
        return needed_bytes <= self.available_bytes + self.swap_bytes

    def swapped(self, needed_bytes: int) -> int:
        """What of it would go to the swap."""
        return min(max(needed_bytes - self.available_bytes, 0), self.swap_bytes)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Share:
    """What one GPU gets: `layers`, the last `partial` of them without their experts."""

    layers: int = 0
    partial: int = 0
    kept_out: re.Pattern[str] = EXPERTS
    """What of the first partial layer lies elsewhere."""
    overflows_to_next: bool = False
    """Elsewhere is the next GPU, not RAM."""

    @property
    def whole(self) -> int:
        return self.layers - self.partial


_Shares = tuple[_Share, ...]


def place(
    model: SizedModel,
    run: RunOptions,
    gpus: Sequence[GpuMemory],
    ram: RamMemory | None = None,
    *,
    gpu_layers: int | None = None,
    numbers: Sequence[int] | None = None,
    projector_gpu: int | None = None,
) -> Placement:
    """Where `model` goes on these GPUs.

    `gpu_layers` is what the user demanded; then nothing is moved to make it fit. `numbers` names
    the GPUs where they are some among others. A projector lies in RAM where no GPU is named; on a
    GPU the margin has to leave room for it, as Ollama sets it.
    """
    named = tuple(range(len(gpus))) if numbers is None else tuple(numbers)
    if not gpus or gpu_layers == 0:
        layout = Layout.in_ram(model.layer_count, gpu_count=len(gpus))
    elif gpu_layers is None:
        layout = _Fitter(model, run, gpus).fitted()
    else:
        shares = tuple(float(gpu.free_bytes) for gpu in gpus)
        layout = Layout.split(model.layer_count, gpu_layers, shares)
    found = estimate(model, layout, run, projector_gpu=projector_gpu if gpus else None)
    return _judged(model, run, gpus, ram, layout, found, named)


def fits_whole(
    model: SizedModel, run: RunOptions, gpus: Sequence[GpuMemory], *, margins: bool = True
) -> bool:
    """Whether all layers go on these GPUs and leave the margins free, unless these do not count."""
    return bool(gpus) and _Fitter(model, run, gpus).whole_fits(margins=margins)


class _Fitter:
    """The search for one model on one set of GPUs."""

    def __init__(self, model: SizedModel, run: RunOptions, gpus: Sequence[GpuMemory]) -> None:
        self._model = model
        self._run = run
        self._gpus = gpus
        self._targets = [gpu.free_bytes - gpu.margin_bytes for gpu in gpus]
        self._all = model.layer_count + 1
        self._moe = model.shape.is_moe and any(model.expert_bytes)

    def _use(self, layout: Layout) -> list[int]:
        parts, _ = device_bytes(self._model, layout, self._run)
        return [part.total for part in parts[:-1]]

    def _held(self, layout: Layout) -> list[int]:
        """The least that it uses, known at once: all but the compute buffers."""
        held = held_bytes(self._model, layout, self._run)
        return [held.total(gpu) for gpu in range(layout.gpu_count)]

    def whole(self) -> Layout:
        """All layers, shared out by free memory: what llama.cpp does by itself."""
        free = tuple(float(gpu.free_bytes) for gpu in self._gpus)
        return Layout.split(self._model.layer_count, self._all, free)

    def whole_fits(self, *, margins: bool = True) -> bool:
        whole = self.whole()
        limits = self._targets if margins else [gpu.free_bytes for gpu in self._gpus]
        return _within(self._held(whole), limits) and _within(self._use(whole), limits)

    def fitted(self) -> Layout:
        if self.whole_fits():
            return self.whole()
        experts_out = self._moe and self._fits_without_experts()
        shares = self._fill()
        if experts_out:
            shares = self._give_back(shares)
        return self._layout(shares)

    def _fits_without_experts(self) -> bool:
        """By the sum over all GPUs."""
        whole = self.whole()
        moved = dict.fromkeys(range(self._model.layer_count), (EXPERTS, whole.ram))
        layout = replace(whole, moved=moved)
        room = sum(self._targets)
        return sum(self._held(layout)) < room and sum(self._use(layout)) < room

    def _layout(self, shares: _Shares) -> Layout:
        ram, count = len(shares), self._model.layer_count
        start = nth = count + 1 - sum(share.layers for share in shares)
        devices = [ram] * start
        moved: dict[int, tuple[re.Pattern[str], int]] = {}
        for device, share in enumerate(shares):
            devices.extend([device] * share.layers)
            border = nth + share.whole
            for layer in range(border, min(nth + share.layers, count)):
                if layer == border:
                    there = device + 1 if share.overflows_to_next else ram
                    moved[layer] = (share.kept_out, there)
                else:
                    moved[layer] = (EXPERTS, ram)
            nth += share.layers
        return Layout(gpu_count=ram, layers=tuple(devices[:-1]), output=devices[-1], moved=moved)

    def _fill(self) -> _Shares:
        """From the last GPU to the first, as many layers as fit; experts stay in RAM."""
        shares: _Shares = (_Share(),) * len(self._gpus)
        for gpu in range(len(shares) - 1, -1, -1):
            left = self._all - sum(share.layers for share in shares[gpu + 1 :])
            if self._moe and left:
                shares = self._without_experts(shares, gpu, left)
                continue

            def given(count: int, gpu: int = gpu, shares: _Shares = shares) -> _Shares:
                return _with(shares, gpu, layers=count)

            shares = given(self._most(given, left, gpu))
        return shares

    def _without_experts(self, shares: _Shares, gpu: int, left: int) -> _Shares:
        """Up to `left` layers, step by step as llama.cpp does it.

        The steps matter: the output, which has no experts, counts as one of those without them
        unless nothing else came with it.
        """
        last = len(shares) - 1
        high = _with(shares, gpu, layers=left, partial=left if gpu < last else left - 1)
        used_high = self._use(self._layout(high))[gpu]
        if used_high <= self._targets[gpu]:
            return high
        used = self._use(self._layout(shares))[gpu]
        while high[gpu].layers - shares[gpu].layers > 1:
            gap = high[gpu].layers - shares[gpu].layers
            step = _next_step(gap, used, used_high, self._targets[gpu])
            share = shares[gpu]
            has_output = gpu == last and share.partial == 0
            trial = _with(
                shares,
                gpu,
                layers=share.layers + step,
                partial=share.partial + step - has_output,
            )
            used_trial = self._use(self._layout(trial))[gpu]
            if used_trial <= self._targets[gpu]:
                shares, used = trial, used_trial
            else:
                high, used_high = trial, used_trial
        return shares

    def _most(self, given: Callable[[int], _Shares], count: int, gpu: int) -> int:
        """How many of `count` the GPU holds.

        Compute buffers hardly change from one to the next, so those of one trial tell where to
        try next, and mostly that one more is too much.
        """
        if count <= 0:
            return 0
        target = self._targets[gpu]

        @cache
        def layout(nth: int) -> Layout:
            return self._layout(given(nth))

        @cache
        def held(nth: int) -> int:
            return self._held(layout(nth))[gpu]

        low, high, tried = 0, count + 1, -1
        compute = formula.compute_bytes(self._model, layout(count), self._run)[0][gpu]
        while high - low > 1:
            nth = bisect_right(range(low + 1, high), target - compute, key=held) + low
            if nth == low:
                nth += 1
                doubt = compute
                if tried == low:
                    doubt = compute // 8 + self._copied(layout(low)) - self._copied(layout(nth))
                if held(nth) + compute - doubt > target:
                    break
            used = self._use(layout(nth))[gpu]
            compute, tried = used - held(nth), nth
            if used <= target:
                low = nth
            else:
                high = nth
        return low

    def _stepped(self, given: Callable[[int], _Shares], count: int, gpu: int) -> int:
        """The same in llama.cpp's own steps: over several GPUs the use may go up and down."""
        target = self._targets[gpu]
        used, used_high = (self._use(self._layout(given(one)))[gpu] for one in (0, count))
        if used_high <= target:
            return count
        low, high = 0, count
        while high - low > 1:
            trial = low + _next_step(high - low, used, used_high, target)
            used_trial = self._use(self._layout(given(trial)))[gpu]
            if used_trial <= target:
                low, used = trial, used_trial
            else:
                high, used_high = trial, used_trial
        return low

    def _copied(self, layout: Layout) -> int:
        """The largest tensor in RAM that a GPU may copy for a large batch."""
        return max(
            (
                self._model.largest_bytes[nth]
                for nth, device in enumerate(layout.layers)
                if device == layout.ram or nth in layout.moved
            ),
            default=0,
        )

    def _give_back(self, shares: _Shares) -> _Shares:
        """From the first GPU to the last, turn layers without experts into whole ones."""
        count = len(shares)
        first = next(gpu for gpu in range(count) if shares[gpu].layers > 0)
        gpu = 0
        while gpu <= first < count:
            all_whole = shares
            for other in range(first, count):
                moved = all_whole[other].layers - (other == count - 1)
                all_whole = _with(all_whole, gpu, layers=all_whole[gpu].layers + moved)
                all_whole = _with(all_whole, other, layers=all_whole[other].layers - moved)
                all_whole = _with(all_whole, other, partial=0)
            most = max(all_whole[gpu].whole - shares[gpu].whole, 1)
            before, start = shares, first

            def converted(
                step: int,
                gpu: int = gpu,
                most: int = most,
                before: _Shares = before,
                start: int = start,
                all_whole: _Shares = all_whole,
            ) -> tuple[_Shares, int]:
                if step == most:
                    return all_whole, count - 1
                return _convert(before, gpu, start, step) if step else (before, start)

            search = self._most if count == 1 else self._stepped
            shares, first = converted(search(lambda step: converted(step)[0], most, gpu))
            if first < count and shares[first].layers > (gpu == count - 1):
                shares, first = self._part_of_one_more(shares, gpu, first)
            gpu += 1
        return shares

    def _part_of_one_more(self, shares: _Shares, gpu: int, first: int) -> tuple[_Shares, int]:
        giver = shares[first]
        trial = _with(shares, first, layers=giver.layers - 1, partial=giver.partial - 1)
        taker = trial[gpu]
        trial = _with(
            trial,
            gpu,
            layers=taker.layers + 1,
            partial=taker.partial + 1,
            overflows_to_next=gpu < len(shares) - 1,
        )
        first_trial = first + 1 if trial[first].partial == 0 else first
        with_up = _with(trial, gpu, kept_out=_WITH_UP)
        if not self._holds(with_up, gpu):
            attention_only = _with(trial, gpu, kept_out=FEED_FORWARD)
            if not self._holds(attention_only, gpu):
                return shares, first
            return attention_only, first_trial
        with_both = _with(trial, gpu, kept_out=_WITH_UP_AND_GATE)
        return (with_both if self._holds(with_both, gpu) else with_up), first_trial

    def _holds(self, shares: _Shares, gpu: int) -> bool:
        """Here and on the next GPU, which takes what overflows."""
        layout = self._layout(shares)
        there = [one for one in (gpu, gpu + 1) if one < len(self._gpus)]

        def room(used: Sequence[int]) -> bool:
            return all(used[one] < self._targets[one] for one in there)

        return room(self._held(layout)) and room(self._use(layout))


def _next_step(gap: int, used: int, used_high: int, target: int) -> int:
    """Of the gap between what fits and what does not, as much as would fit if all steps were alike.

    At least one, and never the whole gap.
    """
    room = used_high - used
    step = gap * (target - used) // room if room > 0 else gap - 1
    return min(max(step, 1), gap - 1)


def _within(used: Sequence[int], limits: Sequence[int]) -> bool:
    return all(use <= limit for use, limit in zip(used, limits, strict=True))


def _with(
    shares: _Shares,
    gpu: int,
    *,
    layers: int | None = None,
    partial: int | None = None,
    kept_out: re.Pattern[str] | None = None,
    overflows_to_next: bool | None = None,
) -> _Shares:
    old = shares[gpu]
    new = _Share(
        layers=old.layers if layers is None else layers,
        partial=old.partial if partial is None else partial,
        kept_out=old.kept_out if kept_out is None else kept_out,
        overflows_to_next=(
            old.overflows_to_next if overflows_to_next is None else overflows_to_next
        ),
    )
    return (*shares[:gpu], new, *shares[gpu + 1 :])


def _convert(shares: _Shares, gpu: int, first: int, step: int) -> tuple[_Shares, int]:
    """Give `step` layers without experts to `gpu` as whole ones."""
    done = 0
    while first < len(shares):
        taken = min(step - done, shares[first].partial)
        giver = shares[first]
        shares = _with(shares, first, layers=giver.layers - taken, partial=giver.partial - taken)
        shares = _with(shares, gpu, layers=shares[gpu].layers + taken)
        done += taken
        if shares[first].partial > 0:
            break
        first += 1
    return shares, first


def _judged(
    model: SizedModel,
    run: RunOptions,
    gpus: Sequence[GpuMemory],
    ram: RamMemory | None,
    layout: Layout,
    found: MemoryEstimate,
    numbers: tuple[int, ...],
) -> Placement:
    on_gpus = layout.gpu_layers
    whole = on_gpus == model.layer_count + 1
    verdict: FitVerdict = "cpu"
    if layout.moved:
        verdict = "moe-partial"
    elif on_gpus:
        verdict = "full" if whole else "partial"
    in_ram = sum(term.size_bytes for term in found.terms if term.gpu is None)
    margins = tuple(
        gpu.free_bytes - sum(term.size_bytes for term in found.terms if term.gpu == nth)
        for nth, gpu in enumerate(gpus)
    )
    pooled = [nth for nth, gpu in enumerate(gpus) if gpu.shared_bytes is not None]
    needed = in_ram + sum(gpus[nth].free_bytes - margins[nth] for nth in pooled)
    needed += sum(gpus[nth].shared_bytes or 0 for nth in pooled)
    if ram is not None and not ram.holds(needed):
        verdict = "no"
    if on_gpus and any(margin < 0 for margin in margins):
        verdict = "no"
    return Placement(
        verdict=verdict,
        gpu_layers=on_gpus,
        layer_count=model.layer_count + 1,
        layers_by_gpu=tuple(
            sum(device == gpu for device in (*layout.layers, layout.output))
            for gpu in range(len(gpus))
        ),
        experts_in_ram=len(layout.moved),
        gpus=numbers,
        estimate=found,
        margins_bytes=margins,
        fits_when_forced=not whole and fits_whole(model, run, gpus, margins=False),
        ram_needed_bytes=needed,
        ram_available_bytes=None if ram is None else ram.available_bytes,
        swap_bytes=0 if ram is None else ram.swapped(needed),
    )
