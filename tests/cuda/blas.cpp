// cuBLAS: matrix products of f32, f16 and bf16 that are summed up in f32.
#include "blas.h"

#include "counters.h"
#include "process.h"

#include <algorithm>

using namespace emulator;

struct cublasContext {
    CUcontext context;
    cudaStream_t stream = nullptr;
    cublasMath_t math = CUBLAS_DEFAULT_MATH;
    cublasPointerMode_t pointers = CUBLAS_POINTER_MODE_HOST;
};

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

namespace {

cublasStatus_t gemm(const char* function, cublasHandle_t handle, cublasOperation_t a_operation,
                    cublasOperation_t b_operation, const float* alpha, const float* beta, Product product,
                    cublasComputeType_t compute) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    const int64_t m = product.m, n = product.n, k = product.k;
    if (m < 0 || n < 0 || k < 0 || product.batch < 0) return CUBLAS_STATUS_INVALID_VALUE;
    for (const cublasOperation_t operation : {a_operation, b_operation})
        if (operation != CUBLAS_OP_N && operation != CUBLAS_OP_T && operation != CUBLAS_OP_C)
            return CUBLAS_STATUS_INVALID_VALUE;
    product.transpose_a = a_operation != CUBLAS_OP_N;
    product.transpose_b = b_operation != CUBLAS_OP_N;
    const int64_t rows[] = {product.transpose_a ? k : m, product.transpose_b ? n : k, m};
    if (product.a.leading < std::max(int64_t{1}, rows[0]) || product.b.leading < std::max(int64_t{1}, rows[1]) ||
        product.c.leading < std::max(int64_t{1}, rows[2]))
        return CUBLAS_STATUS_INVALID_VALUE;
    if (!alpha || !beta) return CUBLAS_STATUS_INVALID_VALUE;

    product.d = product.c;
    const cublasStatus_t status = are_types_supported(product, compute);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const bool math = handle->math == CUBLAS_TF32_TENSOR_OP_MATH && compute != CUBLAS_COMPUTE_32F_PEDANTIC;
    product.tf32 = product.a.type == CUDA_R_32F && (math || compute == CUBLAS_COMPUTE_32F_FAST_TF32);
    product.alpha = *alpha;
    product.beta = *beta;
    return execute(product, handle->context, handle->stream, function);
}

}  // namespace

cublasStatus_t cublasCreate(cublasHandle_t* handle) {
    if (cannot_work()) return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = new cublasContext{current_context()};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasDestroy(cublasHandle_t handle) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetVersion(cublasHandle_t, int* version) {
    *version = CUBLAS_VERSION;
    return CUBLAS_STATUS_SUCCESS;
}

const char* cublasGetStatusName(cublasStatus_t status) {
    switch (status) {
    case CUBLAS_STATUS_SUCCESS: return "CUBLAS_STATUS_SUCCESS";
    case CUBLAS_STATUS_NOT_INITIALIZED: return "CUBLAS_STATUS_NOT_INITIALIZED";
    case CUBLAS_STATUS_INVALID_VALUE: return "CUBLAS_STATUS_INVALID_VALUE";
    case CUBLAS_STATUS_EXECUTION_FAILED: return "CUBLAS_STATUS_EXECUTION_FAILED";
    case CUBLAS_STATUS_NOT_SUPPORTED: return "CUBLAS_STATUS_NOT_SUPPORTED";
    default: return "CUBLAS_STATUS_UNKNOWN";
    }
}

const char* cublasGetStatusString(cublasStatus_t status) { return cublasGetStatusName(status); }

cublasStatus_t cublasSetStream(cublasHandle_t handle, cudaStream_t stream) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    handle->stream = stream;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetStream(cublasHandle_t handle, cudaStream_t* stream) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    *stream = handle->stream;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetMathMode(cublasHandle_t handle, cublasMath_t mode) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    handle->math = mode;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetMathMode(cublasHandle_t handle, cublasMath_t* mode) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    *mode = handle->math;
    return CUBLAS_STATUS_SUCCESS;
}

// Where alpha and beta lie makes no difference here.
cublasStatus_t cublasSetPointerMode(cublasHandle_t handle, cublasPointerMode_t mode) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    handle->pointers = mode;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasGetPointerMode(cublasHandle_t handle, cublasPointerMode_t* mode) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    *mode = handle->pointers;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasSetWorkspace(cublasHandle_t handle, void*, size_t) {
    return handle ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_INITIALIZED;
}

cublasStatus_t cublasGemmStridedBatchedEx(cublasHandle_t handle, cublasOperation_t a_operation,
                                          cublasOperation_t b_operation, int m, int n, int k, const void* alpha,
                                          const void* a, cudaDataType a_type, int a_leading, long long a_stride,
                                          const void* b, cudaDataType b_type, int b_leading, long long b_stride,
                                          const void* beta, void* c, cudaDataType c_type, int c_leading,
                                          long long c_stride, int batch, cublasComputeType_t compute, cublasGemmAlgo_t) {
    Product product{};
    product.m = m;
    product.n = n;
    product.k = k;
    product.batch = batch;
    product.a = {a, a_type, a_leading, a_stride};
    product.b = {b, b_type, b_leading, b_stride};
    product.c = {c, c_type, c_leading, c_stride};
    return gemm(__func__, handle, a_operation, b_operation, static_cast<const float*>(alpha),
                static_cast<const float*>(beta), product, compute);
}

cublasStatus_t cublasGemmEx(cublasHandle_t handle, cublasOperation_t a_operation, cublasOperation_t b_operation, int m,
                            int n, int k, const void* alpha, const void* a, cudaDataType a_type, int a_leading,
                            const void* b, cudaDataType b_type, int b_leading, const void* beta, void* c,
                            cudaDataType c_type, int c_leading, cublasComputeType_t compute, cublasGemmAlgo_t algorithm) {
    return cublasGemmStridedBatchedEx(handle, a_operation, b_operation, m, n, k, alpha, a, a_type, a_leading, 0, b, b_type,
                                      b_leading, 0, beta, c, c_type, c_leading, 0, 1, compute, algorithm);
}

cublasStatus_t cublasSgemmStridedBatched(cublasHandle_t handle, cublasOperation_t a_operation,
                                         cublasOperation_t b_operation, int m, int n, int k, const float* alpha,
                                         const float* a, int a_leading, long long a_stride, const float* b, int b_leading,
                                         long long b_stride, const float* beta, float* c, int c_leading,
                                         long long c_stride, int batch) {
    return cublasGemmStridedBatchedEx(handle, a_operation, b_operation, m, n, k, alpha, a, CUDA_R_32F, a_leading, a_stride,
                                      b, CUDA_R_32F, b_leading, b_stride, beta, c, CUDA_R_32F, c_leading, c_stride, batch,
                                      CUBLAS_COMPUTE_32F, CUBLAS_GEMM_DEFAULT);
}

cublasStatus_t cublasSgemm(cublasHandle_t handle, cublasOperation_t a_operation, cublasOperation_t b_operation, int m,
                           int n, int k, const float* alpha, const float* a, int a_leading, const float* b, int b_leading,
                           const float* beta, float* c, int c_leading) {
    return cublasSgemmStridedBatched(handle, a_operation, b_operation, m, n, k, alpha, a, a_leading, 0, b, b_leading, 0,
                                     beta, c, c_leading, 0, 1);
}
