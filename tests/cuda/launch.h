// The execution of a kernel: block after block, each CUDA thread of a block on a stack of its own.
//
// A thread runs until it must wait for others of its warp or block; then the next one runs, on the same host thread.
// A kernel that never waits therefore costs a call per thread. Everything here belongs to the calling host thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <vector_types.h>

namespace emulator {

constexpr unsigned WARP_SIZE = 32;
constexpr unsigned MAX_THREADS = 1024;  // of a block

struct Launch {
    const char* kernel;  // for messages
    uint3 grid, block;
    void (*body)(void** parameters);
    void** parameters;
    void* shared;         // where the kernel finds its dynamic shared memory; null if it has none
    size_t shared_bytes;  // of it, for this launch
};

// Bytes behind the dynamic shared memory of a launch that must be there and that a kernel must not write.
constexpr size_t SHARED_GUARD = 256;

void run(const Launch& launch);

// What a thread of a kernel waits for. `what` is the name of the function that the kernel called.

// All threads of the block that have not returned.
void wait_for_block(const char* what);

// Whose value a lane gets: its own, or that of the lane at, across from or below itself within its segment of the warp.
enum class From { SELF, AT, XOR, DOWN };

// All lanes of `mask` that have not returned. The value is what the lane in question brought; garbage if it has returned.
uint64_t exchange(const char* what, unsigned mask, uint64_t value, From from, unsigned by, unsigned width);

// All lanes of the warp, none of which may have returned: the last that comes does the work on what each of them brought.
void together(const char* what, void* brought, void (*work)(void* const brought[WARP_SIZE]));

}  // namespace emulator

// The variables that CUDA C++ declares in every kernel.
extern thread_local uint3 threadIdx, blockIdx, blockDim, gridDim;
