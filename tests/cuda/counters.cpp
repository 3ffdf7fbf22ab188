#include "counters.h"

#include <algorithm>
#include <array>
#include <atomic>

namespace emulator {

namespace {

constexpr size_t COUNTS = static_cast<size_t>(Count::COUNTS);
std::array<std::atomic<uint64_t>, COUNTS> counters;

}  // namespace

void count(Count what) { counters[static_cast<size_t>(what)]++; }

}  // namespace emulator

uint64_t emulator_counters(uint64_t* counts, uint64_t room) {
    using namespace emulator;
    std::copy_n(counters.begin(), std::min<uint64_t>(room, COUNTS), counts);
    return COUNTS;
}

void emulator_reset_counters() {
    for (auto& counter : emulator::counters) counter = 0;
}
