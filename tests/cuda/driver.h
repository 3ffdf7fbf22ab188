// What the rest of the emulator needs of the driver.
#pragma once

#include "queue.h"

// Our libraries hide what is their own; what a CUDA header declares is what they are there for.
#pragma GCC visibility push(default)
#include <cuda.h>
#pragma GCC visibility pop

#include <memory>
#include <mutex>

// What the driver's handles point to; cuda.h only declares these types.
struct CUctx_st {
    int device = 0;
    unsigned retained = 0;
    std::mutex busy;  // a device computes one thing at a time
    std::shared_ptr<emulator::Queue> default_queue = std::make_shared<emulator::Queue>();
};

namespace emulator {

constexpr unsigned MAX_BLOCK_Z = 64;
constexpr unsigned MAX_GRID_X = 0x7fffffff, MAX_GRID_YZ = 65535;
constexpr int SHARED_MEMORY = 48 << 10;  // of a block that has not asked for more

// Shared memory that a block of this device can ask for.
int most_shared_memory();

// What keeps the calling thread from using its device at all: no driver or no context.
CUresult needs_context();

// What keeps the calling thread from giving its device work: no context, or one that is broken.
CUresult cannot_work();

// The context of the calling thread; null if there is none.
CUcontext current_context();

// Whether the current context has this stream.
bool is_stream(CUstream stream);

// The same as a status, for a thread that can give its device work.
CUresult needs_stream(CUstream stream);

// Puts a piece of work into a stream of the current context. Returns the place behind it.
Place put(CUstream stream, Queue::Piece piece);

// Runs what has been put into the streams of a context so far.
void synchronize(CUcontext context);

}  // namespace emulator

// Leaves the function with that status unless it is a success.
#define SUCCEED(status)                                                                                                \
    do {                                                                                                               \
        if (const CUresult result = (status)) return result;                                                           \
    } while (false)
