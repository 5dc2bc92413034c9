// Follows a running job: rank 0 leaves each epoch's record in the run's store, and the trigger
// reads them in order. One read request for each epoch (more where that store must poll). Not the
// channel: that may forget, and has its own work.
#pragma once

#include <atomic>
#include <functional>
#include <string>
#include <thread>

#include "lambdaml/report/run_record.h"
#include "lambdaml/store/store.h"

namespace lambdaml::train {

class Follower {
 public:
  // Calls on_epoch from one thread of its own, for epochs 1, 2, … as they appear.
  Follower(store::Store& run_store, std::string job_id,
           std::function<void(const report::EpochRecord&)> on_epoch);
  Follower(const Follower&) = delete;
  Follower& operator=(const Follower&) = delete;
  ~Follower();

  // Throws what the store or on_epoch threw, if that has ended the following.
  void ThrowIfFailed() const;

  // Reads what is left of `epochs` records, which are all written, and stops. Errors: what the
  // store or on_epoch threw; kNotFound if a record is missing.
  void Finish(int64_t epochs);

 private:
  void Follow();

  store::Store& run_store_;
  const std::string job_id_;
  const std::function<void(const report::EpochRecord&)> on_epoch_;
  std::atomic<bool> stopping_{false};
  std::atomic<int64_t> epochs_wanted_{-1};  // -1: not known yet
  std::exception_ptr failure_;              // written by the thread before failed_
  std::atomic<bool> failed_{false};
  std::thread thread_;
};

}  // namespace lambdaml::train
