/* A double of NVIDIA's libnvidia-ml.so.1, as far as the package asks it.
 *
 * It answers from a `struct driver` that the test owns and changes (see fake_nvml.py, which lays
 * out the same structure), so one loaded library plays every case. Like the real one it answers
 * 1 (uninitialized) before nvmlInit, takes stock of its GPUs in nvmlInit only, and checks the
 * version word of the newer memory call. With -DOLD_DRIVER the newer calls do not exist. A slice of
 * a GPU (MIG) is another entry that names its parent.
 */
#include <stddef.h>
#include <string.h>
#include <unistd.h>

enum { SUCCESS = 0, UNINITIALIZED = 1, INVALID_ARGUMENT = 2, NOT_SUPPORTED = 3, NOT_FOUND = 6,
       INSUFFICIENT_SIZE = 7,
       DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15, ARGUMENT_VERSION_MISMATCH = 25,
       MOST_GPUS = 8, MOST_PROCESSES = 8, MEMORY_V2 = 0x02000028 };

struct process { unsigned pid; unsigned long long used; unsigned gpu_instance, compute_instance; };

struct gpu {
    char name[96];
    char uuid[96];
    unsigned long long total, reserved, free, used;
    int handle_result, name_result, uuid_result, memory_result, memory_v2_result;
    int major, minor;
    int gone;
    int cores, multiprocessors;
    int sliced; /* -1: it cannot be; 0: it could be; 1: it is */
    int parent; /* of a slice: the index of the whole GPU and one more */
    int instance;
    int process_result, process_count, graphics_count;
    struct process processes[MOST_PROCESSES]; /* those that draw come last */
};

struct driver {
    char version[80];
    int init_result, count_result;
    int count;
    int open, inits, shutdowns, memory_calls;
    int held; /* while set, the memory calls do not come back */
    int visible[MOST_GPUS], visible_count;
    struct gpu gpus[MOST_GPUS];
};

struct memory_v1 { unsigned long long total, free, used; };
struct memory_v2 { unsigned version; unsigned long long total, reserved, free, used; };

static struct driver *volatile driver;

void fake_use(struct driver *theirs) { driver = theirs; }

static int text(const char *from, char *to, unsigned room) {
    if (strlen(from) >= room) return INSUFFICIENT_SIZE;
    strcpy(to, from);
    return SUCCESS;
}

static int state(const struct gpu *gpu) {
    if (driver == NULL || !driver->open) return UNINITIALIZED;
    if (gpu == NULL) return INVALID_ARGUMENT;
    return gpu->gone ? GPU_IS_LOST : SUCCESS;
}

static int memory_state(const struct gpu *gpu) {
    int result = state(gpu);
    if (result != SUCCESS) return result;
    driver->memory_calls++;
    while (*(volatile int *)&driver->held) usleep(1000);
    return SUCCESS;
}

const char *nvmlErrorString(int result) { (void)result; return "A code that nobody knows"; }

int nvmlInitWithFlags(unsigned flags) {
    (void)flags;
    if (driver == NULL) return DRIVER_NOT_LOADED;
    driver->inits++;
    if (driver->init_result != SUCCESS) return driver->init_result;
    driver->open = 1;
    driver->visible_count = 0;
    for (int i = 0; i < driver->count; i++)
        if (!driver->gpus[i].gone && !driver->gpus[i].parent) driver->visible[driver->visible_count++] = i;
    return SUCCESS;
}

int nvmlShutdown(void) {
    if (driver == NULL || !driver->open) return UNINITIALIZED;
    driver->open = 0;
    driver->shutdowns++;
    return SUCCESS;
}

int nvmlSystemGetDriverVersion(char *version, unsigned length) {
    if (driver == NULL || !driver->open) return UNINITIALIZED;
    return text(driver->version, version, length);
}

int nvmlDeviceGetCount_v2(unsigned *count) {
    if (driver == NULL || !driver->open) return UNINITIALIZED;
    if (driver->count_result != SUCCESS) return driver->count_result;
    *count = (unsigned)driver->visible_count;
    return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, struct gpu **gpu) {
    if (driver == NULL || !driver->open) return UNINITIALIZED;
    if ((int)index >= driver->visible_count) return INVALID_ARGUMENT;
    *gpu = &driver->gpus[driver->visible[index]];
    return (*gpu)->handle_result;
}

int nvmlDeviceGetName(const struct gpu *gpu, char *name, unsigned length) {
    int result = state(gpu);
    if (result == SUCCESS) result = gpu->name_result;
    return result == SUCCESS ? text(gpu->name, name, length) : result;
}

int nvmlDeviceGetUUID(const struct gpu *gpu, char *uuid, unsigned length) {
    int result = state(gpu);
    if (result == SUCCESS) result = gpu->uuid_result;
    return result == SUCCESS ? text(gpu->uuid, uuid, length) : result;
}

int nvmlDeviceGetCudaComputeCapability(const struct gpu *gpu, int *major, int *minor) {
    int result = state(gpu);
    if (result != SUCCESS) return result;
    *major = gpu->major;
    *minor = gpu->minor;
    return SUCCESS;
}

int nvmlDeviceGetMemoryInfo(const struct gpu *gpu, struct memory_v1 *memory) {
    int result = memory_state(gpu);
    if (result == SUCCESS) result = gpu->memory_result;
    if (result != SUCCESS) return result;
    memory->total = gpu->total;
    memory->free = gpu->free;
    memory->used = gpu->used + gpu->reserved; /* the older call counts the reserved part as used */
    return SUCCESS;
}

#ifndef OLD_DRIVER
struct attributes {
    unsigned multiprocessors, copy, decoder, encoder, jpeg, ofa, gpu_slices, compute_slices;
    unsigned long long memory_mb;
};

int nvmlDeviceGetNumGpuCores(const struct gpu *gpu, unsigned *cores) {
    int result = state(gpu);
    if (result != SUCCESS) return result;
    if (gpu->cores == 0) return NOT_SUPPORTED;
    *cores = (unsigned)gpu->cores;
    return SUCCESS;
}

int nvmlDeviceGetAttributes_v2(const struct gpu *gpu, struct attributes *attributes) {
    int result = state(gpu);
    if (result != SUCCESS) return result;
    if (!gpu->parent) return NOT_SUPPORTED;
    memset(attributes, 0, sizeof *attributes);
    attributes->multiprocessors = (unsigned)gpu->multiprocessors;
    attributes->memory_mb = gpu->total >> 20;
    return SUCCESS;
}

int nvmlDeviceGetMigMode(const struct gpu *gpu, unsigned *current, unsigned *pending) {
    int result = state(gpu);
    if (result != SUCCESS) return result;
    if (gpu->sliced < 0 || gpu->parent) return NOT_SUPPORTED;
    *current = *pending = (unsigned)gpu->sliced;
    return SUCCESS;
}

int nvmlDeviceGetMaxMigDeviceCount(const struct gpu *gpu, unsigned *count) {
    int result = state(gpu);
    if (result != SUCCESS) return result;
    *count = gpu->sliced < 0 ? 0 : 7;
    return SUCCESS;
}

/* Like the real one it leaves gaps: the first place is always empty here. */
int nvmlDeviceGetMigDeviceHandleByIndex(const struct gpu *gpu, unsigned index, struct gpu **slice) {
    int result = state(gpu);
    if (result != SUCCESS) return result;
    int whole = (int)(gpu - driver->gpus) + 1;
    for (int i = 0, at = 1; i < driver->count; i++)
        if (driver->gpus[i].parent == whole && at++ == (int)index) {
            *slice = &driver->gpus[i];
            return SUCCESS;
        }
    return NOT_FOUND;
}

int nvmlDeviceGetGpuInstanceId(const struct gpu *gpu, unsigned *instance) {
    int result = state(gpu);
    if (result != SUCCESS) return result;
    if (!gpu->parent) return NOT_SUPPORTED;
    *instance = (unsigned)gpu->instance;
    return SUCCESS;
}

static int processes(const struct gpu *gpu, int first, int count, unsigned *room,
                     struct process *to) {
    int result = state(gpu);
    if (result == SUCCESS) result = gpu->process_result;
    if (result == SUCCESS && gpu->parent) result = NOT_SUPPORTED;
    if (result != SUCCESS) return result;
    int fits = *room >= (unsigned)count;
    *room = (unsigned)count;
    if (!fits) return INSUFFICIENT_SIZE;
    for (int i = 0; i < count; i++) to[i] = gpu->processes[first + i];
    return SUCCESS;
}

int nvmlDeviceGetComputeRunningProcesses_v3(const struct gpu *gpu, unsigned *room,
                                            struct process *to) {
    return processes(gpu, 0, gpu == NULL ? 0 : gpu->process_count - gpu->graphics_count, room, to);
}

int nvmlDeviceGetGraphicsRunningProcesses_v3(const struct gpu *gpu, unsigned *room,
                                             struct process *to) {
    if (gpu == NULL) return INVALID_ARGUMENT;
    int first = gpu->process_count - gpu->graphics_count;
    return processes(gpu, first, gpu->graphics_count, room, to);
}

int nvmlSystemGetProcessName(unsigned pid, char *name, unsigned length) {
    if (driver == NULL || !driver->open) return UNINITIALIZED;
    return pid == 1 ? NOT_FOUND : text("C:\\Program Files\\Ollama\\ollama.exe", name, length);
}

int nvmlDeviceGetMemoryInfo_v2(const struct gpu *gpu, struct memory_v2 *memory) {
    int result = memory_state(gpu);
    if (result == SUCCESS) result = gpu->memory_v2_result;
    if (result != SUCCESS) return result;
    if (memory->version != MEMORY_V2) return ARGUMENT_VERSION_MISMATCH;
    memory->total = gpu->total;
    memory->reserved = gpu->reserved;
    memory->free = gpu->free;
    memory->used = gpu->used;
    return SUCCESS;
}
#endif
