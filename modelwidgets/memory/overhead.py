"""What a program takes of a GPU before it holds anything, which no log of an engine tells.

A CUDA context grows with the multiprocessors of the card; libraries and pools come once it
computes. Sources: ggml-org/llama.cpp, pulls 20595 and 23604 (107 MiB on 34 multiprocessors, 555 MiB
on 188); ollama/ollama, `discover/gpu.go` (457 MiB a GPU where nothing better is known).
"""

from __future__ import annotations

from modelwidgets.device_records import Gpu
from modelwidgets.memory.ollama_defaults import OllamaGpu

_MIB = 1 << 20
_CUDA_BASE_BYTES = 10 * _MIB
_CUDA_BYTES_OF_A_MULTIPROCESSOR = int(2.9 * _MIB)
_CUDA_UNKNOWN_BYTES = 350 * _MIB
_OTHERS = {"rocm": 400 * _MIB, "vulkan": 200 * _MIB, "metal": 0}
_LATER_BYTES = 100 * _MIB
"""Work space of libraries, kernels and pools, taken after the layers were placed."""
_NAMES = {"cuda": "CUDA", "rocm": "ROCm", "vulkan": "Vulkan", "metal": "Metal"}
_OLDEST_FLASH, _WITHOUT_FLASH = 6.0, 7.2


def context_bytes(gpu: Gpu) -> int:
    """What an engine finds taken when it asks how much is free."""
    if gpu.library in _OTHERS:
        return _OTHERS[gpu.library]
    if gpu.multiprocessors is None:
        return _CUDA_UNKNOWN_BYTES
    return _CUDA_BASE_BYTES + gpu.multiprocessors * _CUDA_BYTES_OF_A_MULTIPROCESSOR


def overhead_bytes(gpu: Gpu) -> int:
    """All of it, once the model answers."""
    return 0 if gpu.library == "metal" else context_bytes(gpu) + _LATER_BYTES


def as_ollama_sees(gpu: Gpu, *, freed_bytes: int = 0) -> OllamaGpu | None:
    """A GPU in Ollama's terms; None for one that it leaves alone, or whose memory is unknown.

    `freed_bytes` is what would be free besides.
    """
    left_alone = gpu.unified and gpu.library not in ("cuda", "metal")
    if not gpu.visible or gpu.total_bytes is None or gpu.free_bytes is None or left_alone:
        return None
    return OllamaGpu(
        free_bytes=min(gpu.free_bytes + freed_bytes, gpu.total_bytes),
        total_bytes=gpu.total_bytes,
        context_bytes=context_bytes(gpu),
        library=_NAMES.get(gpu.library or "cuda", "CUDA"),
        integrated=gpu.unified,
        flash_attention=_flash_attention(gpu),
    )


def _flash_attention(gpu: Gpu) -> bool:
    if gpu.compute_capability is None:
        return True
    capability = float(gpu.compute_capability)
    return capability >= _OLDEST_FLASH and capability != _WITHOUT_FLASH
