// Ranks of a job as threads, each with a client of its own.
#pragma once

#include <exception>
#include <functional>
#include <memory>
#include <string>
#include <thread>
#include <vector>

#include "lambdaml/ps/client.h"

namespace lambdaml::test {

inline base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(60)); }

// Runs work(client, rank) for each rank at once; rethrows the first error.
inline void RunRanks(const ps::ServerAddress& address, const ps::JobSpec& spec,
                     const std::function<void(ps::Client& client, int rank)>& work) {
  std::vector<std::exception_ptr> errors(static_cast<size_t>(spec.worker_count));
  std::vector<std::thread> threads;
  for (int rank = 0; rank < spec.worker_count; ++rank) {
    threads.emplace_back([&, rank] {
      try {
        ps::Client client(address, spec, rank);
        work(client, rank);
      } catch (...) {
        errors[static_cast<size_t>(rank)] = std::current_exception();
      }
    });
  }
  for (std::thread& thread : threads) thread.join();
  for (const std::exception_ptr& error : errors) {
    if (error) std::rethrow_exception(error);
  }
}

}  // namespace lambdaml::test
