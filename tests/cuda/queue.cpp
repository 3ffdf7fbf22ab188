#include "queue.h"

#include "process.h"

#include <chrono>
#include <thread>
#include <utility>

namespace emulator {

// As a thread that waits for a device that hangs: nothing ends that but the process.
static void wait_for_ever(std::unique_lock<std::mutex>& lock) {
    lock.unlock();
    for (;;) std::this_thread::sleep_for(std::chrono::hours(1));
}

uint64_t Queue::put(Piece piece) {
    const std::lock_guard lock(mutex);
    pieces.push_back(std::move(piece));
    return done + running + pieces.size();
}

uint64_t Queue::size() {
    const std::lock_guard lock(mutex);
    return done + running + pieces.size();
}

bool Queue::has_run(uint64_t count) {
    const std::lock_guard lock(mutex);
    return done >= count;
}

// A piece may wait for another queue. Two threads that wait for each other's queue do not block each other: what a piece
// waits for was put somewhere before it.
void Queue::run(uint64_t count) {
    std::unique_lock lock(mutex);
    while (done < count) {
        if (running)
            ran.wait(lock);
        else if (poisoned())
            return;
        else if (hangs())
            wait_for_ever(lock);
        else
            run_next(lock);
    }
}

void Queue::step() {
    std::unique_lock lock(mutex);
    if (!running && !pieces.empty() && !poisoned() && !hangs()) run_next(lock);
}

// The lock is open while the piece runs: others put theirs into the queue meanwhile.
void Queue::run_next(std::unique_lock<std::mutex>& lock) {
    Piece piece = std::move(pieces.front());
    pieces.pop_front();
    running = true;
    lock.unlock();
    count_work();
    piece();
    piece = nullptr;  // what it holds goes before anyone hears that it is done
    lock.lock();
    running = false;
    done++;
    ran.notify_all();
}

}  // namespace emulator
