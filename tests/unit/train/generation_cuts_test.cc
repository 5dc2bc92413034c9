// A job cut anywhere goes on as if nothing had happened: every workload, every algorithm.
#include <chrono>
#include <deque>
#include <fmt/format.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>
#include <utility>
#include <vector>

#include "lambdaml/base/file.h"
#include "lambdaml/base/random.h"
#include "lambdaml/comm/store_channel.h"
#include "lambdaml/data/builder.h"
#include "lambdaml/model/kmeans_model_file.h"
#include "lambdaml/store/open_store.h"
#include "lambdaml/train/job_defaults.h"
#include "lambdaml/train/workload.h"
#include "lambdaml/wire/job_options.h"

#include "tests/unit/train/data_folder.h"
#include "tests/unit/train/generations.h"
#include "tests/unit/train/kmeans_testing.h"

namespace lambdaml::train {
namespace {

using testing::HasSubstr;

constexpr base::Duration kSoon = std::chrono::minutes(1);

using Option = std::pair<const char*, const char*>;

std::string Describe(const std::vector<Option>& options) {
  std::string text;
  for (const auto& [name, value] : options) text += fmt::format("{} {} ", name, value);
  return text;
}

// All of a record but the times, to the bit.
std::string TextOf(report::EpochRecord record) {
  record.seconds = record.sync_share = 0;
  return report::ToJson(record).Dump();
}

// Rows of two classes that overlap, so that training is never done.
data::Dataset TwoClasses(int64_t rows) {
  base::Random random(11);
  data::DenseBuilder builder(5);
  for (int64_t r = 0; r < rows; ++r) {
    const bool is_second = random.Below(2) == 1;
    float* const row = builder.AppendRow(is_second ? 1 : -1);
    for (int j = 0; j < 5; ++j) {
      row[j] = static_cast<float>(random.Normal() + (is_second ? 0.4 : -0.4));
    }
  }
  return std::move(builder).Finish();
}

class GenerationCutsTest : public testing::Test {
 protected:
  // A resolved job on the data, in shards for `workers`.
  wire::Job JobOn(const data::Dataset& data, int64_t workers, std::vector<Option> options,
                  const std::vector<Option>& more = {}) {
    wire::Job job;
    job.lambda = 0.01;
    options.insert(options.end(), more.begin(), more.end());
    for (const auto& [name, text] : options) wire::SetOptionFromText(job, name, text, name);
    folders_.emplace_back();
    folders_.back().Split(data, workers);
    job.data = folders_.back().path();
    job.n_workers = workers;
    job.job_id = "job";
    job.round_timeout_s = 60;
    if (job.model == wire::ModelKind::kKmeans) job.lambda.reset();
    ResolveJob(job);
    return job;
  }

  // Returns what rank 0 says at the end, by which a case shows that it is about what it claims.
  static std::string ExpectCutsChangeNothingIn(const wire::Job& job) {
    const auto work = [&](const Share& share) {
      const base::Deadline end = base::Deadline::After(kSoon);
      wire::Job own = job;
      own.worker_index = share.rank;
      own.job_id = fmt::format("generation{}", share.number);
      base::ThreadPool pool(1);
      const auto worker = WorkloadOf(job.model).at_worker(own, pool);
      worker->Load(*store::OpenStore(job.data), end);
      comm::StoreChannel channel(share.channel);
      Peers peers(own, channel, end);
      const auto result = worker->Train(
          peers, share.generation,
          [&](const report::EpochRecord& record) { share.transcript.push_back(TextOf(record)); });
      if (!result) return false;
      share.transcript.push_back(result->model);
      share.transcript.push_back(ToJson(result->outcome).Dump());
      return true;
    };
    return ExpectCutsChangeNothing(static_cast<size_t>(job.n_workers), work).back();
  }

  std::deque<TemporaryFolder> folders_;
};

TEST_F(GenerationCutsTest, ChangeNothingInLinearTraining) {
  using Options = std::vector<Option>;
  const std::vector<Options> cases = {
      {{"optim", "grad_avg"}},
      {{"optim", "grad_avg"}, {"momentum", "0.9"}, {"lr", "0.1"}, {"lr_schedule", "cosine"}},
      {{"optim", "grad_avg"}, {"model", "svm"}, {"valid_ratio", "0.2"}},
      {{"optim", "grad_avg"}, {"model", "sparse_lr"}, {"regularizer", "l1"}},
      {{"optim", "model_avg"}},
      {{"optim", "model_avg"}, {"momentum", "0.9"}, {"lr", "0.1"}},
      {{"optim", "model_avg"}, {"model", "sparse_svm"}, {"lr_schedule", "step"}},
      {{"optim", "admm"}},
      {{"optim", "admm"}, {"regularizer", "l1"}, {"rho", "0.1"}},
      {{"optim", "admm"}, {"model", "svm"}},
      {{"optim", "admm"}, {"model", "sparse_svm"}, {"sync_mode", "reduce_scatter"}},
      {{"optim", "admm"}, {"local_solver", "sgd"}},
      {{"optim", "admm"}, {"local_solver", "sgd"}, {"model", "svm"}, {"lr", "0.05"}},
  };
  const data::Dataset data = TwoClasses(41);
  for (const Options& options : cases) {
    for (const int64_t workers : {1, 3}) {
      SCOPED_TRACE(Describe(options) + fmt::format("× {} workers", workers));
      ExpectCutsChangeNothingIn(
          JobOn(data, workers, {{"n_epochs", "3"}, {"batch_size", "6"}, {"n_admm_epochs", "5"}},
                options));
    }
  }
}

TEST_F(GenerationCutsTest, ChangeNothingInEarlyStopping) {
  const data::Dataset data = TwoClasses(41);
  for (const char* optim : {"grad_avg", "model_avg"}) {
    for (const int64_t workers : {1, 3}) {
      SCOPED_TRACE(fmt::format("{} × {} workers", optim, workers));
      const std::string outcome = ExpectCutsChangeNothingIn(JobOn(data, workers,
                                                                  {{"optim", optim},
                                                                   {"n_epochs", "30"},
                                                                   {"batch_size", "0"},
                                                                   {"lr", "6"},
                                                                   {"valid_ratio", "0.4"},
                                                                   {"patience", "2"}}));
      EXPECT_THAT(outcome, HasSubstr("early_stopping"));
    }
  }
}

TEST_F(GenerationCutsTest, ChangeNothingInAdmmsOwnStoppingRule) {
  for (const int64_t workers : {1, 3}) {
    const std::string outcome = ExpectCutsChangeNothingIn(
        JobOn(TwoClasses(41), workers, {{"optim", "admm"}, {"tolerance", "0.01"}}));
    EXPECT_THAT(outcome, HasSubstr("convergence"));
  }
}

TEST_F(GenerationCutsTest, ChangeNothingInKmeans) {
  const data::Dataset data = DatasetOf(RandomRows(120, 4, 5, 3));
  for (const int64_t workers : {1, 3}) {
    SCOPED_TRACE(workers);
    const auto expect = [&](const std::vector<Option>& options) {
      return ExpectCutsChangeNothingIn(
          JobOn(data, workers, {{"model", "kmeans"}, {"n_clusters", "6"}}, options));
    };
    EXPECT_THAT(expect({}), HasSubstr("convergence"));
    EXPECT_THAT(expect({{"threshold", "0.2"}, {"init", "first"}}), HasSubstr("threshold"));
    expect({{"n_epochs", "4"}, {"init", "k-means++"}, {"sync_mode", "reduce_scatter"}});
    expect({{"batch_size", "7"}, {"n_epochs", "3"}});
    EXPECT_THAT(expect({{"batch_size", "7"}, {"n_epochs", "30"}, {"threshold", "0.05"}}),
                HasSubstr("threshold"));
  }
}

// Centroids that no row is near to are given rows, in a round of its own, in the middle of a run.
TEST_F(GenerationCutsTest, ChangeNothingWhereClustersAreEmpty) {
  const Matrix rows = RandomRows(120, 4, 5, 3);
  Matrix initial(rows.begin(), rows.begin() + 4);
  initial.push_back({1000, 0, 0, 0});
  initial.push_back({0, 1000, 0, 0});
  const TemporaryFolder folder;
  const std::string file = folder.path() + "/initial.npy";
  base::WriteFileAtomic(file, base::AsBytes(model::FormatCentroidsNpy(CentroidsOf(initial))));
  for (const int64_t workers : {1, 3}) {
    for (const char* batch_size : {"0", "7"}) {
      SCOPED_TRACE(fmt::format("batches of {}, {} workers", batch_size, workers));
      const std::string outcome = ExpectCutsChangeNothingIn(JobOn(DatasetOf(rows), workers,
                                                                  {{"model", "kmeans"},
                                                                   {"n_clusters", "6"},
                                                                   {"n_epochs", "5"},
                                                                   {"batch_size", batch_size},
                                                                   {"init_model", file.c_str()}}));
      if (std::string_view(batch_size) == "0") {
        EXPECT_THAT(outcome, HasSubstr("\"reseeded\":2"));
      }
    }
  }
}

}  // namespace
}  // namespace lambdaml::train
