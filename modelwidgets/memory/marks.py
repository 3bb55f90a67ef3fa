"""What the row of a model says of whether it fits, for many models at once.

What Ollama would choose is decided for each as ever; the rest is the glance of `glance.py`, whose
work depends on the dimensions and on few choices, so that it is done once for many rows. The report
of a model, which reads the header of its file, is the better answer where the two differ.
"""

from __future__ import annotations

from dataclasses import replace

from modelwidgets.fit_records import FitMark, FitVerdict
from modelwidgets.memory.estimate import PROJECTOR_WORK_BYTES
from modelwidgets.memory.glance import Dimensions, Glance, shape_of
from modelwidgets.memory.judge import Judgement, Machine
from modelwidgets.memory.ollama_defaults import (
    OllamaChoice,
    OllamaModel,
    OllamaRequest,
    choose,
    default_context,
    next_lower_context,
)
from modelwidgets.memory.overhead import overhead_bytes
from modelwidgets.memory.sized_model import SizedModel

_AS_SET, _EMBEDDING = OllamaRequest(), OllamaRequest(completion=False)
_UNKNOWN = OllamaModel(architecture="", longest_context=None, token_bytes=0, file_bytes=0)


class Marker:
    """Marks models on one machine; what was worked out for one serves the next that is like it."""

    def __init__(self, machine: Machine) -> None:
        used = machine.usable
        self._ram = machine.memory
        self._gpus = [seen for _, seen in used]
        self._overheads = [overhead_bytes(gpu) for gpu, _ in used]
        self._models: dict[int, tuple[Dimensions, OllamaModel]] = {}
        self._glances: dict[tuple[object, ...], Glance] = {}
        self.context_length = default_context(self._gpus)
        """Which the server chooses for a model that was made for as much."""

    def mark(
        self,
        dimensions: Dimensions | None,
        size_bytes: int,
        *,
        projector_bytes: int = 0,
        longest_context: int | None = None,
        completion: bool = True,
    ) -> FitMark:
        """Of a download of `size_bytes`; `completion` is False for embedding models."""
        known = self._model(dimensions)
        model = OllamaModel(
            architecture=known.architecture,
            longest_context=longest_context or known.longest_context,
            token_bytes=known.token_bytes,
            file_bytes=max(size_bytes - projector_bytes, 0),
            projector_bytes=projector_bytes,
        )
        mark = self._mark(dimensions, model, _AS_SET if completion else _EMBEDDING)
        context: int | None = self.context_length
        while mark.verdict == "no" and (context := next_lower_context(context or 0)):
            request = OllamaRequest(context_length=context, completion=completion)
            mark = self._mark(dimensions, model, request)
        return mark

    def exact(self, model: SizedModel, judgement: Judgement) -> FitMark:
        """The same of a model whose header was read."""
        placement = judgement.run.placement
        return FitMark(
            verdict=placement.verdict,
            fits=self._fits(placement.verdict),
            needed_bytes=judgement.total_bytes,
            gpu_layers=placement.gpu_layers,
            layer_count=placement.layer_count,
            basis=model.basis,
        )

    def _fits(self, verdict: FitVerdict) -> bool:
        return verdict == "full" or (verdict == "cpu" and not self._gpus)

    def _model(self, dimensions: Dimensions | None) -> OllamaModel:
        """Of the size nothing is known yet."""
        if not dimensions or not dimensions.get("block_count"):
            return _UNKNOWN
        found = self._models.get(id(dimensions))
        if found is None or found[0] is not dimensions:
            model = OllamaModel.of(SizedModel.of_shape(shape_of(dimensions)))
            found = self._models[id(dimensions)] = (dimensions, model)
        return found[1]

    def _mark(
        self, dimensions: Dimensions | None, model: OllamaModel, request: OllamaRequest
    ) -> FitMark:
        choice = choose(model, request, self._gpus, self._ram)
        beside = model.projector_bytes + PROJECTOR_WORK_BYTES if model.projector_bytes else 0
        in_ram = beside if choice.projector_gpu is None else 0
        seen = self._glance(choice, in_ram).verdict(dimensions, model.file_bytes)
        needed = seen.needed_bytes + beside
        if seen.verdict in ("full", "moe-partial", "partial"):
            needed += sum(self._overheads[nth] for nth in choice.gpus)
        count = dimensions.get("block_count") if dimensions else None
        return FitMark(
            verdict=seen.verdict,
            fits=self._fits(seen.verdict),
            needed_bytes=needed,
            gpu_layers=seen.gpu_layers,
            layer_count=count + 1 if isinstance(count, int) and count else None,
            basis="catalog" if count else "guess",
        )

    def _glance(self, choice: OllamaChoice, in_ram: int) -> Glance:
        key = (
            choice.context_length,
            choice.num_batch,
            choice.gpus,
            choice.flash_attention,
            choice.margin_bytes,
            in_ram,
        )
        found = self._glances.get(key)
        if found is None:
            ram = self._ram
            if ram is not None and in_ram:
                ram = replace(ram, available_bytes=ram.available_bytes - in_ram)
            found = Glance(choice.run("f16"), choice.memory(self._gpus), ram)
            self._glances[key] = found
        return found
