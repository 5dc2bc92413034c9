#include "lambdaml/train/follower.h"

#include <fmt/format.h>
#include <optional>
#include <utility>

#include "lambdaml/base/error.h"
#include "lambdaml/base/json.h"
#include "lambdaml/train/worker.h"

namespace lambdaml::train {
namespace {

// How long the end of a run may go unnoticed.
constexpr base::Duration kSlice = std::chrono::milliseconds(50);
// How long reading a record that is there may take.
constexpr base::Duration kReadTimeout = std::chrono::seconds(30);

}  // namespace

Follower::Follower(store::Store& run_store, std::string job_id,
                   std::function<void(const report::EpochRecord&)> on_epoch)
    : run_store_(run_store),
      job_id_(std::move(job_id)),
      on_epoch_(std::move(on_epoch)),
      thread_([this] {
        try {
          Follow();
        } catch (...) {
          failure_ = std::current_exception();
          failed_ = true;
        }
      }) {}

Follower::~Follower() {
  stopping_ = true;
  if (thread_.joinable()) thread_.join();
}

void Follower::Follow() {
  int64_t epoch = 1;
  while (!stopping_) {
    const int64_t wanted = epochs_wanted_;
    if (wanted >= 0 && epoch > wanted) return;
    const std::string key = ProgressKey(job_id_, epoch);
    // Rank 0 leaves its records before it answers: once the answer is known, all are there.
    const bool is_written = wanted >= 0;
    const std::optional<base::Blob> record =
        is_written ? run_store_.Get(key, base::Deadline::After(kReadTimeout))
                   : run_store_.Wait(key, base::Deadline::After(kSlice));
    if (!record && is_written) {
      throw base::Error(
          base::ErrorCode::kNotFound,
          fmt::format("the record of epoch {} is missing: {}/{}", epoch, run_store_.url(), key));
    }
    if (!record) continue;
    on_epoch_(report::EpochFromJson(base::Json::Parse(record->text(), key)));
    ++epoch;
  }
}

void Follower::ThrowIfFailed() const {
  if (failed_) std::rethrow_exception(failure_);
}

void Follower::Finish(int64_t epochs) {
  epochs_wanted_ = epochs;
  thread_.join();
  ThrowIfFailed();
}

}  // namespace lambdaml::train
