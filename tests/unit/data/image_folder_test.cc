#include "lambdaml/data/image_folder.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <string>

#include "lambdaml/base/file.h"
#include "lambdaml/base/random.h"

#include "data_testing.h"
#include "images_testing.h"

namespace lambdaml::data {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

class ImageFolderTest : public testing::Test {
 protected:
  ImageFolderTest() : folder_(testing::TempDir(), "images-") {}

  void Write(const std::string& name, const std::string& text) const {
    base::WriteFileAtomic(folder_.path() + "/" + name, base::AsBytes(text));
  }
  void Put(const std::string& name, int label) const { Write(name, RecordText(label, label)); }

  std::optional<ImageFolder> Find() const { return FindImages(OpenLocalFolder(folder_.path())); }

  Manifest Split(int64_t rows, const SplitOptions& options,
                 const std::optional<ImageSet>& test = std::nullopt) const {
    std::vector<std::string> records;
    for (int64_t r = 0; r < rows; ++r) {
      records.push_back(RecordText(static_cast<int>(r % 10), static_cast<int>(r)));
    }
    return SplitImages(ImagesOf(records), test, options,
                       [&](std::string_view name, base::ByteSpan bytes) {
                         Write(std::string(name), std::string(base::AsText(bytes)));
                       });
  }

  base::TemporaryDirectory folder_;
};

TEST_F(ImageFolderTest, CifarAsDistributedIsItsBatchesInOrderOfTheirNumbers) {
  for (const int number : {1, 2, 10})
    Put("data_batch_" + std::to_string(number) + ".bin", number % 10);
  Put("test_batch.bin", 7);
  Write("batches.meta.txt", "airplane\n");
  Put("other.bin", 9);
  const ImageFolder images = Find().value();
  EXPECT_THAT(images.names,
              ElementsAre("data_batch_1.bin", "data_batch_2.bin", "data_batch_10.bin"));
  EXPECT_EQ(images.test, "test_batch.bin");
  const ImageSet training = LoadTrainingImages(images, 10);
  ASSERT_EQ(training.rows(), 3);
  EXPECT_EQ(training.label(2), 0);
  EXPECT_EQ(LoadTestImages(images, 10).value().label(0), 7);
}

TEST_F(ImageFolderTest, ShardsCountFromZeroWithoutGaps) {
  Put("training_0.bin", 1);
  Put("training_1.bin", 2);
  Put("test.bin", 3);
  EXPECT_THAT(Find().value().names, ElementsAre("training_0.bin", "training_1.bin"));
  EXPECT_EQ(Find().value().test, "test.bin");
  Put("training_3.bin", 2);
  EXPECT_THAT(ErrorOf([&] { Find(); }), HasSubstr("shard training_2.bin is missing"));
  Put("training_2.bin.gz", 2);
  Put("training_2.bin", 2);
  EXPECT_THAT(ErrorOf([&] { Find(); }), HasSubstr("would both be part 2"));
}

TEST_F(ImageFolderTest, OtherFilesOfImagesAreTakenByName) {
  Put("b.bin", 1);
  Put("a.bin", 2);
  Put(".bin", 2);
  EXPECT_THAT(Find().value().names, ElementsAre("a.bin", "b.bin"));
  EXPECT_FALSE(LoadTestImages(Find().value(), 10).has_value());
}

TEST_F(ImageFolderTest, FoldersOfOtherDataHoldNoImages) {
  EXPECT_FALSE(Find().has_value()) << "empty";
  Write("0_2", "1 1:1\n");
  EXPECT_FALSE(Find().has_value());
  Put("test.bin", 1);
  EXPECT_FALSE(Find().has_value()) << "test images alone";
  EXPECT_THAT(ErrorOf([&] { FindImages(OpenLocalFolder(folder_.path() + "/no")); }),
              HasSubstr("NotFound"));
}

TEST_F(ImageFolderTest, SplitDealsTheRowsAndDescribesThem) {
  const Manifest manifest =
      Split(23, {.parts = 3, .shuffle_seed = 5}, ImagesOf({RecordText(4, 4)}));
  EXPECT_EQ(manifest.rows, 23);
  EXPECT_EQ(manifest.n_features, 3072);
  ASSERT_EQ(manifest.shards.size(), 3U);
  EXPECT_EQ(manifest.shards[1].name, "training_1.bin");
  const ImageFolder images = Find().value();
  ASSERT_TRUE(images.manifest.has_value());
  EXPECT_EQ(images.manifest->ToText(), manifest.ToText());
  const std::vector<int64_t> order = base::Permutation(23, 5);
  for (int64_t shard = 0; shard < 3; ++shard) {
    const ImageSet part = LoadImageShard(images, shard, 10);
    for (int64_t r = 0; r < part.rows(); ++r) {
      EXPECT_EQ(part.pixels(r)[0], order[static_cast<size_t>(r * 3 + shard)]);
    }
  }
  EXPECT_EQ(LoadTestImages(images, 10).value().label(0), 4);
}

TEST_F(ImageFolderTest, AShardThatIsNotTheManifestsIsRefused) {
  Split(6, {.parts = 2});
  Put("training_1.bin", 1);
  EXPECT_THAT(ErrorOf([&] { LoadTrainingImages(Find().value(), 10); }),
              HasSubstr("Corrupt: " + folder_.path() + "/training_1.bin: 3073 bytes instead of"));
  Write("training_1.bin", RecordText(1, 1) + RecordText(1, 1) + RecordText(1, 1));
  EXPECT_THAT(ErrorOf([&] { LoadTrainingImages(Find().value(), 10); }), HasSubstr("checksum"));
  std::filesystem::remove(folder_.path() + "/training_0.bin");
  EXPECT_THAT(ErrorOf([&] { Find(); }), HasSubstr("shard training_0.bin is missing"));
}

TEST_F(ImageFolderTest, MorePartsThanRowsAreRefused) {
  EXPECT_THAT(ErrorOf([&] { Split(2, {.parts = 3}); }), HasSubstr("cannot split 2 rows into 3"));
}

TEST_F(ImageFolderTest, DescribedAsRowsAreDescribed) {
  const ImageSet images = ImagesOf({RecordText(1, 0), RecordText(3, 100)});
  const Description description = Describe(images);
  EXPECT_EQ(ToJson(description).Dump(), ToJson(Describe(ToDataset(images))).Dump());
}

}  // namespace
}  // namespace lambdaml::data
