#include "lambdaml/train/cnn_algorithm.h"

#include <algorithm>
#include <cstdint>
#include <span>
#include <vector>

#include "lambdaml/nn/momentum_sgd.h"
#include "lambdaml/train/gradient_exchange.h"

namespace lambdaml::train {
namespace {

// Sets `target` to weight · target.
void Scale(float weight, std::span<float> target) {
  for (float& value : target) value *= weight;
}

// target becomes target - other, and target + other.
void Subtract(std::span<const float> other, std::span<float> target) {
  for (size_t i = 0; i < target.size(); ++i) target[i] -= other[i];
}
void Add(std::span<const float> other, std::span<float> target) {
  for (size_t i = 0; i < target.size(); ++i) target[i] += other[i];
}

// Parameters and statistics of a network as one vector.
class JointVector {
 public:
  explicit JointVector(nn::Network& network)
      : network_(network), values_(network.parameters().size() + network.statistics().size()) {}

  std::span<float> values() { return values_; }
  std::span<float> parameters() { return values().first(network_.parameters().size()); }
  std::span<float> statistics() { return values().subspan(network_.parameters().size()); }

  void Read() {
    std::ranges::copy(network_.parameters(), parameters().begin());
    std::ranges::copy(network_.statistics(), statistics().begin());
  }
  void Write() {
    std::ranges::copy(parameters(), network_.parameters().begin());
    std::ranges::copy(statistics(), network_.statistics().begin());
  }

 private:
  nn::Network& network_;
  std::vector<float> values_;
};

// What all four share: the local part of a step.
class Base : public CnnAlgorithm {
 public:
  explicit Base(const CnnProblem& problem)
      : problem_(problem), velocity_(problem.network.parameters().size(), 0.0F) {}

  base::Duration waited() const override { return waited_; }

 protected:
  nn::Network& network() { return problem_.network; }
  bool is_alone() const { return problem_.peers.communicator().worker_count() == 1; }

  nn::BatchStats Backpropagate(const ImageBatch& batch,
                               const nn::GradientCallback& on_gradients_ready = {}) {
    return network().Backpropagate(batch.images, batch.labels, on_gradients_ready);
  }

  void Update(float lr) {
    const nn::MomentumSgd update = {.learning_rate = lr,
                                    .momentum = static_cast<float>(*problem_.job.momentum),
                                    .weight_decay = static_cast<float>(*problem_.job.lambda),
                                    .thread_count = network().options().thread_count};
    update.Apply(network().gradients(), velocity_, network().parameters());
  }

  void VisitParameters(wire::State& state) { state.Visit("parameters", network().parameters()); }
  void VisitStatistics(wire::State& state) { state.Visit("statistics", network().statistics()); }
  void VisitVelocity(wire::State& state) { state.Visit("velocity", std::span(velocity_)); }
  void VisitBatchCount(wire::State& state) {
    int64_t count = network().batch_count();
    state.Visit("batch_count", count);
    network().set_batch_count(count);
  }

  // vector becomes its mean over ranks, weighted by their rows. One round; sums travel along.
  void Average(std::span<float> vector, wire::Precision precision) {
    if (!is_alone()) Scale(static_cast<float>(problem_.own_share), vector);
    {
      const base::ScopedTimer timer(&waited_);
      problem_.peers.communicator().AllReduceSum(problem_.sums.outgoing(), vector, precision);
    }
    problem_.sums.Arrived();
  }

  const CnnProblem problem_;
  std::vector<float> velocity_;
  base::Duration waited_ = {};
};

// Every step is one of SGD on the mean gradient over all ranks' batches. Each rank's running
// statistics follow its own batches until the epoch ends; then all have their mean.
class CnnGradAvg final : public Base {
 public:
  explicit CnnGradAvg(const CnnProblem& problem)
      : Base(problem),
        exchange_(problem.peers.communicator(),
                  BucketBegins(problem.network.layout(), problem.bucket_bytes / sizeof(float)),
                  problem.job.exchange) {}

  nn::BatchStats Step(const ImageBatch& batch, float share, float lr) override {
    nn::BatchStats stats;
    exchange_.Begin(network().gradients(), share, problem_.sums.outgoing());
    if (batch.rows() > 0) {
      stats = Backpropagate(batch, [this](size_t offset) { exchange_.OnReady(offset); });
    } else {
      std::ranges::fill(network().gradients(), 0.0F);
      exchange_.OnReady(0);
    }
    exchange_.Finish();
    problem_.sums.Arrived();
    Update(lr);
    return stats;
  }

  // Statistics are few and stay float32.
  void EndEpoch() override { Average(network().statistics(), wire::Precision::kFloat32); }

  bool is_whole_between_steps() const override { return true; }

  void VisitState(wire::RankState& state) override {
    VisitParameters(state.shared);
    VisitVelocity(state.shared);
    VisitStatistics(state.own);
    VisitBatchCount(state.own);
  }

  base::Duration waited() const override { return waited_ + exchange_.waited(); }

 private:
  GradientExchange exchange_;
};

// Local SGD for an epoch, then the mean of the models. The velocity stays each rank's own.
//
// In float16 the mean is that of the changes since the ranks last agreed: a model would lose the
// last bits of every parameter each time, a change loses them of what is new only.
class CnnModelAvg final : public Base {
 public:
  explicit CnnModelAvg(const CnnProblem& problem) : Base(problem), model_(problem.network) {}

  void Begin() override { Resume(); }
  void Resume() override {
    if (!sends_changes()) return;
    model_.Read();
    agreed_.assign(model_.values().begin(), model_.values().end());
  }

  nn::BatchStats Step(const ImageBatch& batch, float /*share*/, float lr) override {
    if (batch.rows() == 0) return {};
    const nn::BatchStats stats = Backpropagate(batch);
    Update(lr);
    return stats;
  }

  void EndEpoch() override {
    model_.Read();
    if (sends_changes()) Subtract(agreed_, model_.values());
    Average(model_.values(), problem_.job.exchange);
    if (sends_changes()) {
      Add(agreed_, model_.values());
      std::ranges::copy(model_.values(), agreed_.begin());
    }
    model_.Write();
  }

  // Ranks meet, and so can agree to save, only when an epoch ends.
  bool is_whole_between_steps() const override { return false; }

  void VisitState(wire::RankState& state) override {
    VisitParameters(state.shared);
    VisitStatistics(state.shared);
    VisitVelocity(state.own);
    VisitBatchCount(state.own);
  }

 private:
  bool sends_changes() const {
    return !is_alone() && problem_.job.exchange == wire::Precision::kFloat16;
  }

  JointVector model_;
  std::vector<float> agreed_;  // the model after the last round, if changes are sent
};

// The shared model is parameters and statistics; a worker adds its changes whenever it likes.
//
// A rank that is invoked again finds in the shared model how many of its changes are there, and
// passes over as many: so no change is lost and none is made twice. What those steps measured is
// not known any more, and their momentum is that of the last saved state.
class AsyncBase : public Base {
 public:
  explicit AsyncBase(const CnnProblem& problem)
      : Base(problem),
        seen_(problem.network),
        change_(problem.network),
        own_part_(1 / static_cast<float>(problem.job.n_workers)),
        shared_(problem.peers.MakeSharedModel(seen_.values().size())) {}

  void Begin() override {
    seen_.Read();
    Resume();
  }

  void Resume() override {
    Join();
    // Fewer than were saved: the model has been made anew, from what was saved.
    to_pass_over_ = std::max(shared_.own_merges(), merges_) - merges_;
    merges_ = shared_.own_merges();
  }

  void Settle() override { Join(); }

  void VisitState(wire::RankState& state) override {
    state.shared.Visit("model", seen_.values());
    state.own.Visit("merges", merges_);
    VisitVelocity(state.own);
    VisitBatchCount(state.own);
  }

 protected:
  // Whether the next change is in the shared model already. To be asked once for each.
  bool IsMerged() {
    if (to_pass_over_ == 0) return false;
    --to_pass_over_;
    return true;
  }

  // Adds what the network has learnt since the last merge, the parameters' part in proportion to
  // `weight`, and goes on from the result. Statistics follow each worker's batches with a rate of
  // their own: all workers' changes together make up one.
  void Merge(float weight) {
    change_.Read();
    Subtract(seen_.values(), change_.values());
    if (weight != 1) Scale(weight, change_.parameters());
    Scale(own_part_, change_.statistics());
    {
      const base::ScopedTimer timer(&waited_);
      shared_.Merge(change_.values(), seen_.values());
    }
    merges_ = shared_.own_merges();
    KeepVariancesPositive();
    seen_.Write();
  }

  float own_part() const { return own_part_; }

 private:
  void Join() {
    {
      const base::ScopedTimer timer(&waited_);
      shared_.Join(seen_.values());
    }
    KeepVariancesPositive();
    seen_.Write();
  }

  // Changes that started from different states may together take away more than there is.
  void KeepVariancesPositive() {
    const nn::StateLayout& layout = network().layout();
    for (const nn::TensorInfo& info : layout.statistics) {
      if (!info.name.ends_with("running_var")) continue;
      for (float& value : seen_.statistics().subspan(info.offset, info.size)) {
        value = std::max(value, 0.0F);
      }
    }
  }

  JointVector seen_;  // the shared model when last seen
  JointVector change_;
  const float own_part_;
  comm::SharedModel& shared_;
  uint64_t merges_ = 0;  // of this rank, in the shared model
  uint64_t to_pass_over_ = 0;
};

// Each worker's steps are full SGD steps on its own batches (Dean et al. 2012, "Large Scale
// Distributed Deep Networks", Downpour SGD with a push and a pull every step).
class CnnAsyncGradAvg final : public AsyncBase {
 public:
  using AsyncBase::AsyncBase;

  nn::BatchStats Step(const ImageBatch& batch, float /*share*/, float lr) override {
    if (batch.rows() == 0 || IsMerged()) return {};
    const nn::BatchStats stats = Backpropagate(batch);
    Update(lr);
    Merge(1);
    return stats;
  }

  void EndEpoch() override {}

  bool is_whole_between_steps() const override { return true; }
};

// Each worker's change is that of a local epoch, in the proportion of its part in the whole.
class CnnAsyncModelAvg final : public AsyncBase {
 public:
  using AsyncBase::AsyncBase;

  nn::BatchStats Step(const ImageBatch& batch, float /*share*/, float lr) override {
    if (!has_begun_) is_merged_ = IsMerged();
    has_begun_ = true;
    if (is_merged_ || batch.rows() == 0) return {};
    const nn::BatchStats stats = Backpropagate(batch);
    Update(lr);
    return stats;
  }

  void EndEpoch() override {
    if (!is_merged_) Merge(own_part());
    has_begun_ = false;
  }

  bool is_whole_between_steps() const override { return false; }

 private:
  bool has_begun_ = false;  // this epoch
  bool is_merged_ = false;  // its change, by an earlier invocation
};

}  // namespace

std::unique_ptr<CnnAlgorithm> MakeCnnAlgorithm(const CnnProblem& problem) {
  const bool averages_models = *problem.job.optim == wire::Optim::kModelAvg;
  if (problem.job.sync_mode == wire::SyncMode::kAsync) {
    if (averages_models) return std::make_unique<CnnAsyncModelAvg>(problem);
    return std::make_unique<CnnAsyncGradAvg>(problem);
  }
  if (averages_models) return std::make_unique<CnnModelAvg>(problem);
  return std::make_unique<CnnGradAvg>(problem);
}

}  // namespace lambdaml::train
