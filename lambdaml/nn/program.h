// A network for one batch size: its layers, and the plan of the memory that a step needs.
//
// Internal to the module. Threads: one caller at a time; WithThreads (onednn.h) around every call.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <vector>

#include "lambdaml/nn/architecture.h"
#include "lambdaml/nn/blueprint.h"
#include "lambdaml/nn/layer.h"
#include "lambdaml/nn/memory_plan.h"

namespace lambdaml::nn {

class Program {
 public:
  // Plans; generates no code yet. layout: of the blueprint.
  Program(const Blueprint& blueprint, const StateLayout& layout, int64_t rows, int thread_count);

  int64_t rows() const { return rows_; }
  size_t memory_bytes() const { return plan_.size_bytes(); }
  const MemoryPlan& plan() const { return plan_; }

  // Generates the code. To be called once, before the others.
  void Prepare();

  // Returns rows x n_classes logits, in the memory of the pass.
  std::span<float> Forward(const Pass& pass) const;

  // After Forward of a training pass, and with the logits replaced by the gradients of the loss by
  // them. Calls on_gradients_ready as network.h says; it may be empty.
  void Backward(const Pass& pass, const std::function<void(size_t)>& on_gradients_ready) const;

 private:
  void PlanForward(const Blueprint& blueprint, const StateLayout& layout, int thread_count);
  void PlanBackward(const Blueprint& blueprint);

  int64_t rows_;
  MemoryPlan plan_;
  std::vector<std::unique_ptr<Layer>> layers_;
  std::vector<MemoryPlan::Buffer> values_;  // activations
  // For each layer, the parameters that are final once its backward pass has run.
  std::vector<size_t> final_offsets_;
  int64_t n_classes_;
};

}  // namespace lambdaml::nn
