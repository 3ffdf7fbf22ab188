// cuBLASLt: the products of cuBLAS with a bias and an activation behind them.
#include "blas.h"

#include "memory.h"

#include <cstring>

using namespace emulator;

struct cublasLtContext {
    CUcontext context;
};

namespace {

// What the handles of descriptors point to; the types of the header are as good as opaque.
struct Description {
    cublasComputeType_t compute;
    int32_t scale_type;
    int32_t transpose_a = CUBLAS_OP_N, transpose_b = CUBLAS_OP_N, transpose_c = CUBLAS_OP_N;
    uint32_t epilogue = CUBLASLT_EPILOGUE_DEFAULT;
    const void* bias = nullptr;
    int64_t bias_stride = 0;
    int32_t bias_type = -1;  // D's
    int32_t pointers = CUBLASLT_POINTER_MODE_HOST;
};

struct Layout {
    cudaDataType type;
    uint64_t rows, columns;
    int64_t leading;
    int32_t order = CUBLASLT_ORDER_COL;
    int32_t batch = 1;
    int64_t stride = 0;
};

struct Preference {
    uint64_t workspace = 0;
};

Description& description(cublasLtMatmulDesc_t handle) { return *reinterpret_cast<Description*>(handle); }
Layout& layout(cublasLtMatrixLayout_t handle) { return *reinterpret_cast<Layout*>(handle); }
Preference& preference(cublasLtMatmulPreference_t handle) { return *reinterpret_cast<Preference*>(handle); }

template <typename Value> cublasStatus_t set(Value& value, const void* from, size_t bytes) {
    if (!from || bytes != sizeof value) return CUBLAS_STATUS_INVALID_VALUE;
    std::memcpy(&value, from, sizeof value);
    return CUBLAS_STATUS_SUCCESS;
}

// The product that these describe, as far as it is known without data.
cublasStatus_t product_of(const Description& what, const Layout& a, const Layout& b, const Layout& c, const Layout& d,
                          Product& product) {
    product = {};
    product.transpose_a = what.transpose_a != CUBLAS_OP_N;
    product.transpose_b = what.transpose_b != CUBLAS_OP_N;
    product.m = d.rows;
    product.n = d.columns;
    product.k = product.transpose_a ? a.rows : a.columns;
    product.batch = d.batch;
    const auto is = [](const Layout& layout, uint64_t rows, uint64_t columns) {
        return layout.rows == rows && layout.columns == columns;
    };
    const uint64_t m = product.m, n = product.n, k = product.k;
    if (!is(a, product.transpose_a ? k : m, product.transpose_a ? m : k) ||
        !is(b, product.transpose_b ? n : k, product.transpose_b ? k : n) || !is(c, m, n))
        return CUBLAS_STATUS_INVALID_VALUE;
    for (const Layout* each : {&a, &b, &c, &d}) {
        if (each->leading < static_cast<int64_t>(each->rows) || each->batch != d.batch) return CUBLAS_STATUS_INVALID_VALUE;
        if (each->order != CUBLASLT_ORDER_COL) return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (what.scale_type != CUDA_R_32F || what.transpose_c != CUBLAS_OP_N) return CUBLAS_STATUS_NOT_SUPPORTED;
    product.a = {nullptr, a.type, a.leading, a.stride};
    product.b = {nullptr, b.type, b.leading, b.stride};
    product.c = {nullptr, c.type, c.leading, c.stride};
    product.d = {nullptr, d.type, d.leading, d.stride};
    const cublasStatus_t status = are_types_supported(product, what.compute);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    product.tf32 = what.compute == CUBLAS_COMPUTE_32F_FAST_TF32;

    switch (what.epilogue) {
    case CUBLASLT_EPILOGUE_DEFAULT: return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_EPILOGUE_RELU: product.activation = Activation::RELU; return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_EPILOGUE_GELU: product.activation = Activation::GELU; return CUBLAS_STATUS_SUCCESS;
    case CUBLASLT_EPILOGUE_BIAS: break;
    case CUBLASLT_EPILOGUE_RELU_BIAS: product.activation = Activation::RELU; break;
    case CUBLASLT_EPILOGUE_GELU_BIAS: product.activation = Activation::GELU; break;
    default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
    if (!what.bias) return CUBLAS_STATUS_INVALID_VALUE;
    if (what.bias_type != -1 && what.bias_type != d.type) return CUBLAS_STATUS_NOT_SUPPORTED;
    product.bias = what.bias;
    product.bias_stride = what.bias_stride;
    return CUBLAS_STATUS_SUCCESS;
}

}  // namespace

cublasStatus_t cublasLtCreate(cublasLtHandle_t* handle) {
    if (cannot_work()) return CUBLAS_STATUS_NOT_INITIALIZED;
    *handle = new cublasLtContext{current_context()};
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtDestroy(cublasLtHandle_t handle) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    delete handle;
    return CUBLAS_STATUS_SUCCESS;
}

size_t cublasLtGetVersion() { return CUBLAS_VERSION; }

cublasStatus_t cublasLtMatmulDescCreate(cublasLtMatmulDesc_t* handle, cublasComputeType_t compute, cudaDataType scale) {
    *handle = reinterpret_cast<cublasLtMatmulDesc_t>(new Description{compute, scale});
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescDestroy(cublasLtMatmulDesc_t handle) {
    delete &description(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulDescSetAttribute(cublasLtMatmulDesc_t handle, cublasLtMatmulDescAttributes_t attribute,
                                              const void* value, size_t bytes) {
    Description& what = description(handle);
    switch (attribute) {
    case CUBLASLT_MATMUL_DESC_TRANSA: return set(what.transpose_a, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSB: return set(what.transpose_b, value, bytes);
    case CUBLASLT_MATMUL_DESC_TRANSC: return set(what.transpose_c, value, bytes);
    case CUBLASLT_MATMUL_DESC_EPILOGUE: return set(what.epilogue, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_POINTER: return set(what.bias, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_BATCH_STRIDE: return set(what.bias_stride, value, bytes);
    case CUBLASLT_MATMUL_DESC_BIAS_DATA_TYPE: return set(what.bias_type, value, bytes);
    case CUBLASLT_MATMUL_DESC_POINTER_MODE: return set(what.pointers, value, bytes);
    default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

cublasStatus_t cublasLtMatrixLayoutCreate(cublasLtMatrixLayout_t* handle, cudaDataType type, uint64_t rows,
                                          uint64_t columns, int64_t leading) {
    *handle = reinterpret_cast<cublasLtMatrixLayout_t>(new Layout{type, rows, columns, leading});
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutDestroy(cublasLtMatrixLayout_t handle) {
    delete &layout(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatrixLayoutSetAttribute(cublasLtMatrixLayout_t handle, cublasLtMatrixLayoutAttribute_t attribute,
                                                const void* value, size_t bytes) {
    Layout& what = layout(handle);
    switch (attribute) {
    case CUBLASLT_MATRIX_LAYOUT_ORDER: return set(what.order, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_BATCH_COUNT: return set(what.batch, value, bytes);
    case CUBLASLT_MATRIX_LAYOUT_STRIDED_BATCH_OFFSET: return set(what.stride, value, bytes);
    default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

cublasStatus_t cublasLtMatmulPreferenceCreate(cublasLtMatmulPreference_t* handle) {
    *handle = reinterpret_cast<cublasLtMatmulPreference_t>(new Preference);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceDestroy(cublasLtMatmulPreference_t handle) {
    delete &preference(handle);
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmulPreferenceSetAttribute(cublasLtMatmulPreference_t handle,
                                                    cublasLtMatmulPreferenceAttributes_t attribute, const void* value,
                                                    size_t bytes) {
    if (attribute != CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES) return CUBLAS_STATUS_NOT_SUPPORTED;
    return set(preference(handle).workspace, value, bytes);
}

// There is one algorithm, which needs no workspace.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t what, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int* found) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    *found = 0;
    if (wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
    Product product;
    const cublasStatus_t status = product_of(description(what), layout(a), layout(b), layout(c), layout(d), product);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    results[0] = {};
    results[0].state = CUBLAS_STATUS_SUCCESS;
    *found = 1;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t what, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t*, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!alpha || !beta) return CUBLAS_STATUS_INVALID_VALUE;
    Product product;
    const cublasStatus_t status = product_of(description(what), layout(a_layout), layout(b_layout), layout(c_layout),
                                             layout(d_layout), product);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (workspace_bytes > 0 && !memory::holds(workspace, workspace_bytes)) return CUBLAS_STATUS_INVALID_VALUE;
    product.alpha = *static_cast<const float*>(alpha);
    product.beta = *static_cast<const float*>(beta);
    product.a.data = a;
    product.b.data = b;
    product.c.data = c;
    product.d.data = d;
    return execute(product, handle->context, stream, __func__);
}
