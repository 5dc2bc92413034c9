#include "lambdaml/train/shards.h"

#include <algorithm>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <numeric>
#include <set>

#include "lambdaml/base/error.h"
#include "lambdaml/store/open_store.h"

#include "tests/unit/train/data_folder.h"

namespace lambdaml::train {
namespace {

using testing::HasSubstr;

WorkerShards Load(const TemporaryFolder& folder, const wire::Job& job) {
  return LoadWorkerShards(*store::OpenStore(folder.path()), job,
                          base::Deadline::After(std::chrono::seconds(60)));
}

wire::Job WorkerOf(int64_t rank, int64_t workers) {
  wire::Job job;
  job.worker_index = rank;
  job.n_workers = workers;
  return job;
}

std::vector<int64_t> Sorted(std::vector<int64_t> numbers) {
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

std::vector<int64_t> NumbersTo(int64_t count) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 1);
  return numbers;
}

TEST(LoadWorkerShards, GivesEachWorkerTheShardsOfItsRank) {
  for (const bool dense : {true, false}) {
    const TemporaryFolder folder;
    folder.Split(NumberedRows(23, {-1, 1}, dense), 5);
    // Shard i has rows i + 1, i + 6, …; rank 0 of 2 has shards 0, 2 and 4.
    const WorkerShards first = Load(folder, WorkerOf(0, 2));
    EXPECT_EQ(NumbersOf(first.train),
              (std::vector<int64_t>{1, 6, 11, 16, 21, 3, 8, 13, 18, 23, 5, 10, 15, 20}));
    EXPECT_EQ(first.train.is_dense(), dense);
    EXPECT_EQ(first.valid.rows(), 0);
    const WorkerShards second = Load(folder, WorkerOf(1, 2));
    EXPECT_EQ(NumbersOf(second.train), (std::vector<int64_t>{2, 7, 12, 17, 22, 4, 9, 14, 19}));
    for (const WorkerShards* shards : {&first, &second}) {
      EXPECT_EQ(shards->train_rows_total, 23);
      EXPECT_EQ(shards->train_rows_max, 14);
      EXPECT_EQ(shards->shape, (model::LinearShape{4, 2, true}));
    }
  }
}

TEST(LoadWorkerShards, MapsLabelsToClassesByTheLabelsOfAllShards) {
  const TemporaryFolder folder;
  folder.Split(NumberedRows(12, {7, -2, 0.5}, false), 3);  // each shard has one label only
  wire::Job job = WorkerOf(1, 3);
  job.bias = false;
  const WorkerShards shards = Load(folder, job);
  EXPECT_EQ(shards.labels, (std::vector<double>{-2, 0.5, 7}));
  EXPECT_EQ(shards.train_classes, std::vector<int32_t>(4, 0));
  EXPECT_EQ(Load(folder, WorkerOf(0, 3)).train_classes, std::vector<int32_t>(4, 2));
  EXPECT_EQ(shards.shape, (model::LinearShape{4, 3, false}));
}

TEST(LoadWorkerShards, HoldsOutItsShareOfEachWorkersRowsByTheSeed) {
  const TemporaryFolder folder;
  folder.Split(NumberedRows(41, {10, 20, 30}, true), 4);
  std::vector<int64_t> all;
  std::set<std::vector<int64_t>> choices;  // which of its rows each worker holds out
  std::vector<WorkerShards> workers;
  for (int64_t rank = 0; rank < 4; ++rank) {
    wire::Job job = WorkerOf(rank, 4);
    job.valid_ratio = 0.3;
    job.seed = 5;
    workers.push_back(Load(folder, job));
    const WorkerShards& shards = workers.back();
    EXPECT_EQ(shards.valid.rows(), 3);  // 0.3 of 11 or 10, rounded down
    EXPECT_EQ(shards.train.rows(), rank == 0 ? 8 : 7);
    EXPECT_EQ(shards.train_rows_total, 41 - 4 * 3);
    EXPECT_EQ(shards.train_rows_max, 8);
    for (const data::Dataset* part : {&shards.train, &shards.valid}) {
      const std::vector<int64_t> numbers = NumbersOf(*part);
      all.insert(all.end(), numbers.begin(), numbers.end());
      const std::vector<int32_t>& classes =
          part == &shards.train ? shards.train_classes : shards.valid_classes;
      for (size_t r = 0; r < numbers.size(); ++r) EXPECT_EQ(classes[r], (numbers[r] - 1) % 3);
    }
    std::vector<int64_t> choice = NumbersOf(shards.valid);
    EXPECT_EQ(NumbersOf(Load(folder, job).valid), choice);
    for (int64_t& number : choice) number = (number - 1) / 4;
    choices.insert(choice);
    job.seed = 6;
    EXPECT_NE(NumbersOf(Load(folder, job).valid), NumbersOf(shards.valid));
  }
  EXPECT_EQ(Sorted(all), NumbersTo(41));
  EXPECT_EQ(choices.size(), 4U);
}

TEST(LoadWorkerShards, AlwaysLeavesARowToTrainOn) {
  const TemporaryFolder folder;
  folder.Split(NumberedRows(3, {-1, 1}, true), 2);
  wire::Job job = WorkerOf(0, 2);
  job.valid_ratio = 1;
  EXPECT_EQ(Load(folder, job).train.rows(), 1);
  EXPECT_EQ(Load(folder, job).valid.rows(), 1);
  EXPECT_EQ(Load(folder, job).train_rows_total, 2);
  job.worker_index = 1;
  EXPECT_EQ(Load(folder, job).train.rows(), 1);
  EXPECT_EQ(Load(folder, job).valid.rows(), 0);
}

void ExpectError(const TemporaryFolder& folder, const wire::Job& job, base::ErrorCode code,
                 const std::string& message) {
  try {
    Load(folder, job);
    ADD_FAILURE() << "no error: " << message;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), code) << error.message();
    EXPECT_THAT(error.message(), HasSubstr(message));
  }
}

TEST(LoadWorkerShards, NamesWhatIsMissingOrBroken) {
  const TemporaryFolder folder;
  const wire::Job job = WorkerOf(1, 2);
  ExpectError(folder, job, base::ErrorCode::kNotFound, folder.path() + "/manifest.json is missing");
  folder.Split(NumberedRows(9, {-1, 1}, true), 3);
  ExpectError(folder, WorkerOf(4, 5), base::ErrorCode::kInvalidArgument, "has only 3 shards");
  const std::string shard = folder.path() + "/1_3";
  std::string bytes(base::MapFile(shard).text());
  bytes[bytes.size() / 2] = static_cast<char>(bytes[bytes.size() / 2] ^ 1);
  base::WriteFileAtomic(shard, base::AsBytes(bytes));
  ExpectError(folder, job, base::ErrorCode::kCorrupt, "/1_3");
  base::RemoveTree(shard);
  ExpectError(folder, job, base::ErrorCode::kNotFound, "/1_3 is missing");
  EXPECT_EQ(Load(folder, WorkerOf(0, 2)).train.rows(), 6);  // what is not read does no harm
  base::WriteFileAtomic(folder.path() + "/manifest.json", base::AsBytes("{"));
  ExpectError(folder, job, base::ErrorCode::kInvalidData, "manifest.json:1:");
}

TEST(LoadWorkerShards, AManifestCannotLeadOutOfItsFolder) {
  const TemporaryFolder folder;
  folder.Split(NumberedRows(4, {-1, 1}, true), 2);
  std::string text(base::MapFile(folder.path() + "/manifest.json").text());
  text.replace(text.find("0_2"), 3, "../0_2");
  base::WriteFileAtomic(folder.path() + "/manifest.json", base::AsBytes(text));
  EXPECT_THROW(Load(folder, WorkerOf(0, 2)), base::Error);
}

TEST(LoadWorkerShards, AShareThatHoldsOutNoRowIsRefused) {
  const TemporaryFolder folder;
  folder.Split(NumberedRows(9, {-1, 1}, true), 3);
  wire::Job job = WorkerOf(0, 3);
  job.valid_ratio = 0.3;
  ExpectError(folder, job, base::ErrorCode::kInvalidArgument, "--valid_ratio 0.3 holds out no row");
  job.valid_ratio = 0.4;
  EXPECT_EQ(Load(folder, job).valid.rows(), 1);
}

TEST(LossOf, IsLogisticForLrAndHingeForSvm) {
  EXPECT_EQ(LossOf(wire::ModelKind::kLr), model::LinearLoss::kLogistic);
  EXPECT_EQ(LossOf(wire::ModelKind::kSparseLr), model::LinearLoss::kLogistic);
  EXPECT_EQ(LossOf(wire::ModelKind::kSvm), model::LinearLoss::kHinge);
  EXPECT_EQ(LossOf(wire::ModelKind::kSparseSvm), model::LinearLoss::kHinge);
}

TEST(RegularizerOf, IsTheJobs) {
  wire::Job job;
  EXPECT_EQ(RegularizerOf(job).kind, optim::RegularizerKind::kNone);
  EXPECT_EQ(RegularizerOf(job).lambda, 0);
  job.lambda = 0.25;
  job.regularizer = wire::Regularizer::kL1;
  EXPECT_EQ(RegularizerOf(job).kind, optim::RegularizerKind::kL1);
  EXPECT_EQ(RegularizerOf(job).lambda, 0.25);
  job.regularizer = wire::Regularizer::kL2;
  EXPECT_EQ(RegularizerOf(job).kind, optim::RegularizerKind::kL2);
  job.regularizer = wire::Regularizer::kNone;
  EXPECT_EQ(RegularizerOf(job).kind, optim::RegularizerKind::kNone);
}

}  // namespace
}  // namespace lambdaml::train
