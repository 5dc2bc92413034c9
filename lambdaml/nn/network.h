// A convolutional network that trains on one machine: forward, backward, evaluation.
//
// The interface speaks PyTorch: one flat span of parameters and one of gradients in the state
// dict's order and layouts (architecture.h). Inside, tensors stay in the blocked layouts of oneDNN
// from layer to layer; weights are reordered once a step. All buffers of a step are planned when
// the network is made, and lie in one block of memory (MemoryBytes).
//
// Loss: softmax cross-entropy, -log softmax(logits)[label].
// Determinism: the same calls with the same thread_count give the same bits.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "lambdaml/nn/architecture.h"

namespace lambdaml::nn {

struct NetworkOptions {
  Architecture architecture = Architecture::kMobileNet;
  int64_t n_classes = 10;
  int64_t batch_size_max = 64;  // rows of one step or less
  int thread_count = 1;
};

// Sums over the rows, so that they add up over steps and workers.
struct BatchStats {
  double loss_sum = 0;
  int64_t correct = 0;  // rows whose largest logit is the label's; the first of equal ones counts
  int64_t rows = 0;

  BatchStats& operator+=(const BatchStats& other) {
    loss_sum += other.loss_sum;
    correct += other.correct;
    rows += other.rows;
    return *this;
  }
};

// Called during Backpropagate, on the calling thread: gradients()[offset, end) are final. Offsets
// fall; the last call has offset 0. Late layers come first, so their gradients can travel while
// early layers still compute. The callback must not call the network.
using GradientCallback = std::function<void(size_t offset)>;

// The most memory, in bytes, that a network of these options allocates: parameters, gradients,
// statistics, and what one step needs. Plans, but allocates nothing of it.
// Errors: as Network's constructor.
uint64_t MemoryBytes(const NetworkOptions& options);

// Threads: one caller at a time, any thread.
class Network {
 public:
  // Parameters and gradients are 0 and statistics fresh until Initialise or a copy sets them.
  // Errors: kInvalidArgument when n_classes, batch_size_max or thread_count is out of range;
  // kResourceExhausted when the memory cannot be had.
  explicit Network(const NetworkOptions& options);
  Network(const Network&) = delete;
  Network& operator=(const Network&) = delete;
  ~Network();

  const NetworkOptions& options() const;
  const StateLayout& layout() const;

  // Flat, as layout().parameters. Owned by the network; may be written between calls.
  std::span<float> parameters();
  std::span<float> gradients();

  // Running means and variances, flat, as layout().statistics. After a training step
  //   running = 0.9 running + 0.1 of the batch      (variance with n - 1, as PyTorch)
  std::span<float> statistics();

  // Training steps that the statistics have seen (num_batches_tracked, the same for all layers).
  int64_t batch_count() const;
  void set_batch_count(int64_t count);

  // PyTorch's default distributions: weights, and the linear bias, uniform in ±1/√fan_in; batch
  // norms 1 and 0; running means 0, variances 1. Depends on architecture, n_classes and seed only.
  void Initialise(uint64_t seed);

  // One forward and backward pass in training mode (batch statistics, which also update the
  // running ones). Sets gradients() to those of the mean loss over the rows:
  //   gradients = 1/rows Σ_r ∂loss_r/∂parameters
  // images: rows x 3 x 32 x 32, normalised by the caller. labels: rows, 1 <= rows <=
  // batch_size_max.
  // Errors: kInvalidArgument for other sizes, or a label outside [0, n_classes).
  BatchStats Backpropagate(std::span<const float> images, std::span<const int32_t> labels,
                           const GradientCallback& on_gradients_ready = {});

  // Loss and accuracy with the running statistics; changes nothing. Any number of rows, taken
  // batch_size_max at a time. probabilities: empty, or rows x n_classes that receive the softmax.
  // Errors: as Backpropagate.
  BatchStats Evaluate(std::span<const float> images, std::span<const int32_t> labels,
                      std::span<float> probabilities = {});

  // The softmax of rows without labels: probabilities receives rows x n_classes.
  void Predict(std::span<const float> images, std::span<float> probabilities);

 private:
  class Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace lambdaml::nn
