// f(y + bias) behind a product, over rows.
#pragma once

#include "sums.cuh"

namespace {

// The numbers that Rust passes: see Activation in activation.rs.
enum Activation { NONE, GELU, GELU_TANH, RELU, SILU };

template <int ACTIVATION> __device__ __forceinline__ float activate(float x) {
    switch (ACTIVATION) {
    case GELU: return 0.5f * x * (1.0f + erff(x * 0.70710678f));
    case GELU_TANH: return 0.5f * x * (1.0f + tanhf(0.79788456f * (x + 0.044715f * x * x * x)));
    case RELU: return x < 0.0f ? 0.0f : x;  // not fmaxf, which would hide a NaN
    case SILU: return x / (1.0f + expf(-x));
    default: return x;
    }
}

// out [rows, width] <- f(product + bias), which may be the product's own memory. A thread keeps its columns, and with them
// its part of the bias, and goes down the rows: their loads, of several rows, are all under way before the first is used.
template <typename T, int V, int ACTIVATION, typename Product>
__device__ void activate_rows(const Product product, const T* bias, T* out, int rows, int width) {
    const int column = (blockIdx.x * blockDim.x + threadIdx.x) * V;
    if (column >= width) return;
    constexpr int ROWS_IN_FLIGHT = V > 1 ? 4 : 1;
    float shift[V];
    load(bias + column, shift);
    const int step = gridDim.y * blockDim.y;
    for (int first = blockIdx.y * blockDim.y + threadIdx.y; first < rows; first += step * ROWS_IN_FLIGHT) {
        float values[ROWS_IN_FLIGHT][V] = {};
#pragma unroll
        for (int r = 0; r < ROWS_IN_FLIGHT; r++)
            if (first + r * step < rows) product.read(first + r * step, column, width, values[r]);
#pragma unroll
        for (int r = 0; r < ROWS_IN_FLIGHT; r++) {
            const long long row = first + r * step;
            if (row >= rows) break;
#pragma unroll
            for (int v = 0; v < V; v++) values[r][v] = activate<ACTIVATION>(values[r][v] + shift[v]);
            store(out + row * width + column, values[r]);
        }
    }
}

template <typename T, int V, typename Product>
__device__ void bias_activation(const Product product, const T* bias, T* out, int rows, int width, int activation) {
    switch (activation) {
    case GELU: return activate_rows<T, V, GELU>(product, bias, out, rows, width);
    case GELU_TANH: return activate_rows<T, V, GELU_TANH>(product, bias, out, rows, width);
    case RELU: return activate_rows<T, V, RELU>(product, bias, out, rows, width);
    case SILU: return activate_rows<T, V, SILU>(product, bias, out, rows, width);
    default: return activate_rows<T, V, NONE>(product, bias, out, rows, width);
    }
}

template <typename T, typename Product>
__device__ void bias_activation(const Product product, const T* bias, T* out, int rows, int width, int activation) {
    constexpr int V = FULL<T>;
    if (product.template whole<V>(width) && in_vectors<T, V>(bias, width) && in_vectors<T, V>(out, width))
        bias_activation<T, V>(product, bias, out, rows, width, activation);
    else
        bias_activation<T, 1>(product, bias, out, rows, width, activation);
}

}  // namespace

#define BIAS_ACTIVATION(T, name)                                                                                       \
    extern "C" __global__ void bias_activation_rows_##name(T* y, const T* bias, int rows, int width, int activation) { \
        bias_activation(Plain<T>{y}, bias, y, rows, width, activation);                                                \
    }

#define SCALED_BIAS_ACTIVATION(Kind, kind, T, name)                                                                    \
    extern "C" __global__ void bias_activation_##kind##_##name(const Kind::Sum* sums, const float* row_scales,         \
                                                               const float* column_scales, const T* bias, T* out,      \
                                                               int rows, int width, int activation) {                  \
        bias_activation(Scaled<Kind>{sums, row_scales, column_scales}, bias, out, rows, width, activation);            \
    }
