// Products of small matrices by a warp, as PTX has them. What holds for a lane below is from the tables of fragments in the
// PTX ISA, with row = lane / 4 and quad = lane % 4; a register of 32 bits has two values, the first in its lower half.
#pragma once

#include "values.cuh"

#ifdef __CUDACC__

// d [16, 8] += a [16, 16] · b [16, 8], in f32.
// a: registers 0 and 1 have columns 2 · quad and the next of rows `row` and `row + 8`; 2 and 3 the same 8 columns further.
// b: registers 0 and 1 have rows 2 · quad and the next, and the same 8 rows further, of column `row`.
// d: 0 and 1 are columns 2 · quad and the next of row `row`; 2 and 3 of row `row + 8`.
template <typename T>
__device__ __forceinline__ void mma_m16n8k16(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]);

#if __CUDA_ARCH__ >= 800
template <>
__device__ __forceinline__ void mma_m16n8k16<__half>(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, {%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}

template <>
__device__ __forceinline__ void mma_m16n8k16<__nv_bfloat16>(float (&d)[4], const unsigned (&a)[4],
                                                            const unsigned (&b)[2]) {
    asm volatile(
        "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0, %1, %2, %3}, {%4, %5, %6, %7}, {%8, %9}, "
        "{%0, %1, %2, %3};"
        : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
        : "r"(a[0]), "r"(a[1]), "r"(a[2]), "r"(a[3]), "r"(b[0]), "r"(b[1]));
}
#endif

// The same with half of the columns of a and rows of b. In f16 alone.
__device__ __forceinline__ void mma_m16n8k8(float (&d)[4], unsigned a0, unsigned a1, unsigned b0) {
    asm volatile("mma.sync.aligned.m16n8k8.row.col.f32.f16.f16.f32 {%0, %1, %2, %3}, {%4, %5}, {%6}, {%0, %1, %2, %3};"
                 : "+f"(d[0]), "+f"(d[1]), "+f"(d[2]), "+f"(d[3])
                 : "r"(a0), "r"(a1), "r"(b0));
}

// The transpose of a matrix [8, 8] of which a lane has columns 2 · quad and the next of row `row`.
__device__ __forceinline__ unsigned movmatrix(unsigned x) {
    unsigned y;
    asm volatile("movmatrix.sync.aligned.m8n8.trans.b16 %0, %1;" : "=r"(y) : "r"(x));
    return y;
}

// Whether there is m16n8k16: from sm_80 on.
__device__ __forceinline__ constexpr bool has_m16n8k16() {
#if __CUDA_ARCH__ >= 800
    return true;
#else
    return false;
#endif
}

#else
#include "tensor_cores.h"  // the emulator's
#endif

namespace {

// d += a · b, by the largest product that there is.
template <typename T>
__device__ __forceinline__ void multiply(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]);
template <>
__device__ __forceinline__ void multiply<__half>(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
    if (has_m16n8k16()) return mma_m16n8k16<__half>(d, a, b);
#endif
    mma_m16n8k8(d, a[0], a[1], b[0]);
    mma_m16n8k8(d, a[2], a[3], b[1]);
}

#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
template <>
__device__ __forceinline__ void multiply<__nv_bfloat16>(float (&d)[4], const unsigned (&a)[4], const unsigned (&b)[2]) {
    mma_m16n8k16<__nv_bfloat16>(d, a, b);
}
#endif

// Two values in a register.
template <typename T> __device__ __forceinline__ unsigned pack(float low, float high) {
    const Vector<T, 2> both = {{narrow<T>(low), narrow<T>(high)}};
    unsigned bits;
    memcpy(&bits, &both, sizeof bits);
    return bits;
}

}  // namespace
