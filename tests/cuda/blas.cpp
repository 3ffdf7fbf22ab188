// What of a product a device looks at before it computes it.
#include "blas.h"

#include "counters.h"
#include "process.h"

namespace emulator {

// Tensor cores take 8 bits along the sum alone, and in whole pieces: 4 of them, or 16 bytes in floating point.
static bool is_of_8_bits(const Product& product, cublasComputeType_t compute) {
    const int capability = 10 * settings().major + settings().minor;
    if (!product.transpose_a || product.transpose_b || product.batch != 1) return false;
    const auto whole = [&](int64_t each) { return product.m % each == 0 && product.k % each == 0; };
    if (product.a.type == CUDA_R_8I)
        return compute == CUBLAS_COMPUTE_32I && product.d.type == CUDA_R_32I && capability >= 75 && whole(4);
    return compute == CUBLAS_COMPUTE_32F && product.d.type == CUDA_R_16F && capability >= 89 && whole(16);
}

cublasStatus_t are_types_supported(const Product& product, cublasComputeType_t compute) {
    const cudaDataType type = product.a.type, result = product.d.type;
    if (size_of(type) == 0 || product.b.type != type || product.c.type != result) return CUBLAS_STATUS_NOT_SUPPORTED;
    if (size_of(type) == 1) return is_of_8_bits(product, compute) ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
    if (type == CUDA_R_32I || (result != type && result != CUDA_R_32F)) return CUBLAS_STATUS_NOT_SUPPORTED;
    switch (compute) {
    case CUBLAS_COMPUTE_32F:
    case CUBLAS_COMPUTE_32F_PEDANTIC: return CUBLAS_STATUS_SUCCESS;
    case CUBLAS_COMPUTE_32F_FAST_TF32: return type == CUDA_R_32F ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
    default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

cublasStatus_t execute(const Product& product, CUcontext context, CUstream stream, const char* function) {
    if (context != current_context() || !is_stream(stream)) return CUBLAS_STATUS_EXECUTION_FAILED;
    if (product.m == 0 || product.n == 0 || product.batch == 0) return CUBLAS_STATUS_SUCCESS;
    if (!count_launch()) return CUBLAS_STATUS_EXECUTION_FAILED;
    count(Count::PRODUCTS);
    check(product, function);
    put(stream, [=] {
        const std::lock_guard lock(context->busy);
        multiply(product, function);
    });
    return CUBLAS_STATUS_SUCCESS;
}

}  // namespace emulator
