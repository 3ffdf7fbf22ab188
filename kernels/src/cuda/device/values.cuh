// Values in memory and in registers: T (f32, f16 or bf16) in the one and f32 in the other. Every sum, softmax and LayerNorm
// is computed in f32. Offsets into a matrix are 64-bit: a large batch has more than 2^31 values in its widest layer.
#pragma once

#include <cuda_bf16.h>
#include <cuda_fp16.h>

#ifndef INFINITY  // of a header that NVRTC has not
#define INFINITY __int_as_float(0x7f800000)
#endif

namespace {

constexpr int WARP = 32;
constexpr unsigned ALL_LANES = 0xffffffffu;

__device__ __forceinline__ float widen(float x) { return x; }
__device__ __forceinline__ float widen(__half x) { return __half2float(x); }
__device__ __forceinline__ float widen(__nv_bfloat16 x) { return __bfloat162float(x); }
__device__ __forceinline__ float widen(int x) { return static_cast<float>(x); }

template <typename T> __device__ __forceinline__ T narrow(float x);
template <> __device__ __forceinline__ float narrow(float x) { return x; }
template <> __device__ __forceinline__ __half narrow(float x) { return __float2half_rn(x); }
template <> __device__ __forceinline__ __nv_bfloat16 narrow(float x) { return __float2bfloat16_rn(x); }

// V neighbours that are loaded and stored at once, 16 bytes at most with each instruction.
template <typename T, int V> struct alignas(sizeof(T) * V < 16 ? sizeof(T) * V : 16) Vector {
    T values[V];
};

// Values in 16 bytes.
template <typename T> constexpr int FULL = 16 / sizeof(T);

// Whether rows of `width` values can be read V at a time.
template <typename T, int V> __device__ __forceinline__ bool in_vectors(const T* first, int width) {
    return width % V == 0 && reinterpret_cast<size_t>(first) % alignof(Vector<T, V>) == 0;
}

template <typename T, int V> __device__ __forceinline__ Vector<T, V> load(const T* from) {
    return *reinterpret_cast<const Vector<T, V>*>(from);
}

template <typename T, int V> __device__ __forceinline__ void load(const T* from, float (&to)[V]) {
    const Vector<T, V> values = load<T, V>(from);
#pragma unroll
    for (int v = 0; v < V; v++) to[v] = widen(values.values[v]);
}

template <typename T, int V> __device__ __forceinline__ void store(T* to, const float (&from)[V]) {
    Vector<T, V> values;
#pragma unroll
    for (int v = 0; v < V; v++) values.values[v] = narrow<T>(from[v]);
    *reinterpret_cast<Vector<T, V>*>(to) = values;
}

__device__ __forceinline__ float warp_sum(float x) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) x += __shfl_xor_sync(ALL_LANES, x, distance);
    return x;
}

__device__ __forceinline__ float warp_max(float x) {
    for (int distance = WARP / 2; distance > 0; distance /= 2) x = fmaxf(x, __shfl_xor_sync(ALL_LANES, x, distance));
    return x;
}

}  // namespace
