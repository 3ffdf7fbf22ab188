// cuBLASLt: products with a bias and an activation behind them.
#include "blas.h"

#include "counters.h"
#include "memory.h"
#include "process.h"

#include <algorithm>
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
    uint32_t reductions = CUBLASLT_REDUCTION_SCHEME_MASK;
    uint32_t alignments[4] = {256, 256, 256, 256};  // of A, B, C and D
};

// What an algorithm keeps to: it stands in the 64 bytes that a caller keeps of it.
struct Algorithm {
    uint64_t name;  // ALGORITHM, so that what is none is found out
    uint32_t reductions, alignments[4];
    uint32_t number;  // of those that were offered
    uint32_t types[2], epilogue;
    uint32_t workspace;
};

constexpr uint64_t ALGORITHM = 0x6c61676f72697468;
static_assert(sizeof(Algorithm) <= sizeof(cublasLtMatmulAlgo_t));

Algorithm read(const cublasLtMatmulAlgo_t* from) {
    Algorithm algorithm{};
    if (from) std::memcpy(&algorithm, from, sizeof algorithm);
    return algorithm;
}

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
    const int32_t scale = what.compute == CUBLAS_COMPUTE_32I ? CUDA_R_32I : CUDA_R_32F;
    if (what.scale_type != scale || what.transpose_c != CUBLAS_OP_N) return CUBLAS_STATUS_NOT_SUPPORTED;
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

Algorithm algorithm_of(const Description& what, const Layout& a, const Layout& d) {
    return {ALGORITHM, 0, {}, 0, {static_cast<uint32_t>(a.type), static_cast<uint32_t>(d.type)}, what.epilogue, 0};
}

bool is_for(const Algorithm& algorithm, const Description& what, const Layout& a, const Layout& d) {
    const Algorithm expected = algorithm_of(what, a, d);
    return algorithm.name == ALGORITHM && std::equal(expected.types, expected.types + 2, algorithm.types) &&
           algorithm.epilogue == expected.epilogue;
}

// What a device would do with matrices that are not aligned as was said is undefined; parts of sums that are added up in
// 16 bits are what this project does not want.
void check(const Algorithm& algorithm, const void* const (&matrices)[4], cudaDataType result) {
    for (int i = 0; i < 4; i++)
        if (reinterpret_cast<uintptr_t>(matrices[i]) % algorithm.alignments[i] != 0)
            fault("cublasLtMatmul: %c is not aligned to the %u bytes that its algorithm was asked for with", "ABCD"[i],
                  algorithm.alignments[i]);
    const uint32_t narrow = CUBLASLT_REDUCTION_SCHEME_INPLACE | CUBLASLT_REDUCTION_SCHEME_OUTPUT_TYPE;
    if (size_of(result) < 4 && algorithm.reductions & narrow)
        fault("cublasLtMatmul: the algorithm may add parts of sums up in the type of D, of %zu bytes", size_of(result));
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
    Preference& wish = preference(handle);
    switch (attribute) {
    case CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES: return set(wish.workspace, value, bytes);
    case CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK: return set(wish.reductions, value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES: return set(wish.alignments[0], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES: return set(wish.alignments[1], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES: return set(wish.alignments[2], value, bytes);
    case CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES: return set(wish.alignments[3], value, bytes);
    default: return CUBLAS_STATUS_NOT_SUPPORTED;
    }
}

// All algorithms are one; they differ in the workspace that they say they need.
cublasStatus_t cublasLtMatmulAlgoGetHeuristic(cublasLtHandle_t handle, cublasLtMatmulDesc_t what, cublasLtMatrixLayout_t a,
                                              cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                              cublasLtMatmulPreference_t wish, int wanted,
                                              cublasLtMatmulHeuristicResult_t results[], int* found) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    *found = 0;
    if (wanted < 1) return CUBLAS_STATUS_INVALID_VALUE;
    count(Count::HEURISTICS);
    Product product;
    const cublasStatus_t status = product_of(description(what), layout(a), layout(b), layout(c), layout(d), product);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const Preference& keeps = preference(wish);
    for (; *found < std::min(wanted, settings().algorithms); ++*found) {
        Algorithm algorithm = algorithm_of(description(what), layout(a), layout(d));
        algorithm.reductions = keeps.reductions;
        std::copy_n(keeps.alignments, 4, algorithm.alignments);
        algorithm.number = *found;
        algorithm.workspace = static_cast<uint32_t>(std::min<uint64_t>(keeps.workspace, 1024 * *found));
        cublasLtMatmulHeuristicResult_t& result = results[*found];
        result = {};
        std::memcpy(&result.algo, &algorithm, sizeof algorithm);
        result.workspaceSize = algorithm.workspace;
        result.state = CUBLAS_STATUS_SUCCESS;
    }
    return *found > 0 ? CUBLAS_STATUS_SUCCESS : CUBLAS_STATUS_NOT_SUPPORTED;
}

// Whether an algorithm, perhaps of another size, computes this.
cublasStatus_t cublasLtMatmulAlgoCheck(cublasLtHandle_t handle, cublasLtMatmulDesc_t what, cublasLtMatrixLayout_t a,
                                       cublasLtMatrixLayout_t b, cublasLtMatrixLayout_t c, cublasLtMatrixLayout_t d,
                                       const cublasLtMatmulAlgo_t* algo, cublasLtMatmulHeuristicResult_t* result) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!algo || !result) return CUBLAS_STATUS_INVALID_VALUE;
    Product product;
    const cublasStatus_t status = product_of(description(what), layout(a), layout(b), layout(c), layout(d), product);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    const Algorithm algorithm = read(algo);
    if (!is_for(algorithm, description(what), layout(a), layout(d))) return CUBLAS_STATUS_NOT_SUPPORTED;
    *result = {};
    result->algo = *algo;
    result->workspaceSize = algorithm.workspace;
    result->state = CUBLAS_STATUS_SUCCESS;
    return CUBLAS_STATUS_SUCCESS;
}

cublasStatus_t cublasLtMatmul(cublasLtHandle_t handle, cublasLtMatmulDesc_t what, const void* alpha, const void* a,
                              cublasLtMatrixLayout_t a_layout, const void* b, cublasLtMatrixLayout_t b_layout,
                              const void* beta, const void* c, cublasLtMatrixLayout_t c_layout, void* d,
                              cublasLtMatrixLayout_t d_layout, const cublasLtMatmulAlgo_t* algo, void* workspace,
                              size_t workspace_bytes, cudaStream_t stream) {
    if (!handle) return CUBLAS_STATUS_NOT_INITIALIZED;
    if (!alpha || !beta) return CUBLAS_STATUS_INVALID_VALUE;
    Product product;
    const cublasStatus_t status = product_of(description(what), layout(a_layout), layout(b_layout), layout(c_layout),
                                             layout(d_layout), product);
    if (status != CUBLAS_STATUS_SUCCESS) return status;
    if (workspace_bytes > 0 && !memory::holds(workspace, workspace_bytes)) return CUBLAS_STATUS_INVALID_VALUE;
    if (description(what).scale_type == CUDA_R_32I) {
        product.alpha = static_cast<float>(*static_cast<const int32_t*>(alpha));
        product.beta = static_cast<float>(*static_cast<const int32_t*>(beta));
        if (product.alpha != 1.0f || product.beta != 0.0f) return CUBLAS_STATUS_NOT_SUPPORTED;
    } else {
        product.alpha = *static_cast<const float*>(alpha);
        product.beta = *static_cast<const float*>(beta);
    }
    const Algorithm algorithm = read(algo);
    if (!is_for(algorithm, description(what), layout(a_layout), layout(d_layout)) || workspace_bytes < algorithm.workspace)
        return CUBLAS_STATUS_INVALID_VALUE;
    check(algorithm, {a, b, c, d}, layout(d_layout).type);
    product.a.data = a;
    product.b.data = b;
    product.c.data = c;
    product.d.data = d;
    return execute(product, handle->context, stream, __func__);
}
