#include "lambdaml/base/parallel.h"

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <exception>
#include <fmt/format.h>
#include <mutex>
#include <system_error>
#include <thread>
#include <vector>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"

namespace lambdaml::base {

struct ThreadPool::State {
  explicit State(int count) : thread_count(count) {}
  State(const State&) = delete;
  State& operator=(const State&) = delete;
  ~State() {
    {
      const std::lock_guard lock(mutex);
      stopping = true;
    }
    work_ready.notify_all();
    for (std::thread& thread : threads) thread.join();
  }

  // Takes blocks until none are left. Called without the lock.
  void TakeBlocks() {
    for (;;) {
      const size_t block = next_block.fetch_add(1, std::memory_order_relaxed);
      if (block >= block_count) return;
      try {
        (*work)(block);
      } catch (...) {
        const std::lock_guard lock(mutex);
        if (!failure) failure = std::current_exception();
        next_block.store(block_count, std::memory_order_relaxed);
      }
    }
  }

  void ThreadMain() {
    uint64_t seen = 0;
    std::unique_lock lock(mutex);
    for (;;) {
      work_ready.wait(lock, [&] { return stopping || generation != seen; });
      if (stopping) return;
      seen = generation;
      lock.unlock();
      TakeBlocks();
      lock.lock();
      if (--busy_threads == 0) work_done.notify_one();
    }
  }

  const int thread_count;
  std::vector<std::thread> threads;
  std::atomic<size_t> next_block{0};

  // Written by the caller under the mutex before a generation starts, read by all during it.
  size_t block_count = 0;
  const std::function<void(size_t)>* work = nullptr;

  // Guarded by mutex.
  std::mutex mutex;
  std::condition_variable work_ready;
  std::condition_variable work_done;
  uint64_t generation = 0;
  int busy_threads = 0;
  bool stopping = false;
  std::exception_ptr failure;
};

ThreadPool::ThreadPool(int thread_count) : state_(std::make_unique<State>(thread_count)) {
  LAMBDAML_CHECK(thread_count >= 1);
  try {
    for (int i = 1; i < thread_count; ++i) {
      state_->threads.emplace_back([state = state_.get()] { state->ThreadMain(); });
    }
  } catch (const std::system_error& error) {
    throw Error(ErrorCode::kResourceExhausted,
                fmt::format("start thread {} of {}: {}", state_->threads.size() + 2, thread_count,
                            error.code().message()));
  }
}

ThreadPool::~ThreadPool() = default;

int ThreadPool::thread_count() const { return state_->thread_count; }

void ThreadPool::ForEachBlock(size_t block_count, const std::function<void(size_t)>& work) {
  if (state_->threads.empty() || block_count <= 1) {
    for (size_t block = 0; block < block_count; ++block) work(block);
    return;
  }
  {
    const std::lock_guard lock(state_->mutex);
    state_->block_count = block_count;
    state_->work = &work;
    state_->next_block.store(0, std::memory_order_relaxed);
    state_->busy_threads = state_->thread_count - 1;
    state_->failure = nullptr;
    ++state_->generation;
  }
  state_->work_ready.notify_all();
  state_->TakeBlocks();
  std::unique_lock lock(state_->mutex);
  state_->work_done.wait(lock, [&] { return state_->busy_threads == 0; });
  if (state_->failure) std::rethrow_exception(state_->failure);
}

}  // namespace lambdaml::base
