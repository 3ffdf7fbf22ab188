// What CUDA C++ has and C++ has not, for source that is written for a device and compiled here for the host.
#pragma once

#include "launch.h"

#include <cmath>
#include <cstring>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <type_traits>
#include <vector_functions.h>

// A block runs on one host thread, so what the block shares is the thread's. This keyword, unlike `static`, may also
// follow `extern`: dynamic shared memory is an array that whoever includes the kernels defines, for the thread as well.
#undef __shared__
#define __shared__ thread_local
#undef __launch_bounds__
#define __launch_bounds__(...)

inline __attribute__((always_inline)) void __syncthreads() { emulator::wait_for_block("__syncthreads"); }

inline __attribute__((always_inline)) void __syncwarp(unsigned mask = 0xffffffff) {
    emulator::exchange("__syncwarp", mask, 0, emulator::From::SELF, 0, emulator::WARP_SIZE);
}

namespace emulator {

template <typename T> T shuffle(const char* what, unsigned mask, T value, From from, unsigned by, unsigned width) {
    static_assert(std::is_trivially_copyable_v<T> && sizeof(T) <= sizeof(uint64_t));
    uint64_t bits = 0;
    std::memcpy(&bits, &value, sizeof value);
    bits = exchange(what, mask, bits, from, by, width);
    std::memcpy(&value, &bits, sizeof value);
    return value;
}

}  // namespace emulator

template <typename T> T __shfl_sync(unsigned mask, T value, int lane, int width = emulator::WARP_SIZE) {
    return emulator::shuffle("__shfl_sync", mask, value, emulator::From::AT, lane, width);
}

template <typename T> T __shfl_xor_sync(unsigned mask, T value, int lanes, int width = emulator::WARP_SIZE) {
    return emulator::shuffle("__shfl_xor_sync", mask, value, emulator::From::XOR, lanes, width);
}

template <typename T> T __shfl_down_sync(unsigned mask, T value, unsigned lanes, int width = emulator::WARP_SIZE) {
    return emulator::shuffle("__shfl_down_sync", mask, value, emulator::From::DOWN, lanes, width);
}

inline float rsqrtf(float x) { return 1.0f / std::sqrt(x); }
inline float __expf(float x) { return std::exp(x); }

template <typename A, typename B> std::common_type_t<A, B> min(A a, B b) { return b < a ? b : a; }
template <typename A, typename B> std::common_type_t<A, B> max(A a, B b) { return a < b ? b : a; }
inline float min(float a, float b) { return std::fmin(a, b); }
inline float max(float a, float b) { return std::fmax(a, b); }
