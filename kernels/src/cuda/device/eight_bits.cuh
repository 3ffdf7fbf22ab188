// Rows in 8 bits, each with a scale by its largest value.
#pragma once

#include "sums.cuh"

#include <cuda_fp8.h>

namespace {

// The largest value of 8 bits, and the bits of a value that is none larger.
template <typename Kind> constexpr float LARGEST = 127.0f;
template <> constexpr float LARGEST<E4m3> = 448.0f;

template <typename Kind> __device__ __forceinline__ unsigned char bits(float x);
template <> __device__ __forceinline__ unsigned char bits<Int8>(float x) {
    return static_cast<unsigned char>(static_cast<signed char>(rintf(x)));
}
template <> __device__ __forceinline__ unsigned char bits<E4m3>(float x) {
    return __nv_cvt_float_to_fp8(x, __NV_SATFINITE, __NV_E4M3);
}

// Below it a row is taken for zeros: its scale's inverse would be infinite.
constexpr float SMALLEST = 1e-30f;

// q [rows, width] and scales [rows] <- x [rows, width]. A warp reads a row twice, the second time out of the cache. What is
// no number, or infinite, makes the scale none either: the row does not turn into numbers unseen.
template <typename T, int V, typename Kind>
__device__ void quantize_rows(const T* x, unsigned char* q, float* scales, int rows, int width) {
    const long long row = (long long)blockIdx.x * (blockDim.x / WARP) + threadIdx.x / WARP;
    if (row >= rows) return;
    const int lane = threadIdx.x % WARP;
    x += row * width;
    q += row * width;
    float largest = 0.0f, none = 0.0f, values[V];
    for (int column = lane * V; column < width; column += WARP * V) {
        load(x + column, values);
#pragma unroll
        for (int v = 0; v < V; v++) {
            largest = fmaxf(largest, fabsf(values[v]));
            none += values[v] - values[v];
        }
    }
    largest = warp_max(largest);
    none = warp_sum(none);
    const bool zeros = largest < SMALLEST;
    const float inverse = zeros || none != 0.0f ? 0.0f : LARGEST<Kind> / largest;
    for (int column = lane * V; column < width; column += WARP * V) {
        Vector<unsigned char, V> bytes;
        load(x + column, values);
#pragma unroll
        for (int v = 0; v < V; v++) bytes.values[v] = inverse == 0.0f ? 0 : bits<Kind>(values[v] * inverse);
        *reinterpret_cast<Vector<unsigned char, V>*>(q + column) = bytes;
    }
    if (lane == 0) scales[row] = zeros ? none : largest / LARGEST<Kind> + none;
}

}  // namespace

#define QUANTIZE_ROWS(Kind, kind, T, name)                                                                             \
    extern "C" __global__ void quantize_rows_##kind##_##name(const T* x, unsigned char* q, float* scales, int rows,    \
                                                             int width) {                                              \
        if (in_vectors<T, FULL<T>>(x, width) && in_vectors<unsigned char, FULL<T>>(q, width))                          \
            quantize_rows<T, FULL<T>, Kind>(x, q, scales, rows, width);                                                \
        else                                                                                                           \
            quantize_rows<T, 1, Kind>(x, q, scales, rows, width);                                                      \
    }
