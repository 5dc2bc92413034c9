// Counts what a store asks of its service. Threads: any, at once.
#pragma once

#include <atomic>
#include <cstdint>

#include "lambdaml/base/clock.h"
#include "lambdaml/store/store.h"

namespace lambdaml::store {

class Meter {
 public:
  void CountGet(uint64_t requests = 1) { Add(get_requests_, requests); }
  void CountPut(uint64_t bytes) {
    Add(put_requests_, 1);
    Add(bytes_written_, bytes);
  }
  void CountDelete(uint64_t requests) { Add(delete_requests_, requests); }
  void CountList() { Add(list_requests_, 1); }
  void CountBytesRead(uint64_t bytes) { Add(bytes_read_, bytes); }
  void CountBytesWritten(uint64_t bytes) { Add(bytes_written_, bytes); }
  void CountRetry() { Add(retries_, 1); }
  void CountReadUnits(uint64_t units) { Add(read_units_, units); }
  void CountWriteUnits(uint64_t units) { Add(write_units_, units); }
  void CountWaiting(base::Duration duration) {
    waiting_ns_.fetch_add(duration.count(), std::memory_order_relaxed);
  }

  Counters Read() const {
    return {.get_requests = get_requests_.load(std::memory_order_relaxed),
            .put_requests = put_requests_.load(std::memory_order_relaxed),
            .delete_requests = delete_requests_.load(std::memory_order_relaxed),
            .list_requests = list_requests_.load(std::memory_order_relaxed),
            .bytes_read = bytes_read_.load(std::memory_order_relaxed),
            .bytes_written = bytes_written_.load(std::memory_order_relaxed),
            .retries = retries_.load(std::memory_order_relaxed),
            .read_units = read_units_.load(std::memory_order_relaxed),
            .write_units = write_units_.load(std::memory_order_relaxed),
            .waiting = base::Duration(waiting_ns_.load(std::memory_order_relaxed))};
  }

 private:
  static void Add(std::atomic<uint64_t>& counter, uint64_t amount) {
    counter.fetch_add(amount, std::memory_order_relaxed);
  }

  std::atomic<uint64_t> get_requests_{0};
  std::atomic<uint64_t> put_requests_{0};
  std::atomic<uint64_t> delete_requests_{0};
  std::atomic<uint64_t> list_requests_{0};
  std::atomic<uint64_t> bytes_read_{0};
  std::atomic<uint64_t> bytes_written_{0};
  std::atomic<uint64_t> retries_{0};
  std::atomic<uint64_t> read_units_{0};
  std::atomic<uint64_t> write_units_{0};
  std::atomic<base::Duration::rep> waiting_ns_{0};
};

}  // namespace lambdaml::store
