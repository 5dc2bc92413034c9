#include "lambdaml/train/cnn_data.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>

#include "lambdaml/base/error.h"
#include "lambdaml/base/random.h"

#include "tests/unit/train/cnn_testing.h"

namespace lambdaml::train {
namespace {

using testing::HasSubstr;

std::string Text(const data::ImageSet& images) { return std::string(images.records().text()); }

std::string RecordOf(const data::ImageSet& images, int64_t row) {
  return Text(images).substr(static_cast<size_t>(row) * data::kImageRecordBytes,
                             data::kImageRecordBytes);
}

base::Deadline Soon() { return base::Deadline::After(std::chrono::seconds(30)); }

std::string ErrorOf(const std::function<void()>& action) {
  try {
    action();
  } catch (const base::Error& error) {
    return error.message();
  }
  return "no error";
}

class CnnDataTest : public testing::Test {
 protected:
  CnnDataTest() : folder_(testing::TempDir(), "cnn-") {}

  std::string Path(const std::string& name) const { return folder_.path() + "/" + name; }
  void Write(const std::string& name, const data::ImageSet& images) const {
    base::WriteFileAtomic(Path(name), images.records().span());
  }
  std::string MakeFolder(const std::string& name) const {
    base::MakeDirectories(Path(name));
    return Path(name);
  }

  base::TemporaryDirectory folder_;
};

TEST_F(CnnDataTest, AFileIsDealtToShardsInAShuffledOrderThatWorkersLoad) {
  const data::ImageSet images = SmallImages(11);
  Write("images.bin", images);
  Write("t.bin", SmallImages(5));
  wire::Job job = CnnJob(3);
  job.data = Path("images.bin");
  job.test = Path("t.bin");
  job.seed = 8;
  const std::string shards = MakeFolder("shards");
  PlaceCnnData(OpenCnnData(job), shards, job);
  EXPECT_EQ(job.data, shards);
  EXPECT_EQ(job.test_file, "test.bin");

  const std::vector<int64_t> order = base::Permutation(11, 8);
  const auto store = store::MemoryStore();
  std::multiset<std::string> seen;
  std::string tests;
  for (int64_t rank = 0; rank < 3; ++rank) {
    store::MemoryStore copy;
    for (const char* name :
         {"training_0.bin", "training_1.bin", "training_2.bin", "test.bin", "manifest.json"}) {
      copy.Put(name, base::MapFile(shards + "/" + name).span(), Soon());
    }
    job.worker_index = rank;
    const CnnShards own = LoadCnnShards(copy, job, Soon());
    EXPECT_EQ(own.rows_total(), 11);
    EXPECT_EQ(own.rows_max(), 4);
    EXPECT_TRUE(own.has_test);
    for (int64_t row = 0; row < own.train.rows(); ++row) {
      const int64_t number = own.numbers[static_cast<size_t>(row)];
      const int64_t original = order[static_cast<size_t>(number)];
      EXPECT_EQ(RecordOf(own.train, row), RecordOf(images, original));
      seen.insert(RecordOf(own.train, row));
    }
    EXPECT_EQ(own.test.rows(), rank < 2 ? 2 : 1);
  }
  EXPECT_EQ(seen.size(), 11U);
}

TEST_F(CnnDataTest, AFolderOfShardsServesAsItIsWithItsTestImages) {
  const std::string folder = MakeFolder("shards");
  data::SplitImages(SmallImages(12), SmallImages(4), {.parts = 4},
                    [&](std::string_view name, base::ByteSpan bytes) {
                      base::WriteFileAtomic(folder + "/" + std::string(name), bytes);
                    });
  wire::Job job = CnnJob(3);
  job.data = folder;
  const CnnJobData data = OpenCnnData(job);
  EXPECT_FALSE(data.images.has_value());
  EXPECT_EQ(data.test_name, "test.bin");
  EXPECT_EQ(data.rows, 12);
  // Other test images, or more workers, need shards of their own.
  job.test = folder;
  EXPECT_EQ(OpenCnnData(job).test->rows(), 4);
  job.test.clear();
  job.n_workers = 5;
  EXPECT_EQ(OpenCnnData(job).images->rows(), 12);
}

TEST_F(CnnDataTest, CifarAsDistributedBringsItsTestImages) {
  const std::string folder = MakeFolder("cifar-10-batches-bin");
  Write("cifar-10-batches-bin/data_batch_1.bin", SmallImages(6));
  Write("cifar-10-batches-bin/data_batch_2.bin", SmallImages(3));
  Write("cifar-10-batches-bin/test_batch.bin", SmallImages(2));
  wire::Job job = CnnJob(2);
  job.data = folder;
  const CnnJobData data = OpenCnnData(job);
  EXPECT_EQ(data.images->rows(), 9);
  EXPECT_EQ(data.test->rows(), 2);
  EXPECT_EQ(data.test_name, "test.bin");
}

TEST_F(CnnDataTest, WhatCannotWorkIsRefusedBeforeAnythingStarts) {
  Write("images.bin", SmallImages(3));
  wire::Job job = CnnJob(4);
  job.data = Path("images.bin");
  EXPECT_THAT(ErrorOf([&] { OpenCnnData(job); }), HasSubstr("too few for 4 workers"));
  job.n_workers = 1;
  job.n_classes = 2;
  EXPECT_THAT(ErrorOf([&] { OpenCnnData(job); }), HasSubstr("label 2 is not below --n_classes 2"));
  job.data = MakeFolder("empty");
  EXPECT_THAT(ErrorOf([&] { OpenCnnData(job); }), HasSubstr("holds no images"));
  job.data = Path("missing.bin");
  EXPECT_THAT(ErrorOf([&] { OpenCnnData(job); }), HasSubstr("missing.bin"));
}

TEST_F(CnnDataTest, ShardsWithForeignLabelsAreRefusedByTheirManifest) {
  const std::string folder = MakeFolder("shards");
  data::SplitImages(SmallImages(12), std::nullopt, {.parts = 2},
                    [&](std::string_view name, base::ByteSpan bytes) {
                      base::WriteFileAtomic(folder + "/" + std::string(name), bytes);
                    });
  wire::Job job = CnnJob(2);
  job.data = folder;
  job.n_classes = 2;
  EXPECT_THAT(ErrorOf([&] { OpenCnnData(job); }), HasSubstr("not all below --n_classes 2"));
}

TEST(CnnShards, ARowsNumberDoesNotDependOnTheNumberOfWorkers) {
  const data::ImageSet images = SmallImages(13);
  store::MemoryStore store;
  PutShards(store, images, 4);
  for (const int64_t workers : {1, 2, 3, 4}) {
    std::map<int64_t, std::string> by_number;
    for (int64_t rank = 0; rank < workers; ++rank) {
      wire::Job job = CnnJob(workers);
      job.worker_index = rank;
      job.valid_ratio = 0.3;
      const CnnShards own = LoadCnnShards(store, job, Soon());
      EXPECT_TRUE(own.has_valid);
      for (int64_t row = 0; row < own.train.rows(); ++row) {
        by_number[own.numbers[static_cast<size_t>(row)]] = RecordOf(own.train, row);
      }
    }
    // Dealt without a shuffle, a row's number is its place in the original.
    for (const auto& [number, record] : by_number) EXPECT_EQ(record, RecordOf(images, number));
  }
}

TEST(CnnShards, TooFewShardsAndNothingHeldOutAreRefused) {
  store::MemoryStore store;
  PutShards(store, SmallImages(4), 2);
  wire::Job job = CnnJob(3);
  job.worker_index = 2;
  EXPECT_THAT(ErrorOf([&] { LoadCnnShards(store, job, Soon()); }), HasSubstr("only 2 shards"));
  job = CnnJob(2);
  job.valid_ratio = 0.3;
  EXPECT_THAT(ErrorOf([&] { LoadCnnShards(store, job, Soon()); }), HasSubstr("holds out no image"));
}

TEST(TrainingBatches, VisitEveryRowOnceAnEpochInAnOrderOfItsOwn) {
  store::MemoryStore store;
  PutShards(store, SmallImages(15), 3);
  wire::Job job = CnnJob(2);
  const data::ImageWriter writer(data::Normalisation{});
  std::vector<std::vector<int32_t>> first_labels;
  for (int64_t rank = 0; rank < 2; ++rank) {
    job.worker_index = rank;
    const CnnShards own = LoadCnnShards(store, job, Soon());
    TrainingBatches batches(own, writer, {.batch_size = 4, .seed = 1, .rank = rank});
    EXPECT_EQ(batches.steps(), 3) << "of the larger shard, 10 rows";
    std::set<std::vector<float>> orders;
    for (int64_t epoch = 0; epoch < 3; ++epoch) {
      std::multiset<std::vector<float>> seen;
      std::vector<float> order;
      ImageBatch batch;
      for (int64_t step = 0; step < 3; ++step) {
        batches.Fill(epoch, step, batch);
        EXPECT_EQ(batch.rows(), batches.RowsOfOwn(step));
        order.insert(order.end(), batch.images.begin(), batch.images.end());
        for (size_t i = 0; i < batch.labels.size(); ++i) {
          const auto at = batch.images.begin() + static_cast<ptrdiff_t>(i * data::kImagePixels);
          seen.emplace(at, at + data::kImagePixels);
        }
      }
      orders.insert(order);
      std::multiset<std::vector<float>> expected;
      for (int64_t row = 0; row < own.train.rows(); ++row) {
        std::vector<float> image(data::kImagePixels);
        writer.Write(own.train.pixels(row), image.data());
        expected.insert(std::move(image));
      }
      EXPECT_EQ(seen, expected);
    }
    EXPECT_EQ(orders.size(), 3U);
    EXPECT_EQ(batches.RowsOfAll(0), 8);
    EXPECT_EQ(batches.RowsOfAll(1), 5);
    EXPECT_EQ(batches.RowsOfAll(2), 2);
  }
}

TEST(TrainingBatches, AnyStepCanBeMadeAgain) {
  store::MemoryStore store;
  PutShards(store, SmallImages(12), 1);
  const CnnShards own = LoadCnnShards(store, CnnJob(1), Soon());
  const data::ImageWriter writer(data::Normalisation{});
  const TrainingBatches::Options options = {.batch_size = 5, .seed = 1, .augment = true};
  TrainingBatches through(own, writer, options);
  ImageBatch first;
  ImageBatch again;
  for (int64_t epoch = 0; epoch < 2; ++epoch) {
    for (int64_t step = 0; step < 3; ++step) {
      through.Fill(epoch, step, first);
      TrainingBatches(own, writer, options).Fill(epoch, step, again);
      EXPECT_EQ(first.images, again.images);
      EXPECT_EQ(first.labels, again.labels);
    }
  }
}

}  // namespace
}  // namespace lambdaml::train
