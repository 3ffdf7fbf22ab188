// What the emulator was asked to do, counted for the whole process and all devices since the last reset. A test finds the two
// functions at the end in the library, by dlsym.
#pragma once

#include <cstdint>

namespace emulator {

// In the order in which emulator_counters gives them. Those of copies count calls, of a stream or not, and no bytes.
enum class Count {
    LAUNCHES,         // of kernels, products not among them
    PRODUCTS,         // of cuBLAS and cuBLASLt
    UPLOADS,          // copies from the host to a device
    DOWNLOADS,        // copies from a device to the host
    DEVICE_COPIES,    // copies from a device to a device
    MEMSETS,
    ALLOCATIONS,      // of device memory
    FREES,            // of device memory
    HOST_ALLOCATIONS, // of pinned memory
    HEURISTICS,       // queries of cuBLASLt for an algorithm
    EVENTS,           // created
    COUNTS,           // how many there are
};

// Adds one.
void count(Count what);

}  // namespace emulator

extern "C" {

// Writes as many counts as there is room for, in the order above. Returns how many there are.
__attribute__((visibility("default"))) uint64_t emulator_counters(uint64_t* counts, uint64_t room);

// From 0 again.
__attribute__((visibility("default"))) void emulator_reset_counters();
}
