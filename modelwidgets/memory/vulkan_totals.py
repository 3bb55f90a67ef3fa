"""Prints what Vulkan says of the GPUs here, as JSON: `python vulkan_totals.py`.

Why a program of its own: to ask loads the driver of every GPU into the process, which takes memory
and may take the process with it. It imports nothing of this package, so that it starts quickly.
"""

from __future__ import annotations

import ctypes
import json
import struct
import sys

_LIBRARY = {"win32": "vulkan-1.dll", "darwin": "libvulkan.1.dylib"}.get(
    sys.platform, "libvulkan.so.1"
)
_MOST_GPUS = 64
_INCOMPLETE = 5
_INSTANCE_CREATE_INFO = 1
_DEVICE_LOCAL = 1
_PROPERTIES_BYTES = 2048
"""More than `VkPhysicalDeviceProperties` takes, of which only the start is read."""
_MEMORY_BYTES = 520
_HEAP_COUNT_AT, _HEAPS_AT, _HEAP_BYTES, _MOST_HEAPS = 260, 264, 16, 16


class _CreateInfo(ctypes.Structure):
    _fields_ = (
        ("type", ctypes.c_uint32),
        ("next", ctypes.c_void_p),
        ("flags", ctypes.c_uint32),
        ("application", ctypes.c_void_p),
        ("layer_count", ctypes.c_uint32),
        ("layers", ctypes.c_void_p),
        ("extension_count", ctypes.c_uint32),
        ("extensions", ctypes.c_void_p),
    )


def gpus() -> list[dict[str, str | int]]:
    """Name, vendor, device, kind and the memory of its own of each GPU."""
    try:
        vulkan = ctypes.CDLL(_LIBRARY)
    except OSError:
        return []
    instance = ctypes.c_void_p()
    asked = _CreateInfo(type=_INSTANCE_CREATE_INFO)
    if vulkan.vkCreateInstance(ctypes.byref(asked), None, ctypes.byref(instance)) != 0:
        return []
    try:
        count = ctypes.c_uint32(_MOST_GPUS)
        handles = (ctypes.c_void_p * _MOST_GPUS)()
        result = vulkan.vkEnumeratePhysicalDevices(instance, ctypes.byref(count), handles)
        if result not in (0, _INCOMPLETE):
            return []
        return [_gpu(vulkan, ctypes.c_void_p(handles[index])) for index in range(count.value)]
    finally:
        vulkan.vkDestroyInstance(instance, None)


def _gpu(vulkan: ctypes.CDLL, handle: ctypes.c_void_p) -> dict[str, str | int]:
    properties = ctypes.create_string_buffer(_PROPERTIES_BYTES)
    vulkan.vkGetPhysicalDeviceProperties(handle, properties)
    _, _, vendor, device, kind, name = struct.unpack_from("=5I256s", properties)
    memory = ctypes.create_string_buffer(_MEMORY_BYTES)
    vulkan.vkGetPhysicalDeviceMemoryProperties(handle, memory)
    (heaps,) = struct.unpack_from("=I", memory, _HEAP_COUNT_AT)
    total = 0
    for number in range(min(heaps, _MOST_HEAPS)):
        size, flags = struct.unpack_from("=QI", memory, _HEAPS_AT + number * _HEAP_BYTES)
        # A card may show a window into its memory as a heap of its own, so they are not added.
        total = max(total, size if flags & _DEVICE_LOCAL else 0)
    return {
        "name": name.partition(b"\0")[0].decode(errors="replace"),
        "vendor": vendor,
        "device": device,
        "kind": kind,
        "total_bytes": total,
    }


if __name__ == "__main__":
    print(json.dumps(gpus()))  # noqa: T201 - what it is for
