// Those kernels of candle that the project causes to be launched, with candle's names and parameters. They are loops
// over all elements: what a launch of them says of blocks and threads is not used.
#include "kernel.h"
#include "process.h"

#include <cstdint>
#include <cuda_bf16.h>
#include <cuda_fp16.h>
#include <type_traits>

namespace {

using f16 = __half;
using bf16 = __nv_bfloat16;
using f32 = float;
using u32 = uint32_t;

// Where the elements of a tensor lie, in the order of its indices. `info` is the dimensions and then the strides of each
// tensor that has them, or null if all are contiguous.
class Layout {
  public:
    Layout(size_t rank, const size_t* info, size_t tensor = 0)
        : rank(info ? rank : 0), dimensions(info), strides(info ? info + (1 + tensor) * rank : nullptr) {}

    size_t operator[](size_t element) const {
        if (rank == 0) return element;
        size_t offset = 0;
        for (size_t d = rank; d-- > 0; element /= dimensions[d]) offset += element % dimensions[d] * strides[d];
        return offset;
    }

  private:
    size_t rank;
    const size_t *dimensions, *strides;
};

template <typename To, typename From> To convert(From value) {
    if constexpr (std::is_same_v<To, From>)
        return value;
    else if constexpr (std::is_same_v<From, f16>)
        return convert<To>(__half2float(value));
    else if constexpr (std::is_same_v<From, bf16>)
        return convert<To>(__bfloat162float(value));
    else if constexpr (std::is_same_v<To, f16>)
        return __float2half_rn(static_cast<float>(value));
    else if constexpr (std::is_same_v<To, bf16>)
        return __float2bfloat16_rn(static_cast<float>(value));
    else
        return static_cast<To>(value);
}

template <typename From, typename To>
void cast(size_t count, size_t rank, const size_t* info, const From* in, To* out) {
    const Layout layout(rank, info);
    for (size_t i = 0; i < count; i++) out[i] = convert<To>(in[layout[i]]);
}

template <typename T> void copy(size_t count, size_t rank, const size_t* info, const T* in, T* out) {
    const Layout layout(rank, info);
    for (size_t i = 0; i < count; i++) out[i] = in[layout[i]];
}

template <typename T> void copy2d(const T* in, T* out, u32 rows, u32 columns, u32 in_stride, u32 out_stride) {
    for (size_t row = 0; row < rows; row++)
        for (size_t column = 0; column < columns; column++)
            out[row * out_stride + column] = in[row * in_stride + column];
}

template <typename T> void fill(T* out, T value, size_t count) {
    for (size_t i = 0; i < count; i++) out[i] = value;
}

template <typename T> void const_set(size_t count, size_t rank, const size_t* info, T value, T* out) {
    const Layout layout(rank, info);
    for (size_t i = 0; i < count; i++) out[layout[i]] = value;
}

// Rows of `in` [left, rows, right] by their ids. The layout is that of the ids, which candle's kernel does not need
// either: it wants both contiguous.
template <typename T>
void index_select(size_t count, size_t, const size_t*, const u32* ids, const T* in, T* out, size_t, size_t rows,
                  size_t ids_count, size_t right) {
    for (size_t i = 0; i < count; i++) {
        const size_t left = i / (ids_count * right), id = ids[i / right % ids_count];
        if (id >= rows) emulator::fault("index_select: there is no row %zu, there are %zu", id, rows);
        out[i] = in[(left * rows + id) * right + i % right];
    }
}

template <typename T, typename Operation>
void binary(size_t count, size_t rank, const size_t* info, const T* a, const T* b, T* out, Operation operation) {
    const Layout a_layout(rank, info), b_layout(rank, info, 1);
    for (size_t i = 0; i < count; i++)
        out[i] = convert<T>(operation(convert<float>(a[a_layout[i]]), convert<float>(b[b_layout[i]])));
}

template <typename T> void add(size_t count, size_t rank, const size_t* info, const T* a, const T* b, T* out) {
    binary(count, rank, info, a, b, out, [](float x, float y) { return x + y; });
}

template <typename T> void multiply(size_t count, size_t rank, const size_t* info, const T* a, const T* b, T* out) {
    binary(count, rank, info, a, b, out, [](float x, float y) { return x * y; });
}

template <auto kernel> emulator::Known known(const char* name) {
    using Parameters = emulator::Parameters<kernel>;
    return emulator::Known(
        {name, Parameters::call, Parameters::copy, Parameters::reaches, emulator::Threads::NONE, nullptr});
}

#define CASTS(type)                                                                                                    \
    known<cast<type, f32>>("cast_" #type "_f32"), known<cast<type, f16>>("cast_" #type "_f16"),                        \
        known<cast<type, bf16>>("cast_" #type "_bf16"), known<cast<type, u32>>("cast_" #type "_u32")

#define COPIES(type)                                                                                                   \
    known<copy<type>>("ucopy_" #type), known<copy2d<type>>("copy2d_" #type), known<fill<type>>("fill_" #type),         \
        known<const_set<type>>("const_set_" #type), known<index_select<type>>("is_u32_" #type)

#define ARITHMETIC(type) known<add<type>>("badd_" #type), known<multiply<type>>("bmul_" #type)

const emulator::Known all[] = {
    CASTS(f32),      CASTS(f16),      CASTS(bf16),      CASTS(u32),       COPIES(f32),     COPIES(f16),
    COPIES(bf16),    COPIES(u32),     ARITHMETIC(f32),  ARITHMETIC(f16),  ARITHMETIC(bf16),
};

}  // namespace
