// The work of a stream: pieces that run one by one, in order, on the threads that wait for them. Nothing runs before.
#pragma once

#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>

namespace emulator {

class Queue {
  public:
    using Piece = std::function<void()>;

    // How many pieces were put into it, with this one.
    uint64_t put(Piece piece);
    uint64_t size();

    // Whether the first `count` pieces have run.
    bool has_run(uint64_t count);

    // Runs pieces until the first `count` have run, be it by others. When the context is broken, nothing runs any more;
    // what runs already is still waited for.
    void run(uint64_t count);

    // Runs the next piece, unless there is none or one runs already.
    void step();

  private:
    void run_next(std::unique_lock<std::mutex>& lock);

    std::mutex mutex;
    std::condition_variable ran;
    std::deque<Piece> pieces;
    uint64_t done = 0;
    bool running = false;  // one is taken out and not done yet
};

// A place in a queue: behind its first `count` pieces.
struct Place {
    std::shared_ptr<Queue> queue;
    uint64_t count;

    bool is_reached() const { return queue->has_run(count); }
    void reach() const { queue->run(count); }
};

}  // namespace emulator
