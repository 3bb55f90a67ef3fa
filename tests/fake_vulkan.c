/* A double of libvulkan.so.1 with three GPUs: a card, a GPU inside a processor, a processor. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

struct properties {
    uint32_t api, driver, vendor, device, kind;
    char name[256];
    unsigned char rest[548];
};
struct memory {
    uint32_t type_count, types[32][2];
    uint32_t heap_count;
    struct { uint64_t size; uint32_t flags; } heaps[16];
};

_Static_assert(sizeof(struct properties) == 824, "as in vulkan_core.h");
_Static_assert(sizeof(struct memory) == 520, "as in vulkan_core.h");

int vkCreateInstance(const void *info, const void *allocator, void **instance) {
    (void)info, (void)allocator;
    const char *how = getenv("FAKE_VULKAN");
    if (how != NULL && strcmp(how, "crash") == 0) abort();
    if (how != NULL && strcmp(how, "refuse") == 0) return -9;
    *instance = (void *)1;
    return 0;
}

void vkDestroyInstance(void *instance, const void *allocator) { (void)instance, (void)allocator; }

int vkEnumeratePhysicalDevices(void *instance, uint32_t *count, void **devices) {
    (void)instance;
    *count = 3;
    for (uintptr_t i = 0; i < 3; i++) devices[i] = (void *)(i + 1);
    return 0;
}

void vkGetPhysicalDeviceProperties(void *device, struct properties *to) {
    memset(to, 0, sizeof *to);
    uintptr_t number = (uintptr_t)device;
    to->vendor = number == 3 ? 0x10005 : 0x8086;
    to->device = number == 1 ? 0xe211 : 0x7d55;
    to->kind = number == 1 ? 2 : number == 2 ? 1 : 4;
    strcpy(to->name, number == 1 ? "Intel(R) Arc(TM) Pro B60 Graphics" : "Something else");
}

void vkGetPhysicalDeviceMemoryProperties(void *device, struct memory *to) {
    memset(to, 0, sizeof *to);
    to->heap_count = 3;
    to->heaps[0].size = 64ull << 30; /* the machine's */
    to->heaps[1].size = ((uintptr_t)device == 1 ? 24ull : 1ull) << 30;
    to->heaps[1].flags = 1;
    to->heaps[2].size = 256ull << 20; /* a window into the one before */
    to->heaps[2].flags = 1;
}
