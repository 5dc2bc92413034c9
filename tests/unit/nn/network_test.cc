#include "lambdaml/nn/network.h"

#include <algorithm>
#include <cmath>
#include <functional>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <thread>

#include "lambdaml/base/error.h"
#include "lambdaml/nn/momentum_sgd.h"

#include "tests/unit/nn/layer_harness.h"

namespace lambdaml::nn {
namespace {

NetworkOptions Small(Architecture architecture = Architecture::kMobileNet, int thread_count = 1) {
  return {.architecture = architecture,
          .n_classes = 4,
          .batch_size_max = 6,
          .thread_count = thread_count};
}

struct Batch {
  Values images;
  std::vector<int32_t> labels;
};

// Labels 0, 1, … in turn, and images that differ by class.
Batch MakeBatch(int64_t rows, uint64_t seed = 1) {
  Batch batch = {RandomValues(rows * kImageValues, seed), {}};
  for (int64_t r = 0; r < rows; ++r) {
    const auto label = static_cast<int32_t>(r % 4);
    for (int64_t i = 0; i < kImageValues / 4; ++i) {
      batch.images[static_cast<size_t>(r * kImageValues + label * (kImageValues / 4) + i)] += 1;
    }
    batch.labels.push_back(label);
  }
  return batch;
}

Values Copy(std::span<const float> values) { return {values.begin(), values.end()}; }

// Parameters after some steps, of several batch sizes.
Values Train(Network& network, int step_count) {
  const MomentumSgd sgd = {.learning_rate = 0.01F, .momentum = 0.9F};
  Values velocity(network.parameters().size());
  for (int step = 0; step < step_count; ++step) {
    const Batch batch = MakeBatch(step % 2 == 0 ? 6 : 5, static_cast<uint64_t>(step));
    network.Backpropagate(batch.images, batch.labels);
    sgd.Apply(network.gradients(), velocity, network.parameters());
  }
  return Copy(network.parameters());
}

TEST(NetworkTest, RepeatsItsBits) {
  for (const Architecture architecture : {Architecture::kMobileNet, Architecture::kResNet18}) {
    Values first;
    for (int run = 0; run < 3; ++run) {
      Network network(Small(architecture, kTestThreads));
      network.Initialise(7);
      // Whatever was in memory before.
      if (run == 1) network.Evaluate(MakeBatch(6, 99).images, MakeBatch(6, 99).labels);
      Values parameters = Train(network, 4);
      if (run == 0) {
        first = std::move(parameters);
      } else {
        EXPECT_EQ(parameters, first) << ArchitectureName(architecture);
      }
    }
  }
}

TEST(NetworkTest, RepeatsItsBitsOnAnyThread) {
  Network network(Small(Architecture::kMobileNet, kTestThreads));
  network.Initialise(7);
  const Values here = Train(network, 2);
  network.Initialise(7);
  Values there;
  std::thread([&] { there = Train(network, 2); }).join();
  EXPECT_EQ(there, here);
}

TEST(NetworkTest, InitialisesAsPyTorch) {
  Network network(Small(Architecture::kResNet18));
  network.Initialise(3);
  for (const TensorInfo& tensor : network.layout().parameters) {
    const std::span<const float> values = network.parameters().subspan(tensor.offset, tensor.size);
    if (tensor.fan_in == 0) {
      const float want = tensor.name.ends_with(".weight") ? 1.0F : 0.0F;
      EXPECT_TRUE(std::ranges::all_of(values, [=](float v) { return v == want; })) << tensor.name;
      continue;
    }
    const double bound = 1 / std::sqrt(static_cast<double>(tensor.fan_in));
    const auto [least, most] = std::ranges::minmax(values);
    EXPECT_LE(static_cast<double>(most), bound) << tensor.name;
    EXPECT_GE(static_cast<double>(least), -bound) << tensor.name;
    if (tensor.size < 1000) continue;
    EXPECT_GT(static_cast<double>(most), 0.98 * bound) << tensor.name;
    const double mean =
        std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(tensor.size);
    EXPECT_NEAR(mean, 0, 4 * bound / std::sqrt(3.0 * static_cast<double>(tensor.size)));
  }
  const Values first = Copy(network.parameters());
  network.Initialise(4);
  EXPECT_NE(Copy(network.parameters()), first);
  network.Initialise(3);
  EXPECT_EQ(Copy(network.parameters()), first);
}

TEST(NetworkTest, InitialisesStatisticsAfresh) {
  Network network(Small());
  network.Initialise(3);
  const Values fresh = Copy(network.statistics());
  const Batch batch = MakeBatch(6);
  network.Backpropagate(batch.images, batch.labels);
  EXPECT_NE(Copy(network.statistics()), fresh);
  EXPECT_EQ(network.batch_count(), 1);
  network.Initialise(3);
  EXPECT_EQ(Copy(network.statistics()), fresh);
  EXPECT_EQ(network.batch_count(), 0);
}

TEST(NetworkTest, SaysWhichGradientsAreFinalWhileItComputes) {
  for (const Architecture architecture :
       {Architecture::kMobileNet, Architecture::kResNet18, Architecture::kResNet50}) {
    Network network(Small(architecture));
    network.Initialise(1);
    const Batch batch = MakeBatch(2);
    network.Backpropagate(batch.images, batch.labels);
    const Values want = Copy(network.gradients());
    std::ranges::fill(network.gradients(), 1e30F);
    std::vector<size_t> offsets;
    network.Backpropagate(batch.images, batch.labels, [&](size_t offset) {
      const size_t end = offsets.empty() ? want.size() : offsets.back();
      ASSERT_LT(offset, end);
      const std::span<const float> got = network.gradients().subspan(offset, end - offset);
      EXPECT_TRUE(
          std::equal(got.begin(), got.end(), want.begin() + static_cast<std::ptrdiff_t>(offset)));
      offsets.push_back(offset);
    });
    ASSERT_FALSE(offsets.empty());
    EXPECT_EQ(offsets.back(), 0);
    // Fine enough to be worth while: nearly one call a layer.
    EXPECT_GT(offsets.size(), network.layout().parameters.size() / 6);
    EXPECT_EQ(Copy(network.gradients()), want);
  }
}

TEST(NetworkTest, PassesOnWhatTheCallbackThrows) {
  Network network(Small());
  network.Initialise(1);
  const Batch batch = MakeBatch(6);
  EXPECT_THROW(network.Backpropagate(batch.images, batch.labels,
                                     [](size_t) { throw std::runtime_error("stop"); }),
               std::runtime_error);
  EXPECT_GT(network.Backpropagate(batch.images, batch.labels).loss_sum, 0);
}

TEST(NetworkTest, EvaluatesAnyNumberOfRowsAndChangesNothing) {
  Network network(Small());
  network.Initialise(1);
  Train(network, 3);
  const Values parameters = Copy(network.parameters());
  const Values statistics = Copy(network.statistics());
  const Batch batch = MakeBatch(14);  // 6 + 6 + 2
  Values probabilities(14 * 4);
  const BatchStats stats = network.Evaluate(batch.images, batch.labels, probabilities);
  EXPECT_EQ(stats.rows, 14);
  double loss_sum = 0;
  int64_t correct = 0;
  for (size_t r = 0; r < 14; ++r) {
    const std::span<const float> row = std::span(probabilities).subspan(4 * r, 4);
    EXPECT_NEAR(std::accumulate(row.begin(), row.end(), 0.0), 1, 1e-6);
    const auto label = static_cast<size_t>(batch.labels[r]);
    loss_sum -= std::log(static_cast<double>(row[label]));
    correct += std::ranges::max_element(row) - row.begin() == batch.labels[r] ? 1 : 0;
    // One row at a time gives the same, to rounding: no row sees another.
    Values alone(4);
    network.Predict(std::span(batch.images).subspan(r * kImageValues, kImageValues), alone);
    for (size_t k = 0; k < 4; ++k) {
      EXPECT_NEAR(static_cast<double>(alone[k]), static_cast<double>(row[k]), 1e-5);
    }
  }
  EXPECT_NEAR(stats.loss_sum, loss_sum, 1e-4);
  EXPECT_EQ(stats.correct, correct);
  EXPECT_EQ(network.Evaluate({}, {}).rows, 0);
  EXPECT_EQ(Copy(network.parameters()), parameters);
  EXPECT_EQ(Copy(network.statistics()), statistics);
  EXPECT_EQ(network.batch_count(), 3);
}

TEST(NetworkTest, LearnsABatchByHeart) {
  Network network(Small(Architecture::kResNet18));
  network.Initialise(1);
  const Batch batch = MakeBatch(6);
  const MomentumSgd sgd = {.learning_rate = 0.02F};
  Values velocity(network.parameters().size());
  BatchStats stats;
  for (int step = 0; step < 8; ++step) {
    stats = network.Backpropagate(batch.images, batch.labels);
    sgd.Apply(network.gradients(), velocity, network.parameters());
  }
  EXPECT_EQ(stats.correct, 6);
  EXPECT_LT(stats.loss_sum, 6 * 0.5);
}

TEST(NetworkTest, PlansMoreMemoryForMoreRows) {
  for (const Architecture architecture :
       {Architecture::kMobileNet, Architecture::kResNet18, Architecture::kResNet50}) {
    uint64_t last = 0;
    for (const int64_t rows : {1, 8, 32, 64, 128}) {
      NetworkOptions options = Small(architecture);
      options.batch_size_max = rows;
      const uint64_t bytes = MemoryBytes(options);
      EXPECT_GT(bytes, last);
      EXPECT_GT(bytes, 8 * DescribeState(architecture, 4).parameter_count);
      last = bytes;
    }
    EXPECT_LT(last, uint64_t{6} << 30);
  }
}

void ExpectInvalid(const std::function<void()>& call, const std::string& message) {
  try {
    call();
    ADD_FAILURE() << "no error that says " << message;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    EXPECT_THAT(error.message(), testing::HasSubstr(message));
  }
}

TEST(NetworkTest, RefusesImpossibleOptions) {
  const auto with = [](int64_t n_classes, int64_t rows, int threads) {
    return [=] {
      const NetworkOptions options = {
          .n_classes = n_classes, .batch_size_max = rows, .thread_count = threads};
      MemoryBytes(options);
      const Network network(options);
    };
  };
  ExpectInvalid(with(0, 6, 1), "classes, not 0");
  ExpectInvalid(with(10, 0, 1), "rows, not 0");
  ExpectInvalid(with(10, 1'000'000, 1), "rows, not 1000000");
  ExpectInvalid(with(10, 6, 0), "threads, not 0");
  ExpectInvalid(with(10, 6, 1000), "threads, not 1000");
}

TEST(NetworkTest, RefusesBatchesThatDoNotFit) {
  Network network(Small());
  network.Initialise(1);
  Batch batch = MakeBatch(7);
  ExpectInvalid([&] { network.Backpropagate(batch.images, batch.labels); }, "batch of 7 rows");
  ExpectInvalid([&] { network.Backpropagate({}, {}); }, "batch of 0 rows");
  ExpectInvalid([&] { network.Evaluate(std::span(batch.images).first(100), batch.labels); },
                "7 labels for images of 100 values");
  ExpectInvalid([&] { network.Predict(std::span(batch.images).first(100), {}); },
                "100 values are no whole number of images");
  Values probabilities(3);
  ExpectInvalid([&] { network.Predict(batch.images, probabilities); }, "3 probabilities");
  batch.labels[2] = 4;
  ExpectInvalid([&] { network.Evaluate(batch.images, batch.labels); }, "label 4");
  batch.labels[2] = -1;
  ExpectInvalid([&] { network.Evaluate(batch.images, batch.labels); }, "label -1");
}

}  // namespace
}  // namespace lambdaml::nn
