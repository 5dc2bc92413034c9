#include "lambdaml/train/gradient_exchange.h"

#include <algorithm>
#include <utility>

namespace lambdaml::train {

std::vector<size_t> BucketBegins(const nn::StateLayout& layout, size_t bucket_size_min) {
  std::vector<size_t> begins;
  size_t end = layout.parameter_count;
  for (auto tensor = layout.parameters.rbegin(); tensor != layout.parameters.rend(); ++tensor) {
    if (tensor->offset > 0 && end - tensor->offset < bucket_size_min) continue;
    begins.push_back(tensor->offset);
    end = tensor->offset;
  }
  return begins;
}

GradientExchange::GradientExchange(comm::Communicator& communicator,
                                   std::vector<size_t> bucket_begins, wire::Precision precision)
    : communicator_(communicator),
      begins_(std::move(bucket_begins)),
      precision_(precision),
      done_(begins_.size()) {
  if (communicator_.worker_count() > 1) thread_ = std::thread([this] { RunRounds(); });
}

GradientExchange::~GradientExchange() {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    is_over_ = true;
  }
  changed_.notify_all();
  thread_.join();
}

void GradientExchange::Begin(std::span<float> gradient, float weight, std::span<double> scalars) {
  gradient_ = gradient;
  weight_ = weight;
  scalars_ = scalars;
  const std::lock_guard lock(mutex_);
  ready_offset_ = gradient.size();
  done_ = 0;
}

void GradientExchange::OnReady(size_t offset) {
  if (!thread_.joinable()) return;
  {
    const std::lock_guard lock(mutex_);
    ready_offset_ = offset;
  }
  changed_.notify_all();
}

void GradientExchange::Finish() {
  if (!thread_.joinable()) return;  // alone: nothing to add, and the weight is 1
  const base::TimePoint start = base::SystemClock().Now();
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [&] { return done_ == begins_.size() || failure_ != nullptr; });
  waited_ += base::SystemClock().Now() - start;
  if (failure_) std::rethrow_exception(failure_);
}

size_t GradientExchange::BucketEnd(size_t bucket) const {
  return bucket == 0 ? gradient_.size() : begins_[bucket - 1];
}

void GradientExchange::RunRounds() {
  std::unique_lock lock(mutex_);
  for (;;) {
    changed_.wait(lock, [&] {
      return is_over_ || (done_ < begins_.size() && ready_offset_ <= begins_[done_]);
    });
    if (is_over_) return;
    const size_t bucket = done_;
    lock.unlock();
    try {
      ExchangeBucket(bucket);
    } catch (...) {
      lock.lock();
      failure_ = std::current_exception();
      changed_.notify_all();
      return;
    }
    lock.lock();
    ++done_;
    changed_.notify_all();
  }
}

void GradientExchange::ExchangeBucket(size_t bucket) {
  const size_t begin = begins_[bucket];
  const std::span<float> part = gradient_.subspan(begin, BucketEnd(bucket) - begin);
  for (float& value : part) value *= weight_;
  communicator_.AllReduceSum(bucket == 0 ? scalars_ : std::span<double>(), part, precision_);
}

}  // namespace lambdaml::train
