#include "launch.h"

#include "fiber.h"
#include "process.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <map>
#include <memory>
#include <string>
#include <vector>

thread_local uint3 threadIdx, blockIdx, blockDim, gridDim;

namespace emulator {

namespace {

constexpr unsigned char FRESH = 0xff, GUARDED = 0xfd;
constexpr uint64_t NO_VALUE = ~uint64_t{0};

// A CUDA thread, from its start to its return.
struct Thread {
    uint3 index;
    unsigned number;  // in its block
    Fiber* fiber;
    const char* waits_in;  // null while it can run
    unsigned mask;         // of the lanes that it waits for
    unsigned source;
    uint64_t value;  // what it brought, then what it got
};

constexpr unsigned ALL_LANES = ~0u;

struct Warp {
    unsigned live = ~0u, waiting = 0;  // lanes; those not started yet are live
};

class Block {
  public:
    void run(const Launch& launch);
    void wait_for_block(const char* what);
    uint64_t exchange(const char* what, unsigned mask, uint64_t value, From from, unsigned by, unsigned width);
    void together(const char* what, void* brought, void (*work)(void* const brought[WARP_SIZE]));

  private:
    static void work();  // the body of every fiber

    void finish(Thread& thread);
    void suspend(Fiber& from);
    void meet_block();
    void come(Thread& self, const char* what, unsigned mask, uint64_t value, unsigned source);
    void meet_warp(unsigned number, unsigned mask, const char* what);
    void wake(Thread& thread);
    [[noreturn]] void deadlock() const;

    const Launch* launch = nullptr;
    uint3 index{};
    std::vector<Thread> threads;
    std::vector<Warp> warps;
    std::vector<Thread*> at_barrier;
    // A ring: threads that can go on are those from `first_ready` up to `end_ready`, both modulo its size.
    std::array<Thread*, MAX_THREADS> ready;
    unsigned first_ready = 0, end_ready = 0;
    unsigned started = 0, live = 0;
    uint3 next{};  // the index of the thread to start next
    Thread* current = nullptr;

    Fiber host;
    std::vector<std::unique_ptr<Fiber>> fibers;
    std::vector<Fiber*> idle;  // those on which no thread is under way
    Fiber* starting = nullptr;
};

// Made by the host thread's first launch. A pointer, for it is what every wait begins with and needs no check.
thread_local Block* block = nullptr;

void Block::run(const Launch& launch) {
    this->launch = &launch;
    index = blockIdx;
    const unsigned count = launch.block.x * launch.block.y * launch.block.z;
    threads.resize(count);
    warps.assign((count + WARP_SIZE - 1) / WARP_SIZE, Warp{});
    if (count % WARP_SIZE) warps.back().live = (1u << count % WARP_SIZE) - 1;
    started = 0;
    live = count;
    next = {0, 0, 0};
    suspend(host);
}

// Each fiber starts threads as long as there are any, and then waits for the next block.
void Block::work() {
    Block& own = *block;
    for (;;) {
        Fiber* const fiber = own.starting;
        while (own.started < own.threads.size()) {
            Thread& thread = own.threads[own.started];
            thread = {own.next, own.started, fiber, nullptr, 0, 0, 0};
            own.started++;
            if (++own.next.x == own.launch->block.x) {
                own.next.x = 0;
                if (++own.next.y == own.launch->block.y) {
                    own.next.y = 0;
                    own.next.z++;
                }
            }
            own.current = &thread;
            threadIdx = thread.index;
            own.launch->body(own.launch->parameters);
            own.finish(thread);
        }
        own.idle.push_back(fiber);
        own.suspend(*fiber);
    }
}

// A thread has returned: those that wait wait for one less.
void Block::finish(Thread& thread) {
    live--;
    const unsigned number = thread.number / WARP_SIZE;
    Warp& warp = warps[number];
    warp.live &= ~(1u << thread.number % WARP_SIZE);
    for (unsigned waiting = warp.waiting; waiting;) {
        const Thread& first = threads[number * WARP_SIZE + __builtin_ctz(waiting)];
        waiting &= ~first.mask;
        meet_warp(number, first.mask, first.waits_in);
    }
    meet_block();
}

// Leaves the fiber that runs for a thread that can go on, for one that has not started or, at the end, for the host.
void Block::suspend(Fiber& from) {
    Fiber* to;
    if (first_ready != end_ready) {
        to = ready[first_ready++ % MAX_THREADS]->fiber;
    } else if (started < threads.size()) {
        if (idle.empty()) {
            fibers.push_back(std::make_unique<Fiber>(work));
            idle.push_back(fibers.back().get());
        }
        to = starting = idle.back();
        idle.pop_back();
    } else if (live == 0) {
        to = &host;
    } else {
        deadlock();
    }
    if (to != &from) from.switch_to(*to);
}

void Block::wake(Thread& thread) {
    thread.waits_in = nullptr;
    ready[end_ready++ % MAX_THREADS] = &thread;
}

void Block::meet_block() {
    if (at_barrier.empty() || at_barrier.size() < live) return;
    for (Thread* thread : at_barrier) wake(*thread);
    at_barrier.clear();
}

void Block::wait_for_block(const char* what) {
    Thread& self = *current;
    self.waits_in = what;
    at_barrier.push_back(&self);
    meet_block();
    suspend(*self.fiber);
    current = &self;
    threadIdx = self.index;
}

// If all lanes of the mask have come, they get their values and can go on.
void Block::meet_warp(unsigned number, unsigned mask, const char* what) {
    Warp& warp = warps[number];
    const unsigned lanes = mask & warp.live;
    if (lanes & ~warp.waiting) return;
    Thread* const first = &threads[number * WARP_SIZE];
    uint64_t brought[WARP_SIZE];
    for (unsigned left = lanes; left; left &= left - 1) {
        const Thread& thread = first[__builtin_ctz(left)];
        if (thread.mask != mask || thread.waits_in != what) return;
        brought[__builtin_ctz(left)] = thread.value;
    }
    warp.waiting &= ~lanes;
    for (unsigned left = lanes; left; left &= left - 1) {
        Thread& thread = first[__builtin_ctz(left)];
        thread.value = lanes >> thread.source & 1 ? brought[thread.source] : NO_VALUE;
        wake(thread);
    }
}

// The lane that this one reads, or itself where there is none.
unsigned source(unsigned lane, From from, unsigned by, unsigned width) {
    const unsigned segment = lane & ~(width - 1), end = segment + width;
    switch (from) {
    case From::AT: return segment + (by & (width - 1));
    case From::XOR: return (lane ^ by) < end ? lane ^ by : lane;  // segments before its own may be read
    case From::DOWN: return lane + by < end ? lane + by : lane;
    default: return lane;
    }
}

uint64_t Block::exchange(const char* what, unsigned mask, uint64_t value, From from, unsigned by, unsigned width) {
    Thread& self = *current;
    const unsigned number = self.number / WARP_SIZE, lane = self.number % WARP_SIZE;
    if (!(mask >> lane & 1)) fault("%s: lane %u calls %s with a mask that lacks it", launch->kernel, lane, what);
    come(self, what, mask, value, source(lane, from, by, width));
    meet_warp(number, mask, what);
    suspend(*self.fiber);
    current = &self;
    threadIdx = self.index;
    return self.value;
}

// Says that a thread waits for others of its warp.
void Block::come(Thread& self, const char* what, unsigned mask, uint64_t value, unsigned source) {
    self.waits_in = what;
    self.mask = mask;
    self.value = value;
    self.source = source;
    warps[self.number / WARP_SIZE].waiting |= 1u << self.number % WARP_SIZE;
}

// What the lanes bring lies on their own stacks, on which nothing happens before all can go on.
void Block::together(const char* what, void* brought, void (*work)(void* const brought[WARP_SIZE])) {
    Thread& self = *current;
    const unsigned number = self.number / WARP_SIZE;
    if (warps[number].live != ALL_LANES) fault("%s: %s in a warp that lacks lanes", launch->kernel, what);
    come(self, what, ALL_LANES, reinterpret_cast<uint64_t>(brought), self.number % WARP_SIZE);
    if (warps[number].waiting == ALL_LANES) {
        void* all[WARP_SIZE];
        for (unsigned lane = 0; lane < WARP_SIZE; lane++) {
            const Thread& thread = threads[number * WARP_SIZE + lane];
            if (thread.waits_in != what) fault("%s: some lanes are in %s, some in %s", launch->kernel, what, thread.waits_in);
            all[lane] = reinterpret_cast<void*>(thread.value);
        }
        work(all);
    }
    meet_warp(number, ALL_LANES, what);
    suspend(*self.fiber);
    current = &self;
    threadIdx = self.index;
}

void Block::deadlock() const {
    std::map<std::string, unsigned> waiting;
    for (const Thread& thread : threads)
        if (thread.waits_in) waiting[thread.waits_in]++;
    std::string counts;
    for (const auto& [what, count] : waiting) counts += ", " + std::to_string(count) + " in " + what;
    fault("%s: block (%u, %u, %u) is stuck: %u threads have returned%s", launch->kernel, index.x, index.y, index.z,
          static_cast<unsigned>(threads.size()) - live, counts.c_str());
}

}  // namespace

void wait_for_block(const char* what) { block->wait_for_block(what); }

uint64_t exchange(const char* what, unsigned mask, uint64_t value, From from, unsigned by, unsigned width) {
    return block->exchange(what, mask, value, from, by, width);
}

void together(const char* what, void* brought, void (*work)(void* const brought[WARP_SIZE])) {
    block->together(what, brought, work);
}

void run(const Launch& launch) {
    thread_local Block blocks;
    block = &blocks;
    gridDim = launch.grid;
    blockDim = launch.block;
    unsigned char* const shared = static_cast<unsigned char*>(launch.shared);
    unsigned char* const guard = shared + launch.shared_bytes;
    if (shared) std::memset(guard, GUARDED, SHARED_GUARD);
    for (unsigned z = 0; z < launch.grid.z; z++) {
        for (unsigned y = 0; y < launch.grid.y; y++) {
            for (unsigned x = 0; x < launch.grid.x; x++) {
                blockIdx = {x, y, z};
                if (shared) std::memset(shared, FRESH, launch.shared_bytes);
                block->run(launch);
            }
        }
    }
    if (shared && std::any_of(guard, guard + SHARED_GUARD, [](unsigned char byte) { return byte != GUARDED; }))
        fault("%s writes behind its %zu bytes of shared memory", launch.kernel, launch.shared_bytes);
}

}  // namespace emulator
