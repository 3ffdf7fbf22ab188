// The driver: devices, contexts, streams, events and memory. A stream does its work at once, in the thread that asks.
//
// Functions have the names of cuda.h, whose macros append the version: cuMemAlloc is cuMemAlloc_v2.
#include "driver.h"

#include "launch.h"
#include "memory.h"
#include "process.h"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstring>
#include <deque>
#include <set>

using namespace emulator;

struct CUstream_st {
    CUcontext context;
};

struct CUevent_st {
    CUcontext context;
    bool timed;
    bool recorded = false;
    std::chrono::steady_clock::time_point time{};
};

struct CUmemPoolHandle_st {};

namespace {

std::atomic<bool> initialized{false};
std::mutex initializing;
auto& contexts = *new std::deque<CUctx_st>;  // the primary context of each device
CUmemPoolHandle_st pool;        // which is every device's: it has no properties here
thread_local CUcontext current = nullptr;

// Handles that have been given out and are not destroyed.
template <typename T> class Handles {
  public:
    T* add(T value) {
        const std::lock_guard lock(mutex);
        return *live.insert(new T(value)).first;
    }
    bool has(T* handle) {
        const std::lock_guard lock(mutex);
        return live.count(handle) > 0;
    }
    bool remove(T* handle) {
        const std::lock_guard lock(mutex);
        if (!live.erase(handle)) return false;
        delete handle;
        return true;
    }

  private:
    std::mutex mutex;
    std::set<T*> live;
};

auto& streams = *new Handles<CUstream_st>;
auto& events = *new Handles<CUevent_st>;

CUresult needs_device(CUdevice device) {
    if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
    return device >= 0 && device < settings().devices ? CUDA_SUCCESS : CUDA_ERROR_INVALID_DEVICE;
}

CUresult needs_context() {
    if (!initialized) return CUDA_ERROR_NOT_INITIALIZED;
    return current ? CUDA_SUCCESS : CUDA_ERROR_INVALID_CONTEXT;
}

CUresult needs_stream(CUstream stream) {
    SUCCEED(cannot_work());
    return is_stream(stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult needs_event(CUevent event) {
    SUCCEED(cannot_work());
    return events.has(event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

void* address(CUdeviceptr pointer) { return reinterpret_cast<void*>(pointer); }

// A copy of which each side is memory of the host, given as its address, or of a device.
CUresult copy(void* to, bool to_device, const void* from, bool from_device, size_t bytes) {
    if (bytes == 0) return CUDA_SUCCESS;
    if (to_device ? !memory::holds(to, bytes) : !to) return CUDA_ERROR_INVALID_VALUE;
    if (from_device ? !memory::holds(from, bytes) : !from) return CUDA_ERROR_INVALID_VALUE;
    std::memmove(to, from, bytes);
    return CUDA_SUCCESS;
}

CUresult set(CUdeviceptr to, unsigned char byte, size_t bytes) {
    if (bytes == 0) return CUDA_SUCCESS;
    if (!memory::holds(address(to), bytes)) return CUDA_ERROR_INVALID_VALUE;
    std::memset(address(to), byte, bytes);
    return CUDA_SUCCESS;
}

CUresult allocate(CUdeviceptr* pointer, size_t bytes) {
    void* start = memory::allocate(current->device, bytes);
    if (!start) return CUDA_ERROR_OUT_OF_MEMORY;
    *pointer = reinterpret_cast<CUdeviceptr>(start);
    return CUDA_SUCCESS;
}

// A broken context gives nothing back, but that is no reason to keep it.
CUresult release(CUdeviceptr pointer) {
    if (pointer && !memory::release(address(pointer))) return CUDA_ERROR_INVALID_VALUE;
    return poisoned() ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS;
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

CUresult cannot_work() {
    SUCCEED(needs_context());
    return poisoned() ? CUDA_ERROR_ILLEGAL_ADDRESS : CUDA_SUCCESS;
}

CUcontext current_context() { return current; }

bool is_stream(CUstream stream) {
    if (stream == nullptr || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD) return true;
    return streams.has(stream) && stream->context == current;
}

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
    *version = CUDA_VERSION;
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
    if (--contexts[device].retained == 0) memory::release_all(device);
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

CUresult cuCtxSynchronize() { return cannot_work(); }

// ---- streams -----------------------------------------------------------------------------------------------------------

CUresult cuStreamCreate(CUstream* stream, unsigned) {
    SUCCEED(cannot_work());
    *stream = streams.add({current});
    return CUDA_SUCCESS;
}

CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int) { return cuStreamCreate(stream, flags); }

CUresult cuStreamDestroy(CUstream stream) {
    SUCCEED(needs_context());
    return streams.remove(stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuStreamSynchronize(CUstream stream) { return needs_stream(stream); }

CUresult cuStreamQuery(CUstream stream) { return needs_stream(stream); }

// The event may be another device's.
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
    SUCCEED(needs_stream(stream));
    return needs_event(event);
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
    SUCCEED(needs_stream(stream));
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* argument) {
    SUCCEED(needs_stream(stream));
    function(argument);
    return CUDA_SUCCESS;
}

// ---- events ------------------------------------------------------------------------------------------------------------

CUresult cuEventCreate(CUevent* event, unsigned flags) {
    SUCCEED(cannot_work());
    *event = events.add({current, !(flags & CU_EVENT_DISABLE_TIMING)});
    return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent event) {
    SUCCEED(needs_context());
    return events.remove(event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    SUCCEED(needs_stream(stream));
    SUCCEED(needs_event(event));
    if (event->context != current) return CUDA_ERROR_INVALID_HANDLE;
    event->time = std::chrono::steady_clock::now();
    event->recorded = true;
    return CUDA_SUCCESS;
}

CUresult cuEventSynchronize(CUevent event) { return needs_event(event); }

CUresult cuEventQuery(CUevent event) { return needs_event(event); }

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
    SUCCEED(needs_event(start));
    SUCCEED(needs_event(end));
    if (!start->timed || !end->timed || !start->recorded || !end->recorded) return CUDA_ERROR_INVALID_HANDLE;
    *milliseconds = std::chrono::duration<float, std::milli>(end->time - start->time).count();
    return CUDA_SUCCESS;
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

CUresult cuMemFree(CUdeviceptr pointer) {
    SUCCEED(needs_context());
    return release(pointer);
}

CUresult cuMemFreeAsync(CUdeviceptr pointer, CUstream stream) {
    SUCCEED(needs_context());
    return is_stream(stream) ? release(pointer) : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuDeviceGetDefaultMemPool(CUmemoryPool* handle, CUdevice device) {
    SUCCEED(needs_device(device));
    *handle = &pool;
    return CUDA_SUCCESS;
}

// Freed memory is given back at once whatever the pool is told to keep.
CUresult cuMemPoolSetAttribute(CUmemoryPool handle, CUmemPool_attribute attribute, void* value) {
    if (handle != &pool || !value) return CUDA_ERROR_INVALID_VALUE;
    return attribute == CU_MEMPOOL_ATTR_RELEASE_THRESHOLD ? CUDA_SUCCESS : CUDA_ERROR_NOT_SUPPORTED;
}

CUresult cuMemHostAlloc(void** pointer, size_t bytes, unsigned) {
    SUCCEED(cannot_work());
    *pointer = bytes == 0 ? nullptr : memory::allocate_host(bytes);
    return *pointer || bytes == 0 ? CUDA_SUCCESS : CUDA_ERROR_OUT_OF_MEMORY;
}

CUresult cuMemFreeHost(void* pointer) {
    SUCCEED(needs_context());
    return !pointer || memory::release_host(pointer) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_VALUE;
}

CUresult cuMemsetD8(CUdeviceptr to, unsigned char byte, size_t bytes) {
    SUCCEED(cannot_work());
    return set(to, byte, bytes);
}

CUresult cuMemsetD8Async(CUdeviceptr to, unsigned char byte, size_t bytes, CUstream stream) {
    SUCCEED(needs_stream(stream));
    return set(to, byte, bytes);
}

CUresult cuMemcpyHtoD(CUdeviceptr to, const void* from, size_t bytes) {
    SUCCEED(cannot_work());
    return copy(address(to), true, from, false, bytes);
}

CUresult cuMemcpyHtoDAsync(CUdeviceptr to, const void* from, size_t bytes, CUstream stream) {
    SUCCEED(needs_stream(stream));
    return copy(address(to), true, from, false, bytes);
}

CUresult cuMemcpyDtoH(void* to, CUdeviceptr from, size_t bytes) {
    SUCCEED(cannot_work());
    return copy(to, false, address(from), true, bytes);
}

CUresult cuMemcpyDtoHAsync(void* to, CUdeviceptr from, size_t bytes, CUstream stream) {
    SUCCEED(needs_stream(stream));
    return copy(to, false, address(from), true, bytes);
}

CUresult cuMemcpyDtoD(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
    SUCCEED(cannot_work());
    return copy(address(to), true, address(from), true, bytes);
}

CUresult cuMemcpyDtoDAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream stream) {
    SUCCEED(needs_stream(stream));
    return copy(address(to), true, address(from), true, bytes);
}

CUresult cuMemcpyPeerAsync(CUdeviceptr to, CUcontext, CUdeviceptr from, CUcontext, size_t bytes, CUstream stream) {
    return cuMemcpyDtoDAsync(to, from, bytes, stream);
}
