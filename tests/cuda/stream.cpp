// The driver: streams and events.
#include "driver.h"

#include "counters.h"

#include <chrono>
#include <set>
#include <utility>
#include <vector>

using namespace emulator;

struct CUstream_st {
    CUcontext context;
    bool blocks;  // it and the default stream wait for each other
    std::shared_ptr<Queue> queue = std::make_shared<Queue>();
};

namespace {

// An event in a stream: where it is, and when that was reached. It may outlive the event and the stream.
struct Record {
    Place place;
    std::chrono::steady_clock::time_point time{};
};

}  // namespace

struct CUevent_st {
    CUcontext context;
    bool timed;
    std::shared_ptr<Record> last = nullptr;  // null before the first; see `recording`
};

namespace {

// Handles that have been given out and are not destroyed.
template <typename T> class Handles {
  public:
    T* add(T value) {
        const std::lock_guard lock(mutex);
        return *live.insert(new T(value)).first;
    }
    bool has(T* handle) {
        const std::lock_guard lock(mutex);
        return live.count(handle) > 0;
    }
    bool remove(T* handle) {
        const std::lock_guard lock(mutex);
        if (!live.erase(handle)) return false;
        delete handle;
        return true;
    }
    // Of a context.
    std::vector<T> all(CUcontext context) {
        const std::lock_guard lock(mutex);
        std::vector<T> values;
        for (const T* handle : live)
            if (handle->context == context) values.push_back(*handle);
        return values;
    }

  private:
    std::mutex mutex;
    std::set<T*> live;
};

auto& streams = *new Handles<CUstream_st>;
auto& events = *new Handles<CUevent_st>;
std::mutex recording;  // of any event: threads may share one

// Each thread's default stream is that of its context.
bool is_default(CUstream stream) {
    return stream == nullptr || stream == CU_STREAM_LEGACY || stream == CU_STREAM_PER_THREAD;
}

CUresult needs_event(CUevent event) {
    SUCCEED(cannot_work());
    return events.has(event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

std::shared_ptr<Record> last_record(CUevent event) {
    const std::lock_guard lock(recording);
    return event->last;
}

void put_wait(Queue& queue, const Place& place) {
    if (!place.is_reached()) queue.put([place] { place.reach(); });
}

Place end(const std::shared_ptr<Queue>& queue) { return {queue, queue->size()}; }

// The queue of a stream, for what is now put behind all that the stream has to wait for.
std::shared_ptr<Queue> ordered(CUstream stream) {
    const CUcontext context = current_context();
    if (is_default(stream)) {
        for (const CUstream_st& other : streams.all(context))
            if (other.blocks) put_wait(*context->default_queue, end(other.queue));
        return context->default_queue;
    }
    if (stream->blocks) put_wait(*stream->queue, end(context->default_queue));
    return stream->queue;
}

// Something that is polled makes progress, or nobody who polls would ever see any.
CUresult query(const Place& place) {
    if (place.is_reached()) return CUDA_SUCCESS;
    place.queue->step();
    return CUDA_ERROR_NOT_READY;
}

}  // namespace

namespace emulator {

bool is_stream(CUstream stream) {
    return is_default(stream) || (streams.has(stream) && stream->context == current_context());
}

CUresult needs_stream(CUstream stream) {
    SUCCEED(cannot_work());
    return is_stream(stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

Place put(CUstream stream, Queue::Piece piece) {
    const std::shared_ptr<Queue> queue = ordered(stream);
    return {queue, queue->put(std::move(piece))};
}

void synchronize(CUcontext context) {
    end(context->default_queue).reach();
    for (const CUstream_st& stream : streams.all(context)) end(stream.queue).reach();
}

}  // namespace emulator

// ---- streams -----------------------------------------------------------------------------------------------------------

CUresult cuStreamCreate(CUstream* stream, unsigned flags) {
    SUCCEED(cannot_work());
    *stream = streams.add({current_context(), !(flags & CU_STREAM_NON_BLOCKING)});
    return CUDA_SUCCESS;
}

CUresult cuStreamCreateWithPriority(CUstream* stream, unsigned flags, int) { return cuStreamCreate(stream, flags); }

CUresult cuStreamDestroy(CUstream stream) {
    SUCCEED(needs_context());
    if (!streams.has(stream)) return CUDA_ERROR_INVALID_HANDLE;
    end(stream->queue).reach();
    return streams.remove(stream) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuStreamSynchronize(CUstream stream) {
    SUCCEED(needs_stream(stream));
    end(ordered(stream)).reach();
    return cannot_work();
}

CUresult cuStreamQuery(CUstream stream) {
    SUCCEED(needs_stream(stream));
    return query(end(ordered(stream)));
}

// The event may be another device's.
CUresult cuStreamWaitEvent(CUstream stream, CUevent event, unsigned) {
    SUCCEED(needs_stream(stream));
    SUCCEED(needs_event(event));
    if (const auto record = last_record(event)) put_wait(*ordered(stream), record->place);
    return CUDA_SUCCESS;
}

CUresult cuStreamIsCapturing(CUstream stream, CUstreamCaptureStatus* status) {
    SUCCEED(needs_stream(stream));
    *status = CU_STREAM_CAPTURE_STATUS_NONE;
    return CUDA_SUCCESS;
}

CUresult cuLaunchHostFunc(CUstream stream, CUhostFn function, void* argument) {
    SUCCEED(needs_stream(stream));
    put(stream, [=] { function(argument); });
    return CUDA_SUCCESS;
}

// ---- events ------------------------------------------------------------------------------------------------------------

CUresult cuEventCreate(CUevent* event, unsigned flags) {
    SUCCEED(cannot_work());
    count(Count::EVENTS);
    *event = events.add({current_context(), !(flags & CU_EVENT_DISABLE_TIMING)});
    return CUDA_SUCCESS;
}

CUresult cuEventDestroy(CUevent event) {
    SUCCEED(needs_context());
    return events.remove(event) ? CUDA_SUCCESS : CUDA_ERROR_INVALID_HANDLE;
}

CUresult cuEventRecord(CUevent event, CUstream stream) {
    SUCCEED(needs_stream(stream));
    SUCCEED(needs_event(event));
    if (event->context != current_context()) return CUDA_ERROR_INVALID_HANDLE;
    const auto record = std::make_shared<Record>();
    record->place = put(stream, [record] { record->time = std::chrono::steady_clock::now(); });
    const std::lock_guard lock(recording);
    event->last = record;
    return CUDA_SUCCESS;
}

// An event that was never recorded has nothing to wait for, here and where it is queried.
CUresult cuEventSynchronize(CUevent event) {
    SUCCEED(needs_event(event));
    if (const auto record = last_record(event)) record->place.reach();
    return cannot_work();
}

CUresult cuEventQuery(CUevent event) {
    SUCCEED(needs_event(event));
    const auto record = last_record(event);
    return record ? query(record->place) : CUDA_SUCCESS;
}

CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
    SUCCEED(needs_event(start));
    SUCCEED(needs_event(end));
    const auto from = last_record(start), to = last_record(end);
    if (!start->timed || !end->timed || !from || !to) return CUDA_ERROR_INVALID_HANDLE;
    if (!from->place.is_reached() || !to->place.is_reached()) return CUDA_ERROR_NOT_READY;
    *milliseconds = std::chrono::duration<float, std::milli>(to->time - from->time).count();
    return CUDA_SUCCESS;
}

// Its name before CUDA 12.8, which is that in every driver.
#undef cuEventElapsedTime
extern "C" __attribute__((visibility("default"))) CUresult cuEventElapsedTime(float* milliseconds, CUevent start, CUevent end) {
    return cuEventElapsedTime_v2(milliseconds, start, end);
}
