#include "lambdaml/train/job_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/data/save.h"
#include "lambdaml/data/shards.h"

#include "tests/unit/train/data_folder.h"

namespace lambdaml::train {
namespace {

using testing::HasSubstr;

wire::Job JobOn(const std::string& data, int64_t workers) {
  wire::Job job;
  job.data = data;
  job.n_workers = workers;
  return job;
}

// A libsvm file of 10 numbered rows.
std::string LibsvmIn(const TemporaryFolder& folder, const std::vector<double>& labels = {-1, 1}) {
  const std::string path = folder.path() + "/rows.libsvm";
  data::SaveFile(NumberedRows(10, labels, false), path, data::FileFormat::kLibsvm);
  return path;
}

template <typename Act>
void ExpectRefusal(const Act& act, const std::string& message) {
  try {
    act();
    ADD_FAILURE() << "no error: " << message;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument) << error.message();
    EXPECT_THAT(error.message(), HasSubstr(message));
  }
}

TEST(JobData, AFileIsSplitIntoAShardForEachWorker) {
  const TemporaryFolder folder;
  const TemporaryFolder target;
  wire::Job job = JobOn(LibsvmIn(folder), 3);
  JobData data = OpenJobData(job);
  ASSERT_TRUE(data.dataset.has_value());
  EXPECT_EQ(data.dataset->rows(), 10);
  EXPECT_GT(data.bytes_needed, 10U * 2 * 8);
  const data::Manifest manifest =
      PlaceShards(std::move(data), RowOrder::kShuffled, target.path(), job);
  EXPECT_EQ(job.data, target.path());
  ASSERT_EQ(manifest.shards.size(), 3U);
  EXPECT_EQ(manifest.rows, 10);
  const data::ShardFolder shards = data::ListShards(data::OpenLocalFolder(target.path()));
  ASSERT_EQ(shards.shard_count(), 3);
  EXPECT_EQ(data::LoadShard(shards, 0, {}).rows(), 4);
  EXPECT_EQ(data::LoadShard(shards, 2, {}).rows(), 3);
}

TEST(JobData, TheSeedShufflesTheRows) {
  const TemporaryFolder folder;
  const auto shuffled = [&](int64_t seed) {
    const TemporaryFolder target;
    wire::Job job = JobOn(LibsvmIn(folder), 2);
    job.seed = seed;
    PlaceShards(OpenJobData(job), RowOrder::kShuffled, target.path(), job);
    return NumbersOf(data::LoadDataset(target.path(), {}));
  };
  EXPECT_EQ(shuffled(1), shuffled(1));
  EXPECT_NE(shuffled(1), shuffled(2));
}

TEST(JobData, AFolderWithEnoughShardsServesAsItIs) {
  const TemporaryFolder folder;
  folder.Split(NumberedRows(10, {-1, 1}, false), 4);
  for (const int64_t workers : {1, 3, 4}) {
    wire::Job job = JobOn(folder.path(), workers);
    JobData data = OpenJobData(job);
    EXPECT_FALSE(data.dataset.has_value());
    EXPECT_EQ(PlaceShards(std::move(data), RowOrder::kShuffled, "/nowhere", job).shards.size(), 4U);
    EXPECT_EQ(job.data, folder.path());
  }
}

TEST(JobData, AFolderIsNamedWithItsWholePathSinceWorkersRunElsewhere) {
  const TemporaryFolder folder;
  folder.Split(NumberedRows(10, {-1, 1}, false), 4);
  wire::Job job = JobOn(std::filesystem::relative(folder.path()), 2);
  PlaceShards(OpenJobData(job), RowOrder::kShuffled, "/nowhere", job);
  EXPECT_TRUE(std::filesystem::path(job.data).is_absolute());
  EXPECT_TRUE(std::filesystem::equivalent(job.data, folder.path()));
}

// Whether the job's folder must be split anew.
bool IsSplit(const wire::Job& job) { return OpenJobData(job).dataset.has_value(); }

TEST(JobData, AFolderIsSplitAnewWhenItDoesNotSuitTheJob) {
  const TemporaryFolder folder;
  folder.Split(NumberedRows(10, {-1, 1}, false), 4);
  const wire::Job suits = JobOn(folder.path(), 4);
  EXPECT_FALSE(IsSplit(suits));
  wire::Job job = suits;
  job.n_workers = 5;
  EXPECT_TRUE(IsSplit(job));
  job = suits;
  job.n_features = 4;
  EXPECT_FALSE(IsSplit(job));
  job.n_features = 9;
  EXPECT_TRUE(IsSplit(job));
  EXPECT_EQ(OpenJobData(job).dataset->n_features(), 9);
  job = suits;
  job.model = wire::ModelKind::kSparseSvm;
  EXPECT_FALSE(IsSplit(job));
  job.model = wire::ModelKind::kLr;
  job.dataset_type = wire::DatasetType::kSparseLibsvm;
  EXPECT_FALSE(IsSplit(job));
  job.dataset_type = wire::DatasetType::kDenseLibsvm;
  EXPECT_TRUE(IsSplit(job));
  EXPECT_TRUE(OpenJobData(job).dataset->is_dense());
  base::RemoveTree(folder.path() + "/manifest.json");
  EXPECT_TRUE(IsSplit(suits));
}

TEST(JobData, TheModelsLayoutComesBeforeTheDatas) {
  const TemporaryFolder folder;
  wire::Job job = JobOn(LibsvmIn(folder), 2);
  job.dataset_type = wire::DatasetType::kDenseLibsvm;
  EXPECT_TRUE(OpenJobData(job).dataset->is_dense());
  job.model = wire::ModelKind::kSparseLr;
  EXPECT_FALSE(OpenJobData(job).dataset->is_dense());
}

TEST(JobData, MoreWorkersThanRowsAreRefused) {
  const TemporaryFolder folder;
  EXPECT_NO_THROW(OpenJobData(JobOn(LibsvmIn(folder), 10)));
  ExpectRefusal([&] { OpenJobData(JobOn(LibsvmIn(folder), 11)); }, "give --workers 10 or fewer");
}

TEST(JobData, AnotherNumberOfClassesThanTheJobsIsRefused) {
  const TemporaryFolder folder;
  const TemporaryFolder target;
  const auto place = [&](int64_t n_classes) {
    wire::Job job = JobOn(LibsvmIn(folder, {1, 2, 3}), 2);
    job.n_classes = n_classes;
    CheckLabels(job, PlaceShards(OpenJobData(job), RowOrder::kShuffled, target.path(), job),
                "rows.libsvm");
  };
  EXPECT_NO_THROW(place(3));
  ExpectRefusal([&] { place(2); }, "--n_classes 2: rows.libsvm has 3 different labels");
}

TEST(JobData, DataOfOneLabelIsRefused) {
  const TemporaryFolder folder;
  const TemporaryFolder target;
  wire::Job job = JobOn(LibsvmIn(folder, {1}), 2);
  const data::Manifest manifest =
      PlaceShards(OpenJobData(job), RowOrder::kShuffled, target.path(), job);
  EXPECT_THROW(CheckLabels(job, manifest, "rows.libsvm"), base::Error);
}

TEST(JobData, MissingDataIsNotFound) {
  try {
    OpenJobData(JobOn("/nowhere/rows", 2));
    ADD_FAILURE() << "no error";
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kNotFound);
    EXPECT_THAT(error.message(), HasSubstr("/nowhere/rows"));
  }
}

}  // namespace
}  // namespace lambdaml::train
