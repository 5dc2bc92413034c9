// The gradients of a network on their way while it still computes.
//
// Backpropagation finishes the last layers' gradients first. They are exchanged in buckets, from
// the back, each in a round of its own as soon as it is whole, by a thread that does nothing else:
// what a round costs is hidden behind the layers that still compute. Sums are element by element,
// so the buckets' sizes change no bit of the result.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <exception>
#include <mutex>
#include <span>
#include <thread>
#include <vector>

#include "lambdaml/base/clock.h"
#include "lambdaml/comm/communicator.h"
#include "lambdaml/nn/architecture.h"
#include "lambdaml/wire/float16.h"

namespace lambdaml::train {

// Where buckets begin, descending, the last at 0: bounds of tensors, so that each bucket but the
// last has at least `bucket_size_min` elements.
std::vector<size_t> BucketBegins(const nn::StateLayout& layout, size_t bucket_size_min);

// Threads: one calls; the rounds are those of the object's own thread, so nobody else may use the
// communicator between Begin and Finish.
class GradientExchange {
 public:
  // The communicator must live as long. All ranks have the same begins and precision.
  GradientExchange(comm::Communicator& communicator, std::vector<size_t> bucket_begins,
                   wire::Precision precision = wire::Precision::kFloat32);
  GradientExchange(const GradientExchange&) = delete;
  GradientExchange& operator=(const GradientExchange&) = delete;
  // Waits for the round under way, if Finish has not been called.
  ~GradientExchange();

  // A step begins. Its gradient becomes Σ_ranks weight · gradient; the scalars travel with the
  // first bucket and become their sums. Both must stay until Finish.
  void Begin(std::span<float> gradient, float weight, std::span<double> scalars);

  // gradient[offset, end) is final. Offsets fall.
  void OnReady(size_t offset);

  // Waits until the whole gradient, ready by then, is exchanged. Errors: those of the communicator.
  void Finish();

  // Time spent in Finish so far: what was not hidden.
  base::Duration waited() const { return waited_; }

 private:
  void RunRounds();
  void ExchangeBucket(size_t bucket);
  size_t BucketEnd(size_t bucket) const;

  comm::Communicator& communicator_;
  const std::vector<size_t> begins_;
  const wire::Precision precision_;
  base::Duration waited_ = {};

  // Of the step under way; written by the caller while no round runs.
  std::span<float> gradient_;
  float weight_ = 1;
  std::span<double> scalars_;

  std::mutex mutex_;  // guards what follows
  std::condition_variable changed_;
  size_t ready_offset_ = 0;  // gradient_[ready_offset_, end) is final
  size_t done_ = 0;          // buckets of the step that are exchanged
  bool is_over_ = false;     // no further step
  std::exception_ptr failure_;

  std::thread thread_;  // last: it uses all of the above
};

}  // namespace lambdaml::train
