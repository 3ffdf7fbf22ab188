// The kernels that can be launched, by name, and how the parameters of a launch reach them.
#pragma once

#include "memory.h"

#include <cstddef>
#include <memory>
#include <tuple>
#include <utility>

namespace emulator {

struct Kernel {
    const char* name;
    // Calls the kernel, once for each CUDA thread, with what these point to.
    void (*call)(void** parameters);
    // Pointers to copies of what these point to.
    std::shared_ptr<void*> (*copy)(void** parameters);
    // Whether such parameters may be passed on that device: every pointer leads into memory of it.
    bool (*reaches)(int device, void** parameters);
    // The dynamic shared memory of the calling thread, as large as a launch can ask for. Null if the kernel uses none.
    void* (*shared)();
};

// The type of a kernel says how its parameters are to be read.
template <auto function> struct Parameters;
template <typename... Parameter, void (*function)(Parameter...)> struct Parameters<function> {
    static void call(void** parameters) { call(parameters, std::index_sequence_for<Parameter...>()); }
    static std::shared_ptr<void*> copy(void** parameters) {
        return copy(parameters, std::index_sequence_for<Parameter...>());
    }
    static bool reaches(int device, void** parameters) {
        return reaches(device, parameters, std::index_sequence_for<Parameter...>());
    }

  private:
    template <size_t... i> static void call(void** parameters, std::index_sequence<i...>) {
        function(*static_cast<Parameter*>(parameters[i])...);
    }
    template <size_t... i>
    static std::shared_ptr<void*> copy([[maybe_unused]] void** parameters, std::index_sequence<i...>) {
        struct Copies {
            std::tuple<Parameter...> values;
            void* pointers[sizeof...(Parameter) + 1];  // behind them a null, for there may be none
        };
        const auto copies = std::make_shared<Copies>(Copies{{*static_cast<Parameter*>(parameters[i])...}, {}});
        ((copies->pointers[i] = &std::get<i>(copies->values)), ...);
        return {copies, copies->pointers};
    }
    template <size_t... i>
    static bool reaches([[maybe_unused]] int device, void** parameters, std::index_sequence<i...>) {
        return (reaches(device, *static_cast<Parameter*>(parameters[i])) && ...);
    }
    template <typename Value> static bool reaches(int, const Value&) { return true; }
    template <typename Value> static bool reaches(int device, Value* const& pointer) {
        return memory::reaches(device, pointer);
    }
};

void add(const Kernel& kernel);

// Null if there is none of that name.
const Kernel* find_kernel(const char* name);

// A static object of this type makes a kernel known.
struct Known {
    explicit Known(const Kernel& kernel) { add(kernel); }
};

}  // namespace emulator
