// What holds for the whole process: the settings, and whether the context is still sound.
#pragma once

#include <cstddef>
#include <cstdint>

namespace emulator {

// From the environment, read once: see README.md.
struct Settings {
    int devices;
    int major, minor;  // compute capability
    size_t memory;     // bytes of a device
    uint64_t launches; // how many succeed
    uint64_t work;     // pieces that run before the devices hang
    int algorithms;    // that cuBLASLt offers for a product
    int driver;        // the release of CUDA that it is for, as cuDriverGetVersion says it
};

const Settings& settings();

// Counts a launch of a kernel or of a matrix product. False if it came too late.
bool count_launch();

// Whether the launches that succeed are used up: what a kernel's illegal access does to the context of a real device.
bool poisoned();

// Counts a piece of a stream's work that runs.
void count_work();

// Whether the devices do nothing any more, without an error.
bool hangs();

// Ends the process: what the device would do is undefined, and the message says what was wrong.
[[noreturn]] void fault(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace emulator
