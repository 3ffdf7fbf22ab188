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
    int driver;        // the release of CUDA that it is for, as cuDriverGetVersion says it
};

const Settings& settings();

// Counts a launch of a kernel or of a matrix product. False if it came too late.
bool count_launch();

// Whether the launches that succeed are used up: what a kernel's illegal access does to the context of a real device.
bool poisoned();

// Ends the process: what the device would do is undefined, and the message says what was wrong.
[[noreturn]] void fault(const char* format, ...) __attribute__((format(printf, 1, 2)));

}  // namespace emulator
