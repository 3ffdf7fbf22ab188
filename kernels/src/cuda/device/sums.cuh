// What a product left, as what comes after it reads it: values of T, or sums of products of 8 bits with their scales.
#pragma once

#include "values.cuh"

namespace {

// Products of int8 leave their sums in i32, those of e4m3 in f16 · 2^-10: 448 · 448 · 3,072 is far beyond f16.
struct Int8 {
    using Sum = int;
    static constexpr float FACTOR = 1.0f;
};
struct E4m3 {
    using Sum = __half;
    static constexpr float FACTOR = 1024.0f;
};

// A matrix of T.
template <typename T> struct Plain {
    const T* values;

    template <int V> __device__ __forceinline__ bool whole(int width) const { return in_vectors<T, V>(values, width); }

    template <int V> __device__ __forceinline__ void read(long long row, int column, int width, float (&to)[V]) const {
        load(values + row * width + column, to);
    }
};

// Sums [rows, width] · row scale · column scale.
template <typename Kind> struct Scaled {
    const typename Kind::Sum* sums;
    const float *rows, *columns;

    template <int V> __device__ __forceinline__ bool whole(int width) const {
        return in_vectors<typename Kind::Sum, V>(sums, width) && in_vectors<float, V>(columns, width);
    }

    template <int V> __device__ __forceinline__ void read(long long row, int column, int width, float (&to)[V]) const {
        float scales[V];
        load(sums + row * width + column, to);
        load(columns + column, scales);
        const float scale = rows[row] * Kind::FACTOR;
#pragma unroll
        for (int v = 0; v < V; v++) to[v] *= scale * scales[v];
    }
};

}  // namespace
