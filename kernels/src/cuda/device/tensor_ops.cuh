// The kernels behind candle's custom ops: they go when nothing calls those on a GPU any more.
#pragma once

#include "activation.cuh"

namespace {

// ---- y <- f(y + bias), in place ------------------------------------------------------------------------------------

__device__ __forceinline__ float any_activation(float x, int activation) {
    switch (activation) {
    case GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case GELU_TANH: return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case RELU: return x < 0.0f ? 0.0f : x;  // not fmaxf, which would hide a NaN
    case SILU: return x / (1.0f + expf(-x));
    default: return x;
    }
}

// y [rows, width], bias [width]; `count` vectors of V values in y.
template <typename T, int V>
__device__ void bias_activation(T* y, const T* bias, long long count, int width, int activation) {
    using Values = Vector<T, V>;
    const int vectors = width / V;
    const long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < count; i += stride) {
        Values value = reinterpret_cast<Values*>(y)[i];
        const Values shift = reinterpret_cast<const Values*>(bias)[i % vectors];
#pragma unroll
        for (int v = 0; v < V; v++)
            value.values[v] = narrow<T>(any_activation(widen(value.values[v]) + widen(shift.values[v]), activation));
        reinterpret_cast<Values*>(y)[i] = value;
    }
}

// ---- x <- LayerNorm(x + residual) * weight + bias, in place ----------------------------------------------------------

// x and residual [rows, width], affine [2, width] in f32. A warp takes a row and keeps it, in f32, in shared memory
// [warps, width]. The order of a row's sums is its own: it does not depend on the other rows.
template <typename T, int V>
__device__ void add_layer_norm(T* x, const T* residual, const float* affine, int rows, int width, float epsilon) {
    extern __shared__ float shared[];
    const int warp = threadIdx.x / WARP, lane = threadIdx.x % WARP;
    const long long row = (long long)blockIdx.x * (blockDim.x / WARP) + warp;
    if (row >= rows) return;
    float* sums = shared + (long long)warp * width;
    using Values = Vector<T, V>;
    Values* values = reinterpret_cast<Values*>(x + row * width);
    const Values* others = reinterpret_cast<const Values*>(residual + row * width);

    float total = 0.0f;
    for (int i = lane; i < width / V; i += WARP) {
        const Values value = values[i], other = others[i];
#pragma unroll
        for (int v = 0; v < V; v++) {
            const float sum = widen(value.values[v]) + widen(other.values[v]);
            sums[i * V + v] = sum;
            total += sum;
        }
    }
    const float mean = warp_sum(total) / width;
    float squares = 0.0f;
    for (int i = lane; i < width / V; i += WARP) {
#pragma unroll
        for (int v = 0; v < V; v++) {
            const float difference = sums[i * V + v] - mean;
            squares += difference * difference;
        }
    }
    const float scale = 1.0f / sqrtf(warp_sum(squares) / width + epsilon);
    for (int i = lane; i < width / V; i += WARP) {
        Values value;
#pragma unroll
        for (int v = 0; v < V; v++) {
            const int column = i * V + v;
            value.values[v] = narrow<T>((sums[column] - mean) * scale * affine[column] + affine[width + column]);
        }
        values[i] = value;
    }
}

// ---- rows of a table ---------------------------------------------------------------------------------------------------

// out [count, width] <- table [., width], row ids[i] for row i; `vectors` of V values in `out`. candle has this in PTX for
// bf16 only where the build is for sm_80 and later.
template <typename T, int V>
__device__ void select_rows(const T* table, const unsigned* ids, T* out, long long vectors, int width) {
    using Values = Vector<T, V>;
    const int each = width / V;
    const long long stride = (long long)gridDim.x * blockDim.x;
    for (long long i = (long long)blockIdx.x * blockDim.x + threadIdx.x; i < vectors; i += stride) {
        const long long row = ids[i / each];
        reinterpret_cast<Values*>(out)[i] = reinterpret_cast<const Values*>(table)[row * each + i % each];
    }
}

}  // namespace

// ---- entry points: <kernel>_<dtype> ------------------------------------------------------------------------------------

// Four values are 8 bytes of f16, 16 of f32.
#define ENTRY_POINTS(T, name)                                                                                              \
    extern "C" __global__ void bias_activation_##name(T* y, const T* bias, long long values, int width, int activation) {  \
        if (in_vectors<T, 4>(y, width) && in_vectors<T, 4>(bias, width))                                                   \
            bias_activation<T, 4>(y, bias, values / 4, width, activation);                                                 \
        else                                                                                                               \
            bias_activation<T, 1>(y, bias, values, width, activation);                                                     \
    }                                                                                                                      \
    extern "C" __global__ void add_layer_norm_##name(T* x, const T* residual, const float* affine, int rows, int width,    \
                                                     float epsilon) {                                                      \
        if (in_vectors<T, 4>(x, width) && in_vectors<T, 4>(residual, width))                                               \
            add_layer_norm<T, 4>(x, residual, affine, rows, width, epsilon);                                               \
        else                                                                                                               \
            add_layer_norm<T, 1>(x, residual, affine, rows, width, epsilon);                                               \
    }                                                                                                                      \
    extern "C" __global__ void select_rows_##name(const T* table, const unsigned* ids, T* out, long long values,           \
                                                  int width) {                                                             \
        if (in_vectors<T, 4>(table, width) && in_vectors<T, 4>(out, width))                                                \
            select_rows<T, 4>(table, ids, out, values / 4, width);                                                         \
        else                                                                                                               \
            select_rows<T, 1>(table, ids, out, values, width);                                                             \
    }

ENTRY_POINTS(float, f32)
ENTRY_POINTS(__half, f16)
ENTRY_POINTS(__nv_bfloat16, bf16)
