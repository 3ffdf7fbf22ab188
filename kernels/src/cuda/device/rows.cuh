// Rows: where sequences begin, first rows, rows of a table, and values in f32.
#pragma once

#include "values.cuh"

namespace {

constexpr int SPANS = 128;  // sequences of a block, and its threads

// The sum of a block's values, in every thread.
__device__ __forceinline__ unsigned block_sum(unsigned x, unsigned* of_warps) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(ALL_LANES, x, distance);
    if (threadIdx.x % WARP == 0) of_warps[threadIdx.x / WARP] = x;
    __syncthreads();
    unsigned total = 0;
    for (int warp = 0; warp < SPANS / WARP; warp++) total += of_warps[warp];
    return total;
}

// out [width] <- row [width], by a whole block.
template <typename T, int V> __device__ void copy_row(const T* row, T* out, int width) {
    for (int column = threadIdx.x * V; column < width; column += blockDim.x * V)
        *reinterpret_cast<Vector<T, V>*>(out + column) = load<T, V>(row + column);
}

}  // namespace

// starts [sequences + 1] <- where each sequence begins, positions [tokens] <- each token's place in its own. Every block
// sums up what lies before its own sequences: reading a few kilobytes again costs less than waiting for other blocks.
extern "C" __global__ void spans(const unsigned* lengths, int sequences, unsigned* starts, unsigned* positions) {
    __shared__ unsigned of_warps[SPANS / WARP];
    __shared__ unsigned ends[SPANS];
    const int thread = threadIdx.x, first = blockIdx.x * SPANS, count = min(SPANS, sequences - first);
    unsigned before = 0;
    for (int i = thread; i < first; i += SPANS) before += lengths[i];
    before = block_sum(before, of_warps);

    // Hillis and Steele's scan.
    const unsigned length = thread < count ? lengths[first + thread] : 0;
    unsigned end = length + (thread == 0 ? before : 0);
    ends[thread] = end;
    __syncthreads();
    for (int distance = 1; distance < SPANS; distance *= 2) {
        if (thread >= distance) end += ends[thread - distance];
        __syncthreads();
        ends[thread] = end;
        __syncthreads();
    }
    if (thread < count) starts[first + thread + 1] = end;
    if (first + thread == 0) starts[0] = 0;

    for (int s = thread / WARP; s < count; s += SPANS / WARP) {
        const unsigned start = s == 0 ? before : ends[s - 1];
        for (unsigned at = start + thread % WARP; at < ends[s]; at += WARP) positions[at] = at - start;
    }
}

// out [sequences, width] <- row starts[s] of x for sequence s, which is a block's.
#define FIRST_ROWS(T, name)                                                                                            \
    extern "C" __global__ void first_rows_##name(const T* x, const unsigned* starts, T* out, int width) {              \
        const T* row = x + (long long)starts[blockIdx.x] * width;                                                      \
        T* to = out + (long long)blockIdx.x * width;                                                                   \
        if (in_vectors<T, FULL<T>>(x, width) && in_vectors<T, FULL<T>>(out, width))                                    \
            copy_row<T, FULL<T>>(row, to, width);                                                                      \
        else                                                                                                           \
            copy_row<T, 1>(row, to, width);                                                                            \
    }

// out [count] <- x [count] in f32
#define WIDEN(T, name)                                                                                                 \
    extern "C" __global__ void widen_##name(const T* x, float* out, long long count) {                                 \
        const long long at = (long long)blockIdx.x * blockDim.x + threadIdx.x;                                         \
        if (at < count) out[at] = widen(x[at]);                                                                        \
    }
