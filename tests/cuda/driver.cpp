// The driver: devices, contexts and memory.
//
// Functions have the names of cuda.h, whose macros append the version: cuMemAlloc is cuMemAlloc_v2.
#include "driver.h"

#include "counters.h"
#include "launch.h"
#include "memory.h"
#include "process.h"

#include <atomic>
#include <cstdio>
#include <cstring>
#include <deque>
#include <memory>
#include <utility>

using namespace emulator;

struct CUmemPoolHandle_st {};

namespace {

std::atomic<bool> initialized{false};
std::mutex initializing;
auto& contexts = *new std::deque<CUctx_st>;  // the primary context of each device
CUmemPoolHandle_st pool;        // which is every device's: it has no properties here
thread_local CUcontext current = nullptr;

CUresult needs_device(CUdevice device) {
    if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
    return device >= 0 && device < settings().devices ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

void* address(CUdeviceptr pointer) { return reinterpret_cast<void*>(pointer); }

// One side of a copy.
struct Side {
    enum Kind { DEVICE, PINNED, PAGEABLE } kind;
    void* start;

    bool holds(size_t bytes) const {
        switch (kind) {
        case DEVICE: return memory::holds(start, bytes);
        case PINNED: return memory::host_holds(start, bytes);
        default: return start != nullptr;
        }
    }
};

Side of_device(CUdeviceptr pointer) { return {Side::DEVICE, address(pointer)}; }

Side of_host(const void* pointer) {
    return {memory::is_pinned(pointer) ? Side::PINNED : Side::PAGEABLE, const_cast<void*>(pointer)};
}

// Whether a function waits for what it puts into a stream.
enum class Waits { NO, YES };

CUresult finish(const Place& place, Waits waits) {
    if (waits == Waits::NO) return CUDA_SUCCESS;
    place.reach();
    return cannot_work();
}

void count_copy(Side::Kind to, Side::Kind from) {
    if (to != Side::DEVICE)
        count(Count::DOWNLOADS);
    else
        count(from == Side::DEVICE ? Count::DEVICE_COPIES : Count::UPLOADS);
}

// Pinned memory is read and written when the copy runs. Pageable memory is not: what is copied out of it is set aside at
// once, and what is copied into it is waited for.
CUresult copy(Side to, Side from, size_t bytes, CUstream stream, Waits waits) {
    count_copy(to.kind, from.kind);
    if (bytes == 0) return CUDA_SUCCESS;
    if (!to.holds(bytes) || !from.holds(bytes)) return CUDA_ERROR_INVALID_VALUE;
    if (to.kind == Side::PAGEABLE) waits = Waits::YES;
    std::shared_ptr<char[]> aside;
    if (from.kind == Side::PAGEABLE && waits == Waits::NO) {
        aside.reset(new char[bytes]);
        std::memcpy(aside.get(), from.start, bytes);
        from.start = aside.get();
    }
    const auto run = [=, aside = std::move(aside)] {
        if (!to.holds(bytes) || !from.holds(bytes)) fault("a copy runs when memory of it has been freed");
        std::memmove(to.start, from.start, bytes);
    };
    return finish(put(stream, run), waits);
}

CUresult set(CUdeviceptr to, unsigned char byte, size_t bytes, CUstream stream, Waits waits) {
    count(Count::MEMSETS);
    if (bytes == 0) return CUDA_SUCCESS;
    if (!memory::holds(address(to), bytes)) return CUDA_ERROR_INVALID_VALUE;
    const auto run = [=] {
        if (!memory::holds(address(to), bytes)) fault("a memset runs when its memory has been freed");
        std::memset(address(to), byte, bytes);
    };
    return finish(put(stream, run), waits);
}

// Memory whose release is queued is not free yet, but is before there is too little.
CUresult allocate(CUdeviceptr* pointer, size_t bytes) {
    count(Count::ALLOCATIONS);
    void* start = memory::allocate(current->device, bytes);
    if (!start) {
        synchronize(current);
        start = memory::allocate(current->device, bytes);
    }
    if (!start) return CUDA_ERROR_OUT_OF_MEMORY;
    *pointer = reinterpret_cast<CUdeviceptr>(start);
    return CUDA_SUCCESS;
}

struct Error {
    CUresult code;
    const char *name, *text;
};

constexpr Error ERRORS[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {CUDA_ERROR_FILE_NOT_FOUND, "CUDA_ERROR_FILE_NOT_FOUND", "file not found"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
};

CUresult describe(CUresult code, const char* Error::*what, const char** text) {
    *text = nullptr;
    for (const Error& error : ERRORS)
        if (error.code == code) *text = error.*what;
    return *text ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

}  // namespace

namespace emulator {

int most_shared_memory() {
    const int capability = 10 * settings().major + settings().minor;
    if (capability >= 120) return 99 << 10;
    if (capability >= 90) return 227 << 10;
    if (capability == 86 || capability == 89) return 99 << 10;
    if (capability >= 80) return 163 << 10;
    if (capability == 75) return 64 << 10;
    return capability >= 70 ? 96 << 10 : SHARED_MEMORY;
}

CUresult needs_context() {
    if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
    return current ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult cannot_work() {
    SUCCEED(needs_context());
    return poisoned() ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS;
}

CUcontext current_context() { return current; }

}  // namespace emulator

// ---- errors, the driver itself -----------------------------------------------------------------------------------------

CUresult cuGetErrorName(CUresult error, const char** name) { return describe(error, &Error::name, name); }

CUresult cuGetErrorString(CUresult error, const char** text) { return describe(error, &Error::text, text); }

CUresult cuInit(unsigned) {
    const std::lock_guard lock(initializing);
    if (settings().devices == 0) return CUDA_ERROR_NO_DEVICE;
    if (initialized) return CUDA_SUCCESS;
    for (int device = 0; device < settings().devices; device++) contexts.emplace_back().device = device;
    initialized = true;
    return CUDA_SUCCESS;
}

CUresult cuDriverGetVersion(int* version) {
    *version = settings().driver;
    return CUDA_SUCCESS;
}

// ---- devices -----------------------------------------------------------------------------------------------------------

CUresult cuDeviceGetCount(int* count) {
    if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
    *count = settings().devices;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGet(CUdevice* device, int ordinal) {
    SUCCEED(needs_device(ordinal));
    *device = ordinal;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetName(char* name, int length, CUdevice device) {
    SUCCEED(needs_device(device));
    std::snprintf(name, length, "Emulated CUDA device %d", device);
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetUuid(CUuuid* uuid, CUdevice device) {
    SUCCEED(needs_device(device));
    *uuid = {};
    uuid->bytes[0] = static_cast<char>(device);
    return CUDA_SUCCESS;
}

CUresult cuDeviceTotalMem(size_t* bytes, CUdevice device) {
    SUCCEED(needs_device(device));
    *bytes = settings().memory;
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetAttribute(int* value, CUdevice_attribute attribute, CUdevice device) {
    SUCCEED(needs_device(device));
    switch (attribute) {
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR: *value = settings().major; break;
    case CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR: *value = settings().minor; break;
    case CU_DEVICE_ATTRIBUTE_MAX_THREADS_PER_BLOCK: *value = MAX_THREADS; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_X: *value = MAX_THREADS; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Y: *value = MAX_THREADS; break;
    case CU_DEVICE_ATTRIBUTE_MAX_BLOCK_DIM_Z: *value = MAX_BLOCK_Z; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_X: *value = MAX_GRID_X; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Y: *value = MAX_GRID_YZ; break;
    case CU_DEVICE_ATTRIBUTE_MAX_GRID_DIM_Z: *value = MAX_GRID_YZ; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK: *value = SHARED_MEMORY; break;
    case CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN: *value = most_shared_memory(); break;
    case CU_DEVICE_ATTRIBUTE_CLOCK_RATE: *value = 1000000; break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE: *value = 2000000; break;
    case CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT: *value = 16; break;
    case CU_DEVICE_ATTRIBUTE_WARP_SIZE: *value = 32; break;
    case CU_DEVICE_ATTRIBUTE_UNIFIED_ADDRESSING: *value = 1; break;
    case CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED: *value = 1; break;
    case CU_DEVICE_ATTRIBUTE_INTEGRATED: *value = 0; break;
    case CU_DEVICE_ATTRIBUTE_PCI_BUS_ID: *value = device; break;
    case CU_DEVICE_ATTRIBUTE_PCI_DEVICE_ID: *value = 0; break;
    case CU_DEVICE_ATTRIBUTE_PCI_DOMAIN_ID: *value = 0; break;
    default:
        std::fprintf(stderr, "CUDA emulator: the device has no attribute %d\n", attribute);
        return CUDA_ERROR_NOT_SUPPORTED;
    }
    return CUDA_SUCCESS;
}

// ---- contexts ----------------------------------------------------------------------------------------------------------

CUresult cuDevicePrimaryCtxRetain(CUcontext* context, CUdevice device) {
    SUCCEED(needs_device(device));
    const std::lock_guard lock(initializing);
    *context = &contexts[device];
    (*context)->retained++;
    return CUDA_SUCCESS;
}

CUresult cuDevicePrimaryCtxRelease(CUdevice device) {
    SUCCEED(needs_device(device));
    const std::lock_guard lock(initializing);
    if (contexts[device].retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
    if (--contexts[device].retained == 0) {
        synchronize(&contexts[device]);
        memory::release_all(device);
    }
    return CUDA_SUCCESS;
}

CUresult cuCtxSetCurrent(CUcontext context) {
    if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
    if (context && context->retained == 0) return CUDA_ERROR_INVALID_CONTEXT;
    current = context;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetCurrent(CUcontext* context) {
    if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
    *context = current;
    return CUDA_SUCCESS;
}

CUresult cuCtxGetDevice(CUdevice* device) {
    SUCCEED(needs_context());
    *device = current->device;
    return CUDA_SUCCESS;
}

CUresult cuCtxSetFlags(unsigned) { return needs_context(); }

CUresult cuCtxSynchronize() {
    SUCCEED(cannot_work());
    synchronize(current);
    return cannot_work();
}

// ---- memory ------------------------------------------------------------------------------------------------------------

CUresult cuMemGetInfo(size_t* free, size_t* total) {
    SUCCEED(cannot_work());
    *total = settings().memory;
    *free = *total - memory::used(current->device);
    return CUDA_SUCCESS;
}

CUresult cuMemAlloc(CUdeviceptr* pointer, size_t bytes) {
    SUCCEED(cannot_work());
    return bytes == 0 ? CUDA_ERROR_INVALID_VALUE : allocate(pointer, bytes);
}

// Unlike the function without a stream, this one gives out nothing: a null pointer.
CUresult cuMemAllocAsync(CUdeviceptr* pointer, size_t bytes, CUstream stream) {
    SUCCEED(needs_stream(stream));
    *pointer = 0;
    return bytes == 0 ? CUDA_SUCCESS : allocate(pointer, bytes);
}

// A broken context gives nothing back, but that is no reason to keep it.
CUresult cuMemFree(CUdeviceptr pointer) {
    SUCCEED(needs_context());
    if (pointer) count(Count::FREES);
    synchronize(current);
    if (pointer && !memory::release(address(pointer))) return CUDA_ERROR_INVALID_VALUE;
    return cannot_work();
}

CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) {
    SUCCEED(needs_context());
    if (!is_stream(stream)) return CUDA_ERROR_INVALID_HANDLE;
    if (poisoned()) return cuMemFree(pointer);
    if (!pointer) return CUDA_SUCCESS;
    count(Count::FREES);
    if (!memory::announce_release(address(pointer))) return CUDA_ERROR_INVALID_VALUE;
    put(stream, [=] {
        if (!memory::release(address(pointer))) fault("memory is freed in a stream when it has been freed already");
    });
    return CUDA_SUCCESS;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* handle, CUdevice device) {
    SUCCEED(needs_device(device));
    *handle = &pool;
    return CUDA_SUCCESS;
}

// Freed memory is given back when its release runs, whatever the pool is told to keep.
CUresult cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void* value) {
    if (handle != &pool || !value) return CUDA_ERROR_INVALID_VALUE;
    return attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

// There is nothing kept that could be given back.
CUresult cuMemPoolTrimTo(CUmemoryPool handle, size_t) {
    return handle == &pool ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemHostAlloc(void** pointer, size_t bytes, unsigned) {
    SUCCEED(cannot_work());
    count(Count::HOST_ALLOCATIONS);
    *pointer = bytes == 0 ? nullptr : memory::allocate_host(bytes);
    return *pointer || bytes == 0 ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFreeHost(void* pointer) {
    SUCCEED(needs_context());
    return !pointer || memory::release_host(pointer) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemsetD8(CUdeviceptr to, unsigned char byte, size_t bytes) {
    SUCCEED(cannot_work());
    return set(to, byte, bytes, nullptr, Waits::YES);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char byte, size_t bytes, CUstream stream) {
    SUCCEED(needs_stream(stream));
    return set(to, byte, bytes, stream, Waits::NO);
}

CUresult cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t bytes) {
    SUCCEED(cannot_work());
    return copy(of_device(to), of_host(from), bytes, nullptr, Waits::YES);
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
    SUCCEED(needs_stream(stream));
    return copy(of_device(to), of_host(from), bytes, stream, Waits::NO);
}

CUresult cuMemcpyDtoH(void* to, CUdeviceptr from, size_t bytes) {
    SUCCEED(cannot_work());
    return copy(of_host(to), of_device(from), bytes, nullptr, Waits::YES);
}

CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
    SUCCEED(needs_stream(stream));
    return copy(of_host(to), of_device(from), bytes, stream, Waits::NO);
}

CUresult cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    SUCCEED(cannot_work());
    return copy(of_device(to), of_device(from), bytes, nullptr, Waits::YES);
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    SUCCEED(needs_stream(stream));
    return copy(of_device(to), of_device(from), bytes, stream, Waits::NO);
}

CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t bytes, CUstream stream) {
    return cuMemcpyDtoDAsync(to, from, bytes, stream);
}
