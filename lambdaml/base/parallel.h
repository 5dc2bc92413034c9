// Threads inside one worker.
//
// Work is always cut into blocks whose number and bounds depend on the data only, never on the
// number of threads; threads take blocks, and whoever reduces them does so in block order. So a
// result does not depend on how many threads there are.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>

namespace lambdaml::base {

// A fixed set of threads. Threads: one caller at a time.
class ThreadPool {
 public:
  // The caller takes part in the work, so thread_count = 1 starts no thread at all.
  // Errors: kResourceExhausted when the system has no more threads.
  explicit ThreadPool(int thread_count);
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;
  ~ThreadPool();

  int thread_count() const;

  // Calls work(block) once for each block in [0, block_count), in any order and on any thread, and
  // returns when all are done. After a call has thrown, no further block is begun, and one of the
  // exceptions is rethrown when those under way have ended.
  void ForEachBlock(size_t block_count, const std::function<void(size_t)>& work);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

}  // namespace lambdaml::base
