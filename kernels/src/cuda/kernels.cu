// The kernels that cuBLAS does not have, each the twin of a CPU kernel in the folder above: <kernel>_<type>.
#include "device/activation.cuh"
#include "device/attention.cuh"
#include "device/attention_mma.cuh"
#include "device/eight_bits.cuh"
#include "device/layer_norm.cuh"
#include "device/rows.cuh"

#define OF_EACH_TYPE(KERNEL) KERNEL(float, f32) KERNEL(__half, f16) KERNEL(__nv_bfloat16, bf16)

OF_EACH_TYPE(BIAS_ACTIVATION)
OF_EACH_TYPE(ATTENTION)
OF_EACH_TYPE(FIRST_ROWS)
OF_EACH_TYPE(WIDEN)

#define NORMS(T, name)                                   \
    EMBED_NORM(T, embed_norm_##name, norm_in_registers<T>)  \
    EMBED_NORM(T, embed_norm_any_##name, norm_in_shared<T>) \
    ADD_NORM(T, add_norm_##name, norm_in_registers<T>)      \
    ADD_NORM(T, add_norm_any_##name, norm_in_shared<T>)
OF_EACH_TYPE(NORMS)

ATTENTION_MMA_OF_EACH_WIDTH(__half, f16)
#if !defined(__CUDA_ARCH__) || __CUDA_ARCH__ >= 800
ATTENTION_MMA_OF_EACH_WIDTH(__nv_bfloat16, bf16)
#endif

#define EIGHT_BITS_OF(Kind, kind, T, name)                                     \
    QUANTIZE_ROWS(Kind, kind, T, name)                                         \
    SCALED_BIAS_ACTIVATION(Kind, kind, T, name)                                \
    SCALED_ADD_NORM(Kind, T, add_norm_##kind##_##name, norm_in_registers<T>)   \
    SCALED_ADD_NORM(Kind, T, add_norm_any_##kind##_##name, norm_in_shared<T>)
#define EIGHT_BITS(T, name) EIGHT_BITS_OF(Int8, int8, T, name) EIGHT_BITS_OF(E4m3, e4m3, T, name)
// Beside weights of 8 bits, what is not of 8 bits is of 16.
EIGHT_BITS(__half, f16)
EIGHT_BITS(__nv_bfloat16, bf16)
