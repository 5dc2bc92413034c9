#include "lambdaml/nn/network.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fmt/format.h>
#include <sys/mman.h>
#include <utility>
#include <vector>

#include "lambdaml/base/check.h"
#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"
#include "lambdaml/base/units.h"
#include "lambdaml/nn/blueprint.h"
#include "lambdaml/nn/loss.h"
#include "lambdaml/nn/onednn.h"
#include "lambdaml/nn/program.h"

namespace lambdaml::nn {
namespace {

constexpr int64_t kBatchSizeMax = 65'536;
constexpr int kThreadCountMax = 256;

// Programs that are kept: training batches, their last one, and the same for evaluation.
constexpr size_t kProgramCountMax = 4;

[[noreturn]] void ThrowInvalid(const std::string& what) {
  throw base::Error(base::ErrorCode::kInvalidArgument, what);
}

const NetworkOptions& Checked(const NetworkOptions& options) {
  if (options.batch_size_max < 1 || options.batch_size_max > kBatchSizeMax) {
    ThrowInvalid(
        fmt::format("a batch has 1 to {} rows, not {}", kBatchSizeMax, options.batch_size_max));
  }
  if (options.thread_count < 1 || options.thread_count > kThreadCountMax) {
    ThrowInvalid(fmt::format("a network computes with 1 to {} threads, not {}", kThreadCountMax,
                             options.thread_count));
  }
  return options;
}

// Memory on large pages where the system has them: a step walks through all of it.
class Arena {
 public:
  Arena() = default;
  Arena(const Arena&) = delete;
  Arena& operator=(const Arena&) = delete;
  ~Arena() { std::free(data_); }

  std::byte* data() const { return data_; }

  // At least this many bytes; what was in it is lost when it grows.
  void Reserve(size_t size_bytes) {
    if (size_bytes <= size_bytes_) return;
    constexpr size_t kPageBytes = size_t{2} << 20;
    const size_t rounded = (size_bytes + kPageBytes - 1) / kPageBytes * kPageBytes;
    std::free(std::exchange(data_, nullptr));
    size_bytes_ = 0;
    data_ = static_cast<std::byte*>(std::aligned_alloc(kPageBytes, rounded));
    if (data_ == nullptr) {
      throw base::Error(base::ErrorCode::kResourceExhausted,
                        fmt::format("cannot allocate {} for a training step: give the function "
                                    "more memory, or train with smaller batches",
                                    base::FormatBytes(rounded)));
    }
    ::madvise(data_, rounded, MADV_HUGEPAGE);  // only advice: failure costs time, nothing else
    size_bytes_ = rounded;
  }

 private:
  std::byte* data_ = nullptr;
  size_t size_bytes_ = 0;
};

}  // namespace

class Network::Impl {
 public:
  explicit Impl(const NetworkOptions& options)
      : options_(Checked(options)),
        layout_(DescribeState(options.architecture, options.n_classes)),
        blueprint_(MakeBlueprint(options.architecture, options.n_classes)),
        parameters_(layout_.parameter_count),
        gradients_(layout_.parameter_count),
        statistics_(layout_.statistic_count) {
    ResetStatistics();
  }

  void ResetStatistics() {
    batch_count_ = 0;
    for (const TensorInfo& tensor : layout_.statistics) {
      const float value = tensor.name.ends_with(".running_var") ? 1.0F : 0.0F;
      std::fill_n(statistics_.begin() + static_cast<std::ptrdiff_t>(tensor.offset), tensor.size,
                  value);
    }
  }

  void Initialise(uint64_t seed) {
    base::Random random(seed);
    for (const TensorInfo& tensor : layout_.parameters) {
      const std::span<float> values = std::span(parameters_).subspan(tensor.offset, tensor.size);
      if (tensor.fan_in == 0) {
        std::ranges::fill(values, tensor.name.ends_with(".weight") ? 1.0F : 0.0F);
        continue;
      }
      const double bound = 1 / std::sqrt(static_cast<double>(tensor.fan_in));
      for (float& value : values) {
        value = static_cast<float>(bound * (2 * random.Uniform() - 1));
      }
    }
    ResetStatistics();
  }

  BatchStats Backpropagate(std::span<const float> images, std::span<const int32_t> labels,
                           const GradientCallback& on_gradients_ready) {
    CheckLabels(images, labels);
    const auto rows = static_cast<int64_t>(labels.size());
    if (rows < 1 || rows > options_.batch_size_max) {
      ThrowInvalid(fmt::format("a training batch of {} rows, where 1 to {} were announced", rows,
                               options_.batch_size_max));
    }
    BatchStats stats;
    WithThreads(options_.thread_count, [&] {
      const Program& program = ProgramFor(rows);
      const Pass pass = MakePass(program, images, true);
      const std::span<float> logits = program.Forward(pass);
      stats = Softmax(options_.n_classes, logits, labels);
      CrossEntropyGradient(options_.n_classes, labels, logits);
      program.Backward(pass, on_gradients_ready);
    });
    ++batch_count_;
    return stats;
  }

  // labels, probabilities: may be empty.
  BatchStats Infer(std::span<const float> images, std::span<const int32_t> labels,
                   std::span<float> probabilities) {
    if (images.size() % kImageValues != 0) {
      ThrowInvalid(fmt::format("{} values are no whole number of images", images.size()));
    }
    const auto rows = static_cast<int64_t>(images.size() / kImageValues);
    const auto width = static_cast<size_t>(options_.n_classes);
    if (!probabilities.empty() && probabilities.size() != static_cast<size_t>(rows) * width) {
      ThrowInvalid(fmt::format("{} probabilities for {} rows of {} classes", probabilities.size(),
                               rows, width));
    }
    BatchStats total;
    for (int64_t row = 0; row < rows; row += options_.batch_size_max) {
      const auto first = static_cast<size_t>(row);
      const auto count = static_cast<size_t>(std::min(options_.batch_size_max, rows - row));
      WithThreads(options_.thread_count, [&] {
        const Program& program = ProgramFor(static_cast<int64_t>(count));
        const std::span<float> logits = program.Forward(
            MakePass(program, images.subspan(first * kImageValues, count * kImageValues), false));
        total += Softmax(options_.n_classes, logits,
                         labels.empty() ? labels : labels.subspan(first, count));
        if (!probabilities.empty()) {
          std::ranges::copy(logits, probabilities.subspan(first * width).begin());
        }
      });
    }
    return total;
  }

  void CheckLabels(std::span<const float> images, std::span<const int32_t> labels) const {
    if (images.size() != labels.size() * kImageValues) {
      ThrowInvalid(fmt::format("{} labels for images of {} values, where each has {}",
                               labels.size(), images.size(), kImageValues));
    }
    for (const int32_t label : labels) {
      if (label < 0 || label >= options_.n_classes) {
        ThrowInvalid(
            fmt::format("label {} of a network with {} classes", label, options_.n_classes));
      }
    }
  }

 private:
  friend class Network;

  // The program for this many rows, made when it is first needed; the least recently used one
  // makes room.
  const Program& ProgramFor(int64_t rows) {
    const auto found = std::ranges::find(programs_, rows, [](const auto& p) { return p->rows(); });
    if (found != programs_.end()) {
      std::rotate(programs_.begin(), found, found + 1);
    } else {
      auto program = std::make_unique<Program>(blueprint_, layout_, rows, options_.thread_count);
      arena_.Reserve(program->memory_bytes());
      program->Prepare();
      programs_.insert(programs_.begin(), std::move(program));
      if (programs_.size() > kProgramCountMax) programs_.pop_back();
    }
    return *programs_.front();
  }

  Pass MakePass(const Program& program, std::span<const float> images, bool is_training) {
    return {.memory = arena_.data(),
            .plan = &program.plan(),
            .images = images.data(),
            .parameters = parameters_.data(),
            .gradients = gradients_.data(),
            .statistics = statistics_.data(),
            .is_training = is_training};
  }

  NetworkOptions options_;
  StateLayout layout_;
  Blueprint blueprint_;
  std::vector<float> parameters_;
  std::vector<float> gradients_;
  std::vector<float> statistics_;
  int64_t batch_count_ = 0;
  std::vector<std::unique_ptr<Program>> programs_;  // the most recently used first
  Arena arena_;
};

uint64_t MemoryBytes(const NetworkOptions& options) {
  Checked(options);
  const StateLayout layout = DescribeState(options.architecture, options.n_classes);
  const Blueprint blueprint = MakeBlueprint(options.architecture, options.n_classes);
  uint64_t step_bytes = 0;
  WithThreads(options.thread_count, [&] {
    step_bytes =
        Program(blueprint, layout, options.batch_size_max, options.thread_count).memory_bytes();
  });
  return step_bytes + sizeof(float) * (2 * layout.parameter_count + layout.statistic_count);
}

Network::Network(const NetworkOptions& options) : impl_(std::make_unique<Impl>(options)) {}
Network::~Network() = default;

const NetworkOptions& Network::options() const { return impl_->options_; }
const StateLayout& Network::layout() const { return impl_->layout_; }
std::span<float> Network::parameters() { return impl_->parameters_; }
std::span<float> Network::gradients() { return impl_->gradients_; }
std::span<float> Network::statistics() { return impl_->statistics_; }
int64_t Network::batch_count() const { return impl_->batch_count_; }
void Network::set_batch_count(int64_t count) { impl_->batch_count_ = count; }
void Network::Initialise(uint64_t seed) { impl_->Initialise(seed); }

BatchStats Network::Backpropagate(std::span<const float> images, std::span<const int32_t> labels,
                                  const GradientCallback& on_gradients_ready) {
  return impl_->Backpropagate(images, labels, on_gradients_ready);
}

BatchStats Network::Evaluate(std::span<const float> images, std::span<const int32_t> labels,
                             std::span<float> probabilities) {
  impl_->CheckLabels(images, labels);
  return impl_->Infer(images, labels, probabilities);
}

void Network::Predict(std::span<const float> images, std::span<float> probabilities) {
  impl_->Infer(images, {}, probabilities);
}

}  // namespace lambdaml::nn
