// The tests of the emulator itself. Each case is a process of its own: the emulator reads its settings once, and ends the
// process at what a device would not survive.
#include "device_shim.h"
#include "driver.h"
#include "counters.h"
#include "kernel.h"
#include "../../kernels/src/cuda/device/tensor_cores.cuh"

#include <cublasLt.h>

#include <cstdio>
#include <cstdlib>
#include <string>
#include <sys/wait.h>
#include <thread>
#include <unistd.h>
#include <vector>

#define CHECK(condition)                                                                                               \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            std::fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                                       \
            std::_Exit(1);                                                                                             \
        }                                                                                                              \
    } while (false)
#define OK(call) CHECK((call) == 0)

// ---- kernels -----------------------------------------------------------------------------------------------------------

namespace {

extern thread_local float dynamic[];

// The sum of a block, with shuffles inside its warps and shared memory between them.
__global__ void sum(const float* in, float* out, int count) {
    __shared__ float of_warps[32];
    const int thread = threadIdx.x + threadIdx.y * blockDim.x, threads = blockDim.x * blockDim.y;
    float total = 0;
    for (int i = thread; i < count; i += threads) total += in[blockIdx.x * count + i];
    for (int distance = 16; distance > 0; distance /= 2) total += __shfl_xor_sync(0xffffffff, total, distance);
    if (thread % 32 == 0) of_warps[thread / 32] = total;
    __syncthreads();
    if (thread >= 32) return;
    total = thread < threads / 32 ? of_warps[thread] : 0.0f;
    for (int distance = 16; distance > 0; distance /= 2) total += __shfl_down_sync(0xffffffff, total, distance);
    if (thread == 0) out[blockIdx.x] = total;
}

// Reverses each block's values by way of dynamic shared memory. Threads without a value leave before the others meet.
__global__ void reverse(float* values, int count) {
    if (static_cast<int>(threadIdx.x) >= count) return;
    float* own = values + blockIdx.x * count;
    dynamic[threadIdx.x] = own[threadIdx.x];
    __syncthreads();
    own[threadIdx.x] = dynamic[count - 1 - threadIdx.x];
    __syncwarp();
}

// What each kind of shuffle reads in a segment of 8 lanes. The upper half of the warp has returned by then.
__global__ void shuffles(unsigned* out) {
    const unsigned lane = threadIdx.x;
    if (lane >= 16) return;
    out[lane] = __shfl_sync(0x0000ffff, lane, 3, 8);
    out[16 + lane] = __shfl_xor_sync(0xffffffff, lane, 5, 8);
    out[32 + lane] = __shfl_down_sync(0xffffffff, lane, 6, 8);
}

// The two halves of a warp exchange values at different times.
__global__ void halves(double* out) {
    const unsigned mask = threadIdx.x < 16 ? 0x0000ffff : 0xffff0000;
    double value = threadIdx.x;
    for (int i = 0; i < (threadIdx.x < 16 ? 2 : 5); i++) value += __shfl_xor_sync(mask, value, 1);
    out[threadIdx.x] = value;
}

// Where each thread is in the grid, in the order of the device.
__global__ void indices(uint3* out) {
    const unsigned block = blockIdx.x + gridDim.x * (blockIdx.y + gridDim.y * blockIdx.z);
    const unsigned thread = threadIdx.x + blockDim.x * (threadIdx.y + blockDim.y * threadIdx.z);
    out[block * blockDim.x * blockDim.y * blockDim.z + thread] = threadIdx;
}

__global__ void store_at(float* out, int at, float value) { out[at] = value; }

__global__ void add_one(float* value) { *value += 1; }

__global__ void store_shared(int at) { dynamic[at] = 1.0f; }

__global__ void read_shared(float* out) { *out = dynamic[0]; }

__global__ void half_a_barrier() {
    if (threadIdx.x % 2 == 0)
        __syncthreads();
    else
        __syncwarp();
}

// What a lane of one warp brings to a product, and has of it: see tensor_cores.cuh.
template <typename T> __global__ void multiply_by_warp(const unsigned* a, const unsigned* b, float* d) {
    const unsigned lane = threadIdx.x;
    float sums[4];
    unsigned of_a[4], of_b[2];
    for (int i = 0; i < 4; i++) of_a[i] = a[4 * lane + i];
    for (int i = 0; i < 2; i++) of_b[i] = b[2 * lane + i];
    for (int i = 0; i < 4; i++) sums[i] = d[4 * lane + i];
    multiply<T>(sums, of_a, of_b);
    for (int i = 0; i < 4; i++) d[4 * lane + i] = sums[i];
}

__global__ void turn(unsigned* registers) { registers[threadIdx.x] = movmatrix(registers[threadIdx.x]); }

__global__ void half_a_warp_turns(unsigned* registers) {
    if (threadIdx.x < 16) return;
    registers[threadIdx.x] = movmatrix(registers[threadIdx.x]);
}

alignas(256) thread_local float dynamic[((227 << 10) + emulator::SHARED_GUARD) / sizeof(float)];

template <auto kernel> emulator::Known known(const char* name) {
    using Parameters = emulator::Parameters<kernel>;
    return emulator::Known(
        {name, Parameters::call, Parameters::copy, Parameters::reaches,
         [] { return static_cast<void*>(dynamic); }});
}

const emulator::Known all[] = {
    known<sum>("sum"),
    known<reverse>("reverse"),
    known<shuffles>("shuffles"),
    known<halves>("halves"),
    known<indices>("indices"),
    known<store_at>("store"),
    known<add_one>("add_one"),
    known<store_shared>("store_shared"),
    known<read_shared>("read_shared"),
    known<half_a_barrier>("half_a_barrier"),
    known<multiply_by_warp<__half>>("multiply_f16"),
    known<multiply_by_warp<__nv_bfloat16>>("multiply_bf16"),
    known<turn>("turn"),
    known<half_a_warp_turns>("half_a_warp_turns"),
};

// ---- a device to test with ---------------------------------------------------------------------------------------------

void open(int device = 0) {
    OK(cuInit(0));
    CUcontext context;
    OK(cuDevicePrimaryCtxRetain(&context, device));
    OK(cuCtxSetCurrent(context));
}

CUfunction function(const char* name) {
    const std::string ptx = std::string("//\n.version 8.0\n.target sm_75\n.address_size 64\n.visible .entry ") + name +
                            "(\n.param .u64 " + name + "_param_0\n)\n{ ret; }\n";
    CUmodule module;
    OK(cuModuleLoadData(&module, ptx.c_str()));
    CUfunction found;
    OK(cuModuleGetFunction(&found, module, name));
    return found;
}

template <typename... Parameter>
CUresult launch_in(CUstream stream, CUfunction what, uint3 grid, uint3 block, unsigned shared, Parameter... parameters) {
    void* pointers[] = {&parameters..., nullptr};
    return cuLaunchKernel(what, grid.x, grid.y, grid.z, block.x, block.y, block.z, shared, stream, pointers, nullptr);
}

template <typename... Parameter>
CUresult launch(CUfunction what, uint3 grid, uint3 block, unsigned shared, Parameter... parameters) {
    return launch_in(nullptr, what, grid, block, shared, parameters...);
}

// Values in the memory of the device.
template <typename T> class Values {
  public:
    explicit Values(const std::vector<T>& values) : count(values.size()) {
        OK(cuMemAlloc(&pointer, count * sizeof(T)));
        OK(cuMemcpyHtoD(pointer, values.data(), count * sizeof(T)));
    }
    explicit Values(size_t count) : count(count) { OK(cuMemAlloc(&pointer, count * sizeof(T))); }
    T* get() const { return reinterpret_cast<T*>(pointer); }
    std::vector<T> read() const {
        std::vector<T> values(count);
        OK(cuMemcpyDtoH(values.data(), pointer, count * sizeof(T)));
        return values;
    }
    CUdeviceptr pointer;

  private:
    size_t count;
};

std::vector<float> noise(size_t count) {
    static uint32_t state = 1;
    std::vector<float> values(count);
    for (float& value : values) value = static_cast<float>((state = state * 1664525 + 1013904223) >> 16) / 32768 - 1;
    return values;
}

bool near(float a, float b, float tolerance) { return std::fabs(a - b) <= tolerance * (1 + std::fabs(b)); }

// ---- kernels and their launch ------------------------------------------------------------------------------------------

void block_sums() {
    open();
    constexpr int BLOCKS = 3, COUNT = 1000;
    const std::vector<float> values = noise(BLOCKS * COUNT);
    const Values<float> in(values), out(BLOCKS);
    OK(launch(function("sum"), {BLOCKS, 1, 1}, {64, 4, 1}, 0, in.get(), out.get(), COUNT));
    for (int block = 0; block < BLOCKS; block++) {
        float total = 0;
        for (int i = 0; i < COUNT; i++) total += values[block * COUNT + i];
        CHECK(near(out.read()[block], total, 1e-4f));
    }
}

void early_returns() {
    open();
    for (int count : {1, 31, 32, 33, 100, 128}) {
        const std::vector<float> values = noise(2 * count);
        const Values<float> device(values);
        OK(launch(function("reverse"), {2, 1, 1}, {128, 1, 1}, count * sizeof(float), device.get(), count));
        for (int i = 0; i < 2 * count; i++)
            CHECK(device.read()[i] == values[i / count * count + count - 1 - i % count]);
    }
}

void kinds_of_shuffles() {
    open();
    const Values<unsigned> out(48);
    OK(launch(function("shuffles"), {1, 1, 1}, {32, 1, 1}, 0, out.get()));
    const std::vector<unsigned> read = out.read();
    for (unsigned lane = 0; lane < 16; lane++) {
        CHECK(read[lane] == lane / 8 * 8 + 3);
        CHECK(read[16 + lane] == (lane ^ 5));
        CHECK(read[32 + lane] == (lane % 8 < 2 ? lane + 6 : lane));
    }
    const Values<double> sums(32);
    OK(launch(function("halves"), {1, 1, 1}, {32, 1, 1}, 0, sums.get()));
    for (unsigned lane = 0; lane < 32; lane++) {
        const double pair = lane / 2 * 4 + 1;  // the sum of the two lanes
        CHECK(sums.read()[lane] == (lane < 16 ? 2 * pair : 16 * pair));
    }
}

void grid_and_block_indices() {
    open();
    constexpr unsigned BLOCKS = 2 * 3 * 4, THREADS = 5 * 2 * 3;
    const Values<uint3> out(BLOCKS * THREADS);
    OK(launch(function("indices"), {2, 3, 4}, {5, 2, 3}, 0, out.get()));
    const std::vector<uint3> read = out.read();
    for (unsigned i = 0; i < BLOCKS * THREADS; i++) {
        const unsigned thread = i % THREADS;
        CHECK(read[i].x == thread % 5 && read[i].y == thread / 5 % 2 && read[i].z == thread / 10);
    }
}

void launches_that_no_device_takes() {
    open();
    const CUfunction what = function("read_shared");
    const Values<float> out(1);
    const auto result = [&](uint3 grid, uint3 block, unsigned shared = 0) {
        return launch(what, grid, block, shared, out.get());
    };
    OK(result({1, 1, 1}, {32, 32, 1}, 48 << 10));
    for (const uint3 bad : {uint3{0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {0x80000000, 1, 1}, {1, 65536, 1}, {1, 1, 65536}})
        CHECK(result(bad, {1, 1, 1}) == CUDA_ERROR_INVALID_VALUE);
    for (const uint3 bad : {uint3{0, 1, 1}, {1, 0, 1}, {1, 1, 0}, {1025, 1, 1}, {33, 32, 1}, {1, 1, 65}})
        CHECK(result({1, 1, 1}, bad) == CUDA_ERROR_INVALID_VALUE);

    const auto attribute = CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
    CHECK(result({1, 1, 1}, {1, 1, 1}, (48 << 10) + 1) == CUDA_ERROR_INVALID_VALUE);
    CHECK(cuFuncSetAttribute(what, attribute, (227 << 10) + 1) == CUDA_ERROR_INVALID_VALUE);
    OK(cuFuncSetAttribute(what, attribute, 227 << 10));
    OK(result({1, 1, 1}, {1, 1, 1}, 227 << 10));
    OK(cuCtxSynchronize());
}

void shared_memory_starts_as_garbage() {
    open();
    const Values<float> out(1);
    OK(launch(function("store_shared"), {1, 1, 1}, {1, 1, 1}, 4, 0));
    OK(launch(function("read_shared"), {1, 1, 1}, {1, 1, 1}, 4, out.get()));
    CHECK(std::isnan(out.read()[0]));
}

void several_host_threads() {
    open();
    CUcontext context;
    OK(cuCtxGetCurrent(&context));
    const CUfunction what = function("reverse");
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 4; thread++) {
        threads.emplace_back([=] {
            OK(cuCtxSetCurrent(context));
            const std::vector<float> values = noise(100);
            for (int i = 0; i < 50; i++) {
                const Values<float> device(values);
                OK(launch(what, {1, 1, 1}, {128, 1, 1}, 400, device.get(), 100));
                CHECK(device.read()[0] == values[99]);
                OK(cuMemFree(device.pointer));
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

void modules_and_their_functions() {
    open();
    CUmodule module;
    CUfunction found;
    OK(cuModuleLoadData(&module, ".version 8.0\n.target sm_80\n.entry store(\n.param .u64 p)\n{}\n.entry unheard_of()\n{}"));
    OK(cuModuleGetFunction(&found, module, "store"));
    CHECK(cuModuleGetFunction(&found, module, "stor") == CUDA_ERROR_NOT_FOUND);
    CHECK(cuModuleGetFunction(&found, module, "sum") == CUDA_ERROR_NOT_FOUND);
    OK(cuModuleGetFunction(&found, module, "unheard_of"));
    CHECK(launch(found, {1, 1, 1}, {1, 1, 1}, 0) == CUDA_ERROR_NOT_SUPPORTED);
    OK(cuModuleUnload(module));
    CHECK(cuModuleUnload(module) == CUDA_ERROR_INVALID_HANDLE);
    CHECK(cuModuleLoadData(&module, "\x7f" "ELF") == CUDA_ERROR_INVALID_IMAGE);
    CHECK(cuModuleLoadData(&module, ".version 8.0\n.target sm_100\n") == CUDA_ERROR_INVALID_PTX);
}

// ---- tensor cores: the tables of fragments, written out once more -------------------------------------------------------

unsigned short bits_of(float x, __half) { return __half_raw(__float2half_rn(x)).x; }
unsigned short bits_of(float x, __nv_bfloat16) { return __nv_bfloat16_raw(__float2bfloat16_rn(x)).x; }

// The register that holds two values.
template <typename T> unsigned pair(float first, float second) {
    return bits_of(first, T()) | static_cast<unsigned>(bits_of(second, T())) << 16;
}

// The PTX ISA, "Matrix Fragments for mma.m16n8k16" with floating point of 16 bits; the first elements are those of m16n8k8, of
// which two make the same product. For element i of a lane's fragment, groupID = laneid >> 2 and threadID_in_group = laneid % 4:
//   A: row = groupID for i of 0, 1, 4, 5, else groupID + 8; col = threadID_in_group * 2 + (i & 1), + 8 from i = 4 on
//   B: row = threadID_in_group * 2 + (i & 1), + 8 from i = 2 on; col = groupID
//   C: row = groupID for i < 2, else groupID + 8; col = threadID_in_group * 2 + (i & 1)
template <typename T> void fragments_are_the_tables(const char* kernel) {
    // Whole numbers, which every type has and whose sums f32 has.
    const auto a = [](int row, int column) { return static_cast<float>((row * 5 + column * 3) % 16 - 7); };
    const auto b = [](int row, int column) { return static_cast<float>((row * 7 + column * 11) % 16 - 8); };
    const auto c = [](int row, int column) { return static_cast<float>(100 * row + column); };
    std::vector<unsigned> of_a(4 * 32), of_b(2 * 32);
    std::vector<float> of_c(4 * 32);
    for (int lane = 0; lane < 32; lane++) {
        const int group = lane >> 2, in_group = lane % 4;
        const auto a_at = [&](int i) {
            const int row = i % 4 < 2 ? group : group + 8, column = in_group * 2 + (i & 1) + (i >= 4 ? 8 : 0);
            return a(row, column);
        };
        const auto b_at = [&](int i) { return b(in_group * 2 + (i & 1) + (i >= 2 ? 8 : 0), group); };
        for (int i = 0; i < 4; i++) of_a[4 * lane + i] = pair<T>(a_at(2 * i), a_at(2 * i + 1));
        for (int i = 0; i < 2; i++) of_b[2 * lane + i] = pair<T>(b_at(2 * i), b_at(2 * i + 1));
        for (int i = 0; i < 4; i++) of_c[4 * lane + i] = c(i < 2 ? group : group + 8, in_group * 2 + (i & 1));
    }
    const Values<unsigned> there_a(of_a), there_b(of_b);
    const Values<float> sums(of_c);
    OK(launch(function(kernel), {1, 1, 1}, {32, 1, 1}, 0, there_a.get(), there_b.get(), sums.get()));
    const std::vector<float> read = sums.read();
    for (int lane = 0; lane < 32; lane++) {
        for (int i = 0; i < 4; i++) {
            const int row = i < 2 ? lane / 4 : lane / 4 + 8, column = lane % 4 * 2 + (i & 1);
            float expected = c(row, column);
            for (int k = 0; k < 16; k++) expected += a(row, k) * b(k, column);
            CHECK(read[4 * lane + i] == expected);
        }
    }
}

void products_of_fragments() {
    open();
    fragments_are_the_tables<__half>("multiply_f16");
    if (has_m16n8k16()) fragments_are_the_tables<__nv_bfloat16>("multiply_bf16");
}

void products_of_two_halves() {
    open();
    CHECK(!has_m16n8k16());
    fragments_are_the_tables<__half>("multiply_f16");
}

// movmatrix: a lane has elements (laneid / 4, laneid % 4 * 2) and the next, before and behind.
void transposed_fragments() {
    open();
    std::vector<unsigned> registers(32);
    const auto element = [](unsigned row, unsigned column) { return 100 * row + column; };
    for (unsigned lane = 0; lane < 32; lane++)
        registers[lane] = element(lane / 4, lane % 4 * 2) | element(lane / 4, lane % 4 * 2 + 1) << 16;
    const Values<unsigned> there(registers);
    OK(launch(function("turn"), {1, 1, 1}, {32, 1, 1}, 0, there.get()));
    for (unsigned lane = 0; lane < 32; lane++)
        CHECK(there.read()[lane] == (element(lane % 4 * 2, lane / 4) | element(lane % 4 * 2 + 1, lane / 4) << 16));
}

// What ends the process, and what is said then.

void half_a_warp_is_no_warp() {
    open();
    const Values<unsigned> there(32);
    OK(launch(function("half_a_warp_turns"), {1, 1, 1}, {32, 1, 1}, 0, there.get()));
    cuCtxSynchronize();
}

void half_of_a_block_waits() {
    open();
    OK(launch(function("half_a_barrier"), {1, 1, 1}, {64, 1, 1}, 0));
    cuCtxSynchronize();
}

void a_write_behind_an_allocation() {
    open();
    const Values<float> out(10);
    OK(launch(function("store"), {1, 1, 1}, {1, 1, 1}, 0, out.get(), 10, 1.0f));
    cuMemFree(out.pointer);
}

void a_write_behind_the_shared_memory() {
    open();
    OK(launch(function("store_shared"), {1, 1, 1}, {1, 1, 1}, 40, 10));
    cuCtxSynchronize();
}

void a_pointer_of_the_host() {
    open();
    float value;
    launch(function("store"), {1, 1, 1}, {1, 1, 1}, 0, &value, 0, 1.0f);
}

void a_pointer_of_another_device() {
    open(1);
    const Values<float> out(1);
    open(0);
    launch(function("store"), {1, 1, 1}, {1, 1, 1}, 0, out.get(), 0, 1.0f);
}

// ---- what a module is loaded from --------------------------------------------------------------------------------------

// A fatbin of PTX for architectures, each with a kernel that is named after its own.
std::string fatbin_of_ptx(const std::vector<uint32_t>& architectures) {
    const auto append = [](std::string& to, auto value) { to.append(reinterpret_cast<const char*>(&value), sizeof value); };
    std::string pieces;
    for (const uint32_t architecture : architectures) {
        const std::string name = std::to_string(architecture);
        const std::string ptx = ".version 8.0\n.target sm_" + name + "\n.entry of_" + name + "()\n{}\n";
        append(pieces, uint16_t{1});
        append(pieces, uint16_t{0x101});
        append(pieces, uint32_t{64});
        append(pieces, static_cast<uint64_t>(ptx.size()));
        pieces.append(12, '\0');
        append(pieces, architecture);
        pieces.append(32, '\0');
        pieces += ptx;
    }
    std::string fatbin;
    append(fatbin, uint32_t{0xba55ed50});
    append(fatbin, uint16_t{1});
    append(fatbin, uint16_t{16});
    append(fatbin, static_cast<uint64_t>(pieces.size()));
    return fatbin + pieces;
}

void a_fatbin_has_a_piece_for_the_device() {
    open();
    CUmodule module;
    CUfunction found;
    OK(cuModuleLoadData(&module, fatbin_of_ptx({75, 80, 86, 90}).c_str()));
    OK(cuModuleGetFunction(&found, module, "of_86"));
    CHECK(cuModuleGetFunction(&found, module, "of_80") == CUDA_ERROR_NOT_FOUND);
    CHECK(cuModuleGetFunction(&found, module, "of_90") == CUDA_ERROR_NOT_FOUND);
    CHECK(cuModuleLoadData(&module, fatbin_of_ptx({90, 100}).c_str()) == CUDA_ERROR_NO_BINARY_FOR_GPU);
}

// ---- the driver --------------------------------------------------------------------------------------------------------

void counters() {
    open();
    std::vector<uint64_t> counts(static_cast<size_t>(emulator::Count::COUNTS));
    const auto of = [&](emulator::Count what) {
        CHECK(emulator_counters(counts.data(), counts.size()) == counts.size());
        return counts[static_cast<size_t>(what)];
    };
    using emulator::Count;
    emulator_reset_counters();
    const Values<float> a(std::vector<float>{1, 2}), b(2);
    CHECK(of(Count::ALLOCATIONS) == 2 && of(Count::UPLOADS) == 1);
    OK(launch(function("store"), {1, 1, 1}, {1, 1, 1}, 0, a.get(), 0, 1.0f));
    OK(launch(function("store"), {1, 1, 1}, {1, 1, 1}, 0, a.get(), 1, 1.0f));
    OK(cuMemcpyDtoD(b.pointer, a.pointer, 8));
    b.read();
    OK(cuMemsetD8(a.pointer, 0, 8));
    CUevent event;
    OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    void* pinned;
    OK(cuMemHostAlloc(&pinned, 8, 0));
    OK(cuMemFree(a.pointer));
    OK(cuMemFreeAsync(b.pointer, nullptr));
    CHECK(of(Count::LAUNCHES) == 2 && of(Count::DEVICE_COPIES) == 1 && of(Count::DOWNLOADS) == 1);
    CHECK(of(Count::MEMSETS) == 1 && of(Count::EVENTS) == 1 && of(Count::HOST_ALLOCATIONS) == 1 && of(Count::FREES) == 2);
    CHECK(of(Count::UPLOADS) == 1 && of(Count::ALLOCATIONS) == 2);
    emulator_reset_counters();
    CHECK(of(Count::LAUNCHES) == 0 && of(Count::FREES) == 0);
}

void memory() {
    open();
    size_t free, total;
    OK(cuMemGetInfo(&free, &total));
    CHECK(free == 1 << 20 && total == 1 << 20);
    CUdeviceptr pointer, other;
    CHECK(cuMemAlloc(&pointer, (1 << 20) + 1) == CUDA_ERROR_OUT_OF_MEMORY);
    CHECK(cuMemAlloc(&pointer, 0) == CUDA_ERROR_INVALID_VALUE);
    OK(cuMemAllocAsync(&pointer, 1 << 19, nullptr));
    CHECK(cuMemAlloc(&other, (1 << 19) + 1) == CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuMemGetInfo(&free, &total));
    CHECK(free == 1 << 19);

    float value = 0;
    OK(cuMemcpyDtoH(&value, pointer + 8, sizeof value));
    CHECK(std::isnan(value));
    OK(cuMemsetD8(pointer, 0, 1 << 19));
    OK(cuMemcpyDtoHAsync(&value, pointer + 8, sizeof value, nullptr));
    CHECK(value == 0);
    CHECK(cuMemsetD8(pointer, 0, (1 << 19) + 1) == CUDA_ERROR_INVALID_VALUE);
    CHECK(cuMemcpyDtoH(&value, pointer + (1 << 19) - 3, sizeof value) == CUDA_ERROR_INVALID_VALUE);
    CHECK(cuMemcpyHtoD(pointer - 1, &value, sizeof value) == CUDA_ERROR_INVALID_VALUE);
    CHECK(cuMemcpyHtoD(reinterpret_cast<CUdeviceptr>(&value), &value, sizeof value) == CUDA_ERROR_INVALID_VALUE);
    CHECK(cuMemcpyDtoD(pointer, reinterpret_cast<CUdeviceptr>(&value), sizeof value) == CUDA_ERROR_INVALID_VALUE);
    CHECK(cuMemFree(pointer + 1) == CUDA_ERROR_INVALID_VALUE);
    OK(cuMemFreeAsync(pointer, nullptr));
    CHECK(cuMemFree(pointer) == CUDA_ERROR_INVALID_VALUE);
    OK(cuMemGetInfo(&free, &total));
    CHECK(free == total);

    CUmemoryPool pool;
    OK(cuDeviceGetDefaultMemPool(&pool, 0));
    cuuint64_t threshold = UINT64_MAX;
    OK(cuMemPoolSetAttribute(pool, CU_MEMPOOL_ATTR_RELEASE_THRESHOLD, &threshold));

    void* pinned;
    OK(cuMemHostAlloc(&pinned, 100, 0));
    OK(cuMemFreeHost(pinned));
    CHECK(cuMemFreeHost(pinned) == CUDA_ERROR_INVALID_VALUE);
}

void streams_and_events() {
    CUstream stream, other;
    CHECK(cuStreamCreate(&stream, 0) == CUDA_ERROR_NOT_INITIALIZED);
    OK(cuInit(0));
    CHECK(cuStreamCreate(&stream, 0) == CUDA_ERROR_INVALID_CONTEXT);
    open(1);
    OK(cuStreamCreate(&other, 0));
    open(0);
    OK(cuStreamCreate(&stream, CU_STREAM_NON_BLOCKING));
    OK(cuStreamSynchronize(stream));
    CHECK(cuStreamSynchronize(other) == CUDA_ERROR_INVALID_HANDLE);
    CUevent start, end;
    OK(cuEventCreate(&start, CU_EVENT_DEFAULT));
    OK(cuEventCreate(&end, CU_EVENT_DEFAULT));
    float milliseconds;
    CHECK(cuEventElapsedTime(&milliseconds, start, end) == CUDA_ERROR_INVALID_HANDLE);
    OK(cuEventRecord(start, stream));
    OK(cuEventRecord(end, stream));
    OK(cuStreamWaitEvent(stream, end, 0));
    CHECK(cuEventElapsedTime(&milliseconds, start, end) == CUDA_ERROR_NOT_READY);
    OK(cuEventSynchronize(end));
    OK(cuEventElapsedTime(&milliseconds, start, end));
    CHECK(milliseconds >= 0);
    OK(cuEventDestroy(end));
    CHECK(cuEventSynchronize(end) == CUDA_ERROR_INVALID_HANDLE);
    OK(cuStreamDestroy(stream));
    CHECK(cuStreamSynchronize(stream) == CUDA_ERROR_INVALID_HANDLE);
}

// ---- when work runs ----------------------------------------------------------------------------------------------------

CUstream stream(unsigned flags = CU_STREAM_NON_BLOCKING) {
    CUstream created;
    OK(cuStreamCreate(&created, flags));
    return created;
}

CUevent record(CUstream stream) {
    CUevent event;
    OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    OK(cuEventRecord(event, stream));
    return event;
}

float* pinned(size_t count) {
    void* memory;
    OK(cuMemHostAlloc(&memory, count * sizeof(float), 0));
    return static_cast<float*>(memory);
}

// Puts the value into a stream.
void put(CUstream stream, const Values<float>& out, float value) {
    OK(launch_in(stream, function("store"), {1, 1, 1}, {1, 1, 1}, 0, out.get(), 0, value));
}

// What the memory holds now, whatever is queued.
float now(const Values<float>& values) { return *values.get(); }

void copies_from_the_host() {
    open();
    const CUstream in = stream();
    const Values<float> from_pinned(2), from_pageable(1);
    float* const page_locked = pinned(2);
    float pageable = 1;
    page_locked[1] = 1;
    OK(cuMemcpyHtoDAsync(from_pinned.pointer + 4, page_locked + 1, 4, in));
    OK(cuMemcpyHtoDAsync(from_pageable.pointer, &pageable, 4, in));
    CHECK(cuMemcpyHtoDAsync(from_pinned.pointer, page_locked + 1, 8, in) == CUDA_ERROR_INVALID_VALUE);
    page_locked[1] = pageable = 2;
    CHECK(std::isnan(now(from_pageable)));
    OK(cuStreamSynchronize(in));
    CHECK(from_pinned.read()[1] == 2);
    CHECK(from_pageable.read()[0] == 1);
}

void copies_to_the_host() {
    open();
    const CUstream out = stream();
    const Values<float> device(std::vector<float>{0});
    float* const page_locked = pinned(1);
    float pageable = 0;
    put(out, device, 1);
    OK(cuMemcpyDtoHAsync(page_locked, device.pointer, 4, out));
    CHECK(std::isnan(*page_locked) && now(device) == 0);
    put(out, device, 2);
    OK(cuMemcpyDtoHAsync(&pageable, device.pointer, 4, out));
    CHECK(*page_locked == 1 && pageable == 2);
}

void an_event_is_not_reached_before_its_stream_runs() {
    open();
    const CUstream work = stream();
    const Values<float> out(1);
    put(work, out, 1);
    const CUevent first = record(work);
    put(work, out, 2);
    const CUevent second = record(work);
    put(work, out, 3);
    CHECK(std::isnan(now(out)));
    OK(cuEventSynchronize(first));
    CHECK(now(out) == 1);
    OK(cuEventQuery(first));
    // One piece for each time that someone asks: a launch, and the event itself.
    for (int i = 0; i < 2; i++) CHECK(cuEventQuery(second) == CUDA_ERROR_NOT_READY);
    OK(cuEventQuery(second));
    CHECK(now(out) == 2);
    CHECK(cuStreamQuery(work) == CUDA_ERROR_NOT_READY);
    OK(cuStreamQuery(work));
    CHECK(now(out) == 3);

    OK(cuEventRecord(first, work));  // anew
    CHECK(cuEventQuery(first) == CUDA_ERROR_NOT_READY);
    OK(cuEventDestroy(first));
    OK(cuStreamSynchronize(work));
}

void what_waits_for_a_stream() {
    open();
    const CUstream work = stream();
    const Values<float> out(1), other(1);
    float value = 0;
    const auto runs = [&](auto wait) {
        put(work, out, ++value);
        CHECK(now(out) != value);
        wait();
        CHECK(now(out) == value);
    };
    runs([&] { OK(cuStreamSynchronize(work)); });
    runs([&] { OK(cuCtxSynchronize()); });
    runs([&] { OK(cuMemFree(other.pointer)); });
    runs([&] {
        CUmodule module;
        OK(cuModuleLoadData(&module, ".version 8.0\n.target sm_80\n.entry store()\n{}"));
        OK(cuModuleUnload(module));
    });
    runs([&] {
        int calls = 0;
        OK(cuLaunchHostFunc(work, [](void* calls) { ++*static_cast<int*>(calls); }, &calls));
        CHECK(calls == 0);
        OK(cuStreamSynchronize(work));
        CHECK(calls == 1);
    });
    runs([&] { OK(cuStreamDestroy(work)); });
}

void work_runs_in_its_order() {
    open();
    const CUstream work = stream();
    const Values<float> a(std::vector<float>(4)), b(1), c(4);
    float* const page_locked = pinned(4);
    for (int i = 0; i < 4; i++) {
        put(work, a, static_cast<float>(i));
        OK(cuMemcpyDtoDAsync(b.pointer, a.pointer, 4, work));
        OK(cuMemsetD8Async(a.pointer, 0, 4, work));
        OK(cuMemcpyDtoHAsync(page_locked + i, b.pointer, 4, work));
        OK(cuMemcpyHtoDAsync(c.pointer + 4 * i, page_locked + i, 4, work));
    }
    OK(cuStreamSynchronize(work));
    CHECK((c.read() == std::vector<float>{0, 1, 2, 3}));
    CHECK(now(a) == 0);
}

void a_stream_waits_for_an_event_of_another() {
    open();
    const CUstream first = stream(), second = stream();
    const Values<float> a(1), b(1);
    put(first, a, 1);
    const CUevent event = record(first);
    put(first, a, 2);
    OK(cuStreamWaitEvent(second, event, 0));
    OK(cuEventRecord(event, first));  // the wait is for the event as it was
    OK(cuMemcpyDtoDAsync(b.pointer, a.pointer, 4, second));
    OK(cuStreamSynchronize(second));
    CHECK(now(b) == 1 && now(a) == 1);
    OK(cuStreamDestroy(first));
    CHECK(now(a) == 2);
    OK(cuEventSynchronize(event));
}

void the_default_stream() {
    open();
    const CUstream blocks = stream(CU_STREAM_DEFAULT), blocks_not = stream();
    const Values<float> a(1), b(1), c(1);
    put(blocks, a, 1);
    put(blocks_not, b, 1);
    OK(cuMemcpyDtoDAsync(c.pointer, a.pointer, 4, nullptr));
    put(blocks, a, 2);
    CHECK(std::isnan(now(a)));
    OK(cuStreamSynchronize(blocks));
    CHECK(now(c) == 1 && now(a) == 2 && std::isnan(now(b)));
    put(blocks, a, 3);
    CHECK(c.read()[0] == 1);
    CHECK(now(a) == 3 && std::isnan(now(b)));
}

void memory_is_free_when_its_release_has_run() {
    open();
    const CUstream work = stream();
    size_t free, total;
    CUdeviceptr half, other, all;
    OK(cuMemAllocAsync(&half, 1 << 19, work));
    OK(cuMemFreeAsync(half, work));
    CHECK(cuMemFreeAsync(half, work) == CUDA_ERROR_INVALID_VALUE);
    OK(cuMemGetInfo(&free, &total));
    CHECK(free == 1 << 19);
    OK(cuMemAllocAsync(&other, 1 << 19, work));  // which still fits
    OK(cuMemGetInfo(&free, &total));
    CHECK(free == 0);
    OK(cuMemFreeAsync(other, work));
    OK(cuMemAllocAsync(&all, 1 << 20, work));
    CHECK(cuMemAllocAsync(&other, 1, work) == CUDA_ERROR_OUT_OF_MEMORY);
    OK(cuMemFreeAsync(all, work));
    OK(cuStreamSynchronize(work));
    OK(cuMemGetInfo(&free, &total));
    CHECK(free == total);
}

// Each waits for events of its own, and runs what is the other's.
void threads_with_one_stream() {
    open();
    CUcontext context;
    OK(cuCtxGetCurrent(&context));
    const CUstream work = stream();
    const CUfunction add = function("add_one");
    const Values<float> total(std::vector<float>{0});
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 2; thread++) {
        threads.emplace_back([=, &total] {
            OK(cuCtxSetCurrent(context));
            float* const page_locked = pinned(1);
            const Values<float> own(1);
            for (int i = 0; i < 500; i++) {
                *page_locked = static_cast<float>(i);
                OK(cuMemcpyHtoDAsync(own.pointer, page_locked, 4, work));
                OK(launch_in(work, add, {1, 1, 1}, {1, 1, 1}, 0, total.get()));
                OK(launch_in(work, add, {1, 1, 1}, {1, 1, 1}, 0, own.get()));
                OK(cuMemcpyDtoHAsync(page_locked, own.pointer, 4, work));
                const CUevent event = record(work);
                if (i % 2) while (cuEventQuery(event)) std::this_thread::yield();
                OK(cuEventSynchronize(event));
                OK(cuEventDestroy(event));
                CHECK(*page_locked == static_cast<float>(i + 1));
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(now(total) == 1000);
}

// In opposite directions, which must not end with each waiting for the other.
void threads_with_streams_that_wait_for_each_other() {
    open();
    CUcontext context;
    OK(cuCtxGetCurrent(&context));
    const CUstream both[] = {stream(), stream()};
    std::vector<std::thread> threads;
    for (int thread = 0; thread < 2; thread++) {
        threads.emplace_back([=] {
            OK(cuCtxSetCurrent(context));
            const Values<float> out(1);
            for (int i = 0; i < 500; i++) {
                OK(cuMemsetD8Async(out.pointer, 0, 4, both[thread]));
                const CUevent event = record(both[thread]);
                OK(cuStreamWaitEvent(both[1 - thread], event, 0));
                OK(cuStreamSynchronize(both[i % 2]));
                OK(cuEventDestroy(event));
            }
        });
    }
    for (std::thread& thread : threads) thread.join();
}

// What ends the process.

void a_launch_behind_the_release_of_its_memory() {
    open();
    const Values<float> out(1);
    OK(cuMemFreeAsync(out.pointer, nullptr));
    put(nullptr, out, 1);
    cuCtxSynchronize();
}

void a_copy_behind_the_release_of_its_memory() {
    open();
    const Values<float> out(1);
    OK(cuMemFreeAsync(out.pointer, nullptr));
    float value;
    cuMemcpyDtoHAsync(&value, out.pointer, 4, nullptr);
}

void pinned_memory_that_is_freed_too_early() {
    open();
    const Values<float> out(1);
    float* const page_locked = pinned(1);
    OK(cuMemcpyHtoDAsync(out.pointer, page_locked, 4, nullptr));
    OK(cuMemFreeHost(page_locked));
    cuCtxSynchronize();
}

// ---- devices -----------------------------------------------------------------------------------------------------------

void devices() {
    OK(cuInit(0));
    int count, value;
    OK(cuDeviceGetCount(&count));
    CHECK(count == 3);
    CUdevice device;
    OK(cuDeviceGet(&device, 2));
    CHECK(cuDeviceGet(&device, 3) == CUDA_ERROR_INVALID_DEVICE);
    OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MAJOR, 2));
    CHECK(value == 8);
    OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_COMPUTE_CAPABILITY_MINOR, 2));
    CHECK(value == 6);
    OK(cuDeviceGetAttribute(&value, CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN, 2));
    CHECK(value == 99 << 10);
}

void no_device() { CHECK(cuInit(0) == CUDA_ERROR_NO_DEVICE); }

// A product by cuBLASLt, as the library thinks best.
struct Multiplication {
    int m, n, k;
    cudaDataType type, result;
    cublasOperation_t a_operation = CUBLAS_OP_N, b_operation = CUBLAS_OP_N;
    int lda = 0, ldb = 0, ldd = 0;  // 0 for no gaps
    int batch = 1;
    int64_t a_stride = 0, b_stride = 0, d_stride = 0;
    cublasComputeType_t compute = CUBLAS_COMPUTE_32F;
    float alpha = 1, beta = 0;
    CUstream stream = nullptr;

    cublasStatus_t run(const void* a, const void* b, void* d) const {
        cublasLtHandle_t blas;
        if (const auto status = cublasLtCreate(&blas)) return status;
        const bool turned_a = a_operation != CUBLAS_OP_N, turned_b = b_operation != CUBLAS_OP_N;
        const auto a_layout = layout(type, turned_a ? k : m, turned_a ? m : k, lda, a_stride);
        const auto b_layout = layout(type, turned_b ? n : k, turned_b ? k : n, ldb, b_stride);
        const auto d_layout = layout(result, m, n, ldd, d_stride);
        cublasLtMatmulDesc_t what;
        OK(cublasLtMatmulDescCreate(&what, compute, CUDA_R_32F));
        OK(cublasLtMatmulDescSetAttribute(what, CUBLASLT_MATMUL_DESC_TRANSA, &a_operation, sizeof a_operation));
        OK(cublasLtMatmulDescSetAttribute(what, CUBLASLT_MATMUL_DESC_TRANSB, &b_operation, sizeof b_operation));
        cublasLtMatmulPreference_t preference;
        OK(cublasLtMatmulPreferenceCreate(&preference));
        const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE, alignment = 1;
        OK(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, 4));
        for (const auto attribute :
             {CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
              CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES, CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES})
            OK(cublasLtMatmulPreferenceSetAttribute(preference, attribute, &alignment, 4));
        cublasLtMatmulHeuristicResult_t heuristic;
        int found;
        cublasStatus_t status = cublasLtMatmulAlgoGetHeuristic(blas, what, a_layout, b_layout, d_layout, d_layout, preference,
                                                               1, &heuristic, &found);
        if (status == CUBLAS_STATUS_SUCCESS)
            status = cublasLtMatmul(blas, what, &alpha, a, a_layout, b, b_layout, &beta, d, d_layout, d, d_layout,
                                    &heuristic.algo, nullptr, 0, stream);
        OK(cublasLtMatmulPreferenceDestroy(preference));
        OK(cublasLtMatmulDescDestroy(what));
        for (const auto layout : {a_layout, b_layout, d_layout}) OK(cublasLtMatrixLayoutDestroy(layout));
        OK(cublasLtDestroy(blas));
        return status;
    }

    cublasLtMatrixLayout_t layout(cudaDataType of, int rows, int columns, int leading, int64_t stride) const {
        cublasLtMatrixLayout_t layout;
        OK(cublasLtMatrixLayoutCreate(&layout, of, rows, columns, leading ? leading : rows));
        OK(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT, &batch, sizeof batch));
        OK(cublasLtMatrixLayoutSetAttribute(layout, CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET, &stride, sizeof stride));
        return layout;
    }
};

void a_broken_context() {
    open();
    const CUfunction what = function("store");
    const Values<float> out(1);
    for (int i = 0; i < 2; i++) OK(launch(what, {1, 1, 1}, {1, 1, 1}, 0, out.get(), 0, 1.0f));
    float value;
    CUdeviceptr pointer;
    CHECK(launch(what, {1, 1, 1}, {1, 1, 1}, 0, out.get(), 0, 1.0f) == CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK(cuMemcpyDtoH(&value, out.pointer, sizeof value) == CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK(cuMemAllocAsync(&pointer, 1, nullptr) == CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK(cuStreamSynchronize(nullptr) == CUDA_ERROR_ILLEGAL_ADDRESS);
    CHECK(cuCtxSynchronize() == CUDA_ERROR_ILLEGAL_ADDRESS);
    cublasLtHandle_t blas;
    CHECK(cublasLtCreate(&blas) == CUBLAS_STATUS_NOT_INITIALIZED);
}

// ---- products ----------------------------------------------------------------------------------------------------------

template <typename T> T narrow(float x) {
    if constexpr (std::is_same_v<T, float>) return x;
    else if constexpr (std::is_same_v<T, __half>) return __float2half_rn(x);
    else return __float2bfloat16_rn(x);
}

template <typename T> cudaDataType type_of() {
    return std::is_same_v<T, float> ? CUDA_R_32F : std::is_same_v<T, __half> ? CUDA_R_16F : CUDA_R_16BF;
}

template <typename T> std::vector<T> noise_of(size_t count) {
    std::vector<T> values;
    for (float value : noise(count)) values.push_back(narrow<T>(value));
    return values;
}

// A value of op(M), where the matrix has columns of `leading` values.
template <typename T> float at(const T* matrix, bool transpose, int leading, int row, int column) {
    return static_cast<float>(transpose ? matrix[row * leading + column] : matrix[column * leading + row]);
}

template <typename T> void products_of(float tolerance) {
    constexpr int M = 37, N = 11, K = 70, BATCH = 2, LDA = 75, LDB = 72, LDC = 40;
    const float alpha = 0.5f, beta = 2.0f;
    for (const bool transpose_a : {false, true}) {
        for (const bool transpose_b : {false, true}) {
            const int a_stride = LDA * 70, b_stride = LDB * 70, c_stride = LDC * N;
            const auto a = noise_of<T>(BATCH * a_stride), b = noise_of<T>(BATCH * b_stride);
            const auto c = noise_of<T>(BATCH * c_stride);
            const Values<T> a_device(a), b_device(b), c_device(c);
            const Multiplication multiplication{M, N, K, type_of<T>(), type_of<T>(), transpose_a ? CUBLAS_OP_T : CUBLAS_OP_N,
                                                transpose_b ? CUBLAS_OP_T : CUBLAS_OP_N, LDA, LDB, LDC, BATCH, a_stride,
                                                b_stride, c_stride, CUBLAS_COMPUTE_32F, alpha, beta};
            OK(multiplication.run(a_device.get(), b_device.get(), c_device.get()));
            const std::vector<T> result = c_device.read();
            for (int batch = 0; batch < BATCH; batch++) {
                for (int j = 0; j < N; j++) {
                    for (int i = 0; i < LDC; i++) {
                        const int element = batch * c_stride + j * LDC + i;
                        double expected = static_cast<float>(c[element]);
                        if (i < M) {
                            expected *= beta;
                            for (int k = 0; k < K; k++)
                                expected += alpha * at(&a[batch * a_stride], transpose_a, LDA, i, k) *
                                            at(&b[batch * b_stride], transpose_b, LDB, k, j);
                        }
                        CHECK(near(static_cast<float>(result[element]), static_cast<float>(expected), tolerance));
                    }
                }
            }
        }
    }
}

void products() {
    open();
    products_of<float>(1e-5f);
    products_of<__half>(1e-3f);
    products_of<__nv_bfloat16>(1e-2f);
}

// As the factor 1 leaves them.
void every_number_of_16_bits() {
    open();
    std::vector<uint16_t> numbers(1 << 16);
    for (int i = 0; i < 1 << 16; i++) numbers[i] = i;
    const Values<uint16_t> a(numbers);
    for (const cudaDataType type : {CUDA_R_16F, CUDA_R_16BF}) {
        const uint16_t factor = type == CUDA_R_16F ? 0x3c00 : 0x3f80;
        const Values<uint16_t> b(std::vector<uint16_t>{factor});
        const Values<float> c(1 << 16);
        OK((Multiplication{1 << 16, 1, 1, type, CUDA_R_32F}.run(a.get(), b.get(), c.get())));
        const std::vector<float> result = c.read();
        for (int i = 0; i < 1 << 16; i++) {
            const float expected = type == CUDA_R_16F ? __half2float(__half(__half_raw{numbers[i]}))
                                                      : __bfloat162float(__nv_bfloat16(__nv_bfloat16_raw{numbers[i]}));
            CHECK(std::isnan(expected) ? std::isnan(result[i]) : result[i] == expected);
        }
    }
}

void tf32() {
    open();
    // Halfway between two numbers of TF32, the first time down to the even one, the second time up.
    const Values<float> a({1.0f + 0x1p-11f, 1.0f + 0x3p-11f}), b(std::vector<float>{1.0f}), c(2);
    const auto multiply = [&](cublasComputeType_t compute) {
        Multiplication multiplication{2, 1, 1, CUDA_R_32F, CUDA_R_32F};
        multiplication.compute = compute;
        OK(multiplication.run(a.get(), b.get(), c.get()));
        return c.read();
    };
    CHECK(multiply(CUBLAS_COMPUTE_32F) == a.read());
    CHECK((multiply(CUBLAS_COMPUTE_32F_FAST_TF32) == std::vector<float>{1.0f, 1.0f + 0x1p-9f}));
}

// What a product is told counts as it was when it was told.
void a_product_runs_later() {
    open();
    const CUstream work = stream();
    const Values<float> a(std::vector<float>{2}), b(std::vector<float>{3}), c(std::vector<float>{5});
    Multiplication multiplication{1, 1, 1, CUDA_R_32F, CUDA_R_32F};
    multiplication.stream = work;
    multiplication.beta = 1;
    OK(multiplication.run(a.get(), b.get(), c.get()));
    put(work, a, 7);
    CHECK(now(c) == 5);
    OK(cuStreamSynchronize(work));
    CHECK(now(c) == 11);
}

void products_that_cublaslt_refuses() {
    open();
    const Values<float> a(64), c(64);
    const auto multiply = [&](int lda, int ldb, int ldd, cudaDataType type, cublasComputeType_t compute) {
        Multiplication multiplication{4, 3, 5, type, type};
        multiplication.lda = lda;
        multiplication.ldb = ldb;
        multiplication.ldd = ldd;
        multiplication.compute = compute;
        return multiplication.run(a.get(), a.get(), c.get());
    };
    const auto f32 = CUDA_R_32F;
    const auto compute = CUBLAS_COMPUTE_32F;
    OK(multiply(4, 5, 4, f32, compute));
    CHECK(multiply(3, 5, 4, f32, compute) == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(multiply(4, 4, 4, f32, compute) == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(multiply(4, 5, 3, f32, compute) == CUBLAS_STATUS_INVALID_VALUE);
    CHECK(multiply(4, 5, 4, CUDA_R_8I, compute) == CUBLAS_STATUS_NOT_SUPPORTED);
    CHECK(multiply(4, 5, 4, f32, CUBLAS_COMPUTE_16F) == CUBLAS_STATUS_NOT_SUPPORTED);
}

// As integers and as floating-point numbers of 8 bits, whose products are exact here.
void products_of_8_bits() {
    open();
    constexpr int M = 16, N = 3, K = 32;
    std::vector<int8_t> a(M * K), b(N * K);
    for (int i = 0; i < M * K; i++) a[i] = static_cast<int8_t>(i * 37 % 255 - 127);
    for (int i = 0; i < N * K; i++) b[i] = static_cast<int8_t>(i * 91 % 255 - 127);
    const Values<int8_t> a_device(a), b_device(b);
    const Values<int32_t> sums(M * N);
    cublasLtHandle_t blas;
    OK(cublasLtCreate(&blas));
    const Multiplication shapes{M, N, K, CUDA_R_8I, CUDA_R_32I};
    const auto a_layout = shapes.layout(CUDA_R_8I, K, M, 0, 0), b_layout = shapes.layout(CUDA_R_8I, K, N, 0, 0);
    const auto d_layout = shapes.layout(CUDA_R_32I, M, N, 0, 0);
    cublasLtMatmulDesc_t what;
    OK(cublasLtMatmulDescCreate(&what, CUBLAS_COMPUTE_32I, CUDA_R_32I));
    const int32_t transpose = CUBLAS_OP_T, one = 1, zero = 0;
    OK(cublasLtMatmulDescSetAttribute(what, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof transpose));
    cublasLtMatmulPreference_t preference;
    OK(cublasLtMatmulPreferenceCreate(&preference));
    cublasLtMatmulHeuristicResult_t heuristic;
    int found;
    OK(cublasLtMatmulAlgoGetHeuristic(blas, what, a_layout, b_layout, d_layout, d_layout, preference, 1, &heuristic, &found));
    OK(cublasLtMatmul(blas, what, &one, a_device.get(), a_layout, b_device.get(), b_layout, &zero, sums.get(), d_layout,
                      sums.get(), d_layout, &heuristic.algo, nullptr, 0, nullptr));
    const std::vector<int32_t> result = sums.read();
    for (int j = 0; j < N; j++)
        for (int i = 0; i < M; i++) {
            int32_t expected = 0;
            for (int k = 0; k < K; k++) expected += a[i * K + k] * b[j * K + k];
            CHECK(result[j * M + i] == expected);
        }

    // 0x38 is 1, 0x40 is 2, 0xb8 is -1.
    const Values<uint8_t> twos(std::vector<uint8_t>(M * K, 0x40));
    std::vector<uint8_t> signs(N * K, 0x38);
    for (int k = 0; k < K; k++) signs[k] = k % 4 == 0 ? 0xb8 : 0x38;
    const Values<uint8_t> signs_device(signs);
    const Values<__half> halves(M * N);
    Multiplication floating{M, N, K, CUDA_R_8F_E4M3, CUDA_R_16F, CUBLAS_OP_T};
    floating.alpha = 0.5f;
    OK(floating.run(twos.get(), signs_device.get(), halves.get()));
    CHECK(static_cast<float>(halves.read()[0]) == 16.0f && static_cast<float>(halves.read()[M]) == 32.0f);
    floating.a_operation = CUBLAS_OP_N;
    CHECK(floating.run(twos.get(), signs_device.get(), halves.get()) == CUBLAS_STATUS_NOT_SUPPORTED);
}

void a_matrix_that_is_not_aligned_as_was_said() {
    open();
    const Values<float> a(65), c(64);
    cublasLtHandle_t blas;
    OK(cublasLtCreate(&blas));
    const Multiplication shapes{8, 8, 8, CUDA_R_32F, CUDA_R_32F};
    const auto layout = shapes.layout(CUDA_R_32F, 8, 8, 0, 0);
    cublasLtMatmulDesc_t what;
    OK(cublasLtMatmulDescCreate(&what, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    cublasLtMatmulPreference_t preference;
    OK(cublasLtMatmulPreferenceCreate(&preference));
    cublasLtMatmulHeuristicResult_t heuristic;
    int found;
    OK(cublasLtMatmulAlgoGetHeuristic(blas, what, layout, layout, layout, layout, preference, 1, &heuristic, &found));
    const float one = 1, zero = 0;
    cublasLtMatmul(blas, what, &one, a.get() + 1, layout, a.get(), layout, &zero, c.get(), layout, c.get(), layout,
                   &heuristic.algo, nullptr, 0, nullptr);
}

// With the preferences that a library has by itself.
void sums_that_may_be_added_up_in_16_bits() {
    open();
    const Values<__half> a(64), c(64);
    cublasLtHandle_t blas;
    OK(cublasLtCreate(&blas));
    const Multiplication shapes{8, 8, 8, CUDA_R_16F, CUDA_R_16F};
    const auto layout = shapes.layout(CUDA_R_16F, 8, 8, 0, 0);
    cublasLtMatmulDesc_t what;
    OK(cublasLtMatmulDescCreate(&what, CUBLAS_COMPUTE_32F, CUDA_R_32F));
    cublasLtMatmulPreference_t preference;
    OK(cublasLtMatmulPreferenceCreate(&preference));
    cublasLtMatmulHeuristicResult_t heuristic;
    int found;
    OK(cublasLtMatmulAlgoGetHeuristic(blas, what, layout, layout, layout, layout, preference, 1, &heuristic, &found));
    const float one = 1, zero = 0;
    cublasLtMatmul(blas, what, &one, a.get(), layout, a.get(), layout, &zero, c.get(), layout, c.get(), layout,
                   &heuristic.algo, nullptr, 0, nullptr);
}

void a_matrix_beyond_its_memory() {
    open();
    const Values<float> a(64), c(64);
    Multiplication{8, 9, 8, CUDA_R_32F, CUDA_R_32F}.run(a.get(), a.get(), c.get());
}

template <typename T> void products_with_epilogues_of(float tolerance) {
    constexpr int M = 19, N = 7, K = 33;
    const auto a = noise_of<T>(M * K), b = noise_of<T>(K * N), bias = noise_of<T>(M);
    const Values<T> a_device(a), b_device(b), bias_device(bias);
    cublasLtHandle_t blas;
    OK(cublasLtCreate(&blas));
    cublasLtMatrixLayout_t a_layout, b_layout, d_layout;
    OK(cublasLtMatrixLayoutCreate(&a_layout, type_of<T>(), K, M, K));
    OK(cublasLtMatrixLayoutCreate(&b_layout, type_of<T>(), K, N, K));
    OK(cublasLtMatrixLayoutCreate(&d_layout, type_of<T>(), M, N, M));
    cublasLtMatmulPreference_t preference;
    OK(cublasLtMatmulPreferenceCreate(&preference));
    const uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_COMPUTE_TYPE;
    OK(cublasLtMatmulPreferenceSetAttribute(preference, CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK, &reductions, 4));

    for (const cublasLtEpilogue_t epilogue :
         {CUBLASLT_EPILOGUE_DEFAULT, CUBLASLT_EPILOGUE_BIAS, CUBLASLT_EPILOGUE_RELU, CUBLASLT_EPILOGUE_RELU_BIAS,
          CUBLASLT_EPILOGUE_GELU, CUBLASLT_EPILOGUE_GELU_BIAS}) {
        cublasLtMatmulDesc_t what;
        OK(cublasLtMatmulDescCreate(&what, CUBLAS_COMPUTE_32F, CUDA_R_32F));
        const int32_t transpose = CUBLAS_OP_T;
        OK(cublasLtMatmulDescSetAttribute(what, CUBLASLT_MATMUL_DESC_TRANSA, &transpose, sizeof transpose));
        OK(cublasLtMatmulDescSetAttribute(what, CUBLASLT_MATMUL_DESC_EPILOGUE, &epilogue, sizeof epilogue));
        OK(cublasLtMatmulDescSetAttribute(what, CUBLASLT_MATMUL_DESC_BIAS_POINTER, &bias_device.pointer, 8));
        cublasLtMatmulHeuristicResult_t heuristic;
        int found;
        OK(cublasLtMatmulAlgoGetHeuristic(blas, what, a_layout, b_layout, d_layout, d_layout, preference, 1, &heuristic,
                                          &found));
        CHECK(found == 1);
        const Values<T> d(M * N);
        const float one = 1, zero = 0;
        OK(cublasLtMatmul(blas, what, &one, a_device.get(), a_layout, b_device.get(), b_layout, &zero, d.get(), d_layout,
                          d.get(), d_layout, &heuristic.algo, nullptr, 0, nullptr));
        OK(cublasLtMatmulDescDestroy(what));

        const std::vector<T> result = d.read();
        for (int j = 0; j < N; j++) {
            for (int i = 0; i < M; i++) {
                double x = 0;
                for (int k = 0; k < K; k++) x += at(a.data(), true, K, i, k) * at(b.data(), false, K, k, j);
                if (epilogue & CUBLASLT_EPILOGUE_BIAS) x += static_cast<float>(bias[i]);
                if ((epilogue & ~CUBLASLT_EPILOGUE_BIAS) == CUBLASLT_EPILOGUE_RELU) x = std::max(x, 0.0);
                if ((epilogue & ~CUBLASLT_EPILOGUE_BIAS) == CUBLASLT_EPILOGUE_GELU)
                    x = 0.5 * x * (1 + std::tanh(std::sqrt(2 / M_PI) * (x + 0.044715 * x * x * x)));
                CHECK(near(static_cast<float>(result[j * M + i]), static_cast<float>(x), tolerance));
            }
        }
    }
    OK(cublasLtMatmulPreferenceDestroy(preference));
    for (const cublasLtMatrixLayout_t layout : {a_layout, b_layout, d_layout}) OK(cublasLtMatrixLayoutDestroy(layout));
    OK(cublasLtDestroy(blas));
}

void a_product_behind_the_release_of_its_memory() {
    open();
    const Values<float> a(1), c(1);
    OK(cuMemFreeAsync(a.pointer, nullptr));
    OK((Multiplication{1, 1, 1, CUDA_R_32F, CUDA_R_32F}.run(a.get(), a.get(), c.get())));
    cuCtxSynchronize();
}

void a_device_that_hangs() {
    open();
    const CUfunction what = function("store");
    const Values<float> out(1);
    CUevent event;
    OK(cuEventCreate(&event, CU_EVENT_DISABLE_TIMING));
    OK(launch(what, {1, 1, 1}, {1, 1, 1}, 0, out.get(), 0, 1.0f));
    OK(launch(what, {1, 1, 1}, {1, 1, 1}, 0, out.get(), 0, 2.0f));
    OK(cuEventRecord(event, nullptr));
    for (int i = 0; i < 100; i++) CHECK(cuEventQuery(event) == CUDA_ERROR_NOT_READY);
    CHECK(*out.get() == 1.0f);
}

void products_with_epilogues() {
    open();
    products_with_epilogues_of<float>(1e-5f);
    products_with_epilogues_of<__half>(1e-3f);
    products_with_epilogues_of<__nv_bfloat16>(1e-2f);
}

// ---- the cases ---------------------------------------------------------------------------------------------------------

struct Case {
    const char* name;
    void (*run)();
    std::vector<std::pair<const char*, const char*>> environment;
    const char* dies_with = nullptr;  // what it says when it ends the process; null if it must not
};

#define CASE(name, ...) {#name, name, ##__VA_ARGS__}

const Case CASES[] = {
    CASE(block_sums, {}),
    CASE(early_returns, {}),
    CASE(kinds_of_shuffles, {}),
    CASE(grid_and_block_indices, {}),
    CASE(launches_that_no_device_takes, {}),
    CASE(shared_memory_starts_as_garbage, {}),
    CASE(several_host_threads, {}),
    CASE(modules_and_their_functions, {}),
    CASE(products_of_fragments, {}),
    CASE(transposed_fragments, {}),
    CASE(products_of_two_halves, {{"CAPABILITY", "7.5"}}),
    CASE(half_a_warp_is_no_warp, {}, "half_a_warp_turns: movmatrix in a warp that lacks lanes"),
    CASE(a_fatbin_has_a_piece_for_the_device, {{"CAPABILITY", "8.9"}}),
    CASE(counters, {}),
    CASE(half_of_a_block_waits, {}, "half_a_barrier: block (0, 0, 0) is stuck"),
    CASE(a_write_behind_an_allocation, {}, "written behind an allocation of 40 bytes"),
    CASE(a_write_behind_the_shared_memory, {}, "store_shared writes behind its 40 bytes"),
    CASE(a_pointer_of_the_host, {}, "store: a pointer parameter leads out"),
    CASE(a_pointer_of_another_device, {{"DEVICES", "2"}}, "store: a pointer parameter leads out"),
    CASE(memory, {{"MEMORY", "1048576"}}),
    CASE(streams_and_events, {{"DEVICES", "2"}}),
    CASE(copies_from_the_host, {}),
    CASE(copies_to_the_host, {}),
    CASE(an_event_is_not_reached_before_its_stream_runs, {}),
    CASE(what_waits_for_a_stream, {}),
    CASE(work_runs_in_its_order, {}),
    CASE(a_stream_waits_for_an_event_of_another, {}),
    CASE(the_default_stream, {}),
    CASE(memory_is_free_when_its_release_has_run, {{"MEMORY", "1048576"}}),
    CASE(threads_with_one_stream, {}),
    CASE(threads_with_streams_that_wait_for_each_other, {}),
    CASE(a_launch_behind_the_release_of_its_memory, {}, "store runs when memory"),
    CASE(a_copy_behind_the_release_of_its_memory, {}, "a copy runs when memory"),
    CASE(pinned_memory_that_is_freed_too_early, {}, "a copy runs when memory"),
    CASE(devices, {{"DEVICES", "3"}, {"CAPABILITY", "8.6"}}),
    CASE(no_device, {{"DEVICES", "0"}}),
    CASE(a_broken_context, {{"LAUNCHES", "2"}}),
    CASE(a_device_that_hangs, {{"HANGS_AFTER", "1"}}),
    CASE(products, {}),
    CASE(every_number_of_16_bits, {}),
    CASE(tf32, {}),
    CASE(a_product_runs_later, {}),
    CASE(products_that_cublaslt_refuses, {}),
    CASE(products_of_8_bits, {}),
    CASE(a_matrix_that_is_not_aligned_as_was_said, {}, "A is not aligned to the 256 bytes"),
    CASE(sums_that_may_be_added_up_in_16_bits, {}, "may add parts of sums up in the type of D, of 2 bytes"),
    CASE(a_matrix_beyond_its_memory, {}, "cublasLtMatmul: B, 8 x 9"),
    CASE(a_product_behind_the_release_of_its_memory, {}, "cublasLtMatmul: A, 1 x 1"),
    CASE(products_with_epilogues, {}),
};

// Runs a case in a process of its own, with what it says kept for the one that is expected to die.
bool passes(const Case& test) {
    int said[2];
    CHECK(pipe(said) == 0);
    const pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        dup2(said[1], STDERR_FILENO);
        close(said[0]);
        close(said[1]);
        for (const auto& [name, value] : test.environment)
            setenv((std::string("TEXTFLIGHT_EMULATOR_") + name).c_str(), value, 1);
        test.run();
        std::_Exit(0);
    }
    close(said[1]);
    std::string text;
    char buffer[4096];
    for (ssize_t read; (read = ::read(said[0], buffer, sizeof buffer)) > 0;) text.append(buffer, read);
    close(said[0]);
    int status;
    waitpid(child, &status, 0);
    const bool passed = test.dies_with ? WIFSIGNALED(status) && text.find(test.dies_with) != text.npos
                                       : WIFEXITED(status) && WEXITSTATUS(status) == 0;
    std::printf("%s %s\n", passed ? "ok    " : "FAILED", test.name);
    if (!passed) std::printf("%s(status %#x)\n", text.c_str(), status);
    return passed;
}

}  // namespace

int main() {
    std::setvbuf(stdout, nullptr, _IOLBF, 0);
    int failures = 0;
    for (const Case& test : CASES) failures += !passes(test);
    return failures > 0;
}
