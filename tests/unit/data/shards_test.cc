#include "lambdaml/data/shards.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <map>
#include <set>
#include <string>

#include "lambdaml/base/file.h"
#include "lambdaml/data/save.h"
#include "lambdaml/data/split.h"

#include "data_testing.h"

namespace lambdaml::data {
namespace {

using testing::HasSubstr;

// Rows whose label is their number.
Dataset Numbered(int64_t rows, bool dense) {
  DenseBuilder builder(3);
  for (int64_t r = 0; r < rows; ++r) {
    float* const row = builder.AppendRow(static_cast<double>(r));
    row[r % 3] = static_cast<float>(r) + 0.25F;
  }
  const Dataset dataset = std::move(builder).Finish();
  return dense ? dataset : ToSparse(dataset);
}

class Shards : public testing::Test {
 protected:
  std::string Path(std::string_view name) const { return folder_.path() + "/" + std::string(name); }
  FileSink Sink() {
    return [this](std::string_view name, base::ByteSpan bytes) {
      base::WriteFileAtomic(Path(name), bytes);
    };
  }
  void Write(std::string_view name, std::string_view text) {
    base::WriteFileAtomic(Path(name), base::AsBytes(text));
  }
  std::string Refusal(const LoadOptions& options = {}) {
    return ErrorOf([&] { LoadDataset(folder_.path(), options); });
  }

  base::TemporaryDirectory folder_{"/tmp", "shards_test"};
};

TEST_F(Shards, RowKOfTheOrderGoesToShardKModN) {
  for (const FileFormat format : {FileFormat::kNpz, FileFormat::kLibsvm}) {
    Split(Numbered(11, true), {.parts = 4, .format = format}, Sink());
    const ShardFolder folder = ListShards(OpenLocalFolder(folder_.path()));
    ASSERT_EQ(folder.shard_count(), 4);
    for (int64_t i = 0; i < 4; ++i) {
      const Dataset shard = LoadShard(folder, i, {});
      ASSERT_EQ(shard.rows(), i < 3 ? 3 : 2);
      EXPECT_TRUE(shard.is_dense());
      for (int64_t r = 0; r < shard.rows(); ++r) {
        EXPECT_EQ(shard.labels[static_cast<size_t>(r)], static_cast<double>(i + 4 * r));
        EXPECT_EQ(shard.dense().row(r)[(i + 4 * r) % 3], static_cast<float>(i + 4 * r) + 0.25F);
      }
    }
  }
}

TEST_F(Shards, ShufflingKeepsEveryRowAndRepeatsWithItsSeed) {
  const Dataset dataset = Numbered(100, false);
  std::map<uint64_t, std::string> manifests;
  for (const uint64_t seed : {1U, 2U}) {
    const Manifest first = Split(dataset, {.parts = 3, .shuffle_seed = seed}, Sink());
    const Dataset whole = LoadDataset(folder_.path(), {});
    const std::set<double> labels(whole.labels.begin(), whole.labels.end());
    EXPECT_EQ(labels.size(), 100U);
    EXPECT_FALSE(std::is_sorted(whole.labels.begin(), whole.labels.end()));
    const Manifest second = Split(dataset, {.parts = 3, .shuffle_seed = seed}, Sink());
    EXPECT_EQ(first.ToText(), second.ToText());
    manifests[seed] = first.ToText();
  }
  EXPECT_NE(manifests[1], manifests[2]);
}

TEST_F(Shards, PartsThatCannotBeAreRefused) {
  const Dataset dataset = Numbered(3, true);
  EXPECT_EQ(ErrorOf([&] { Split(dataset, {.parts = 4}, Sink()); }),
            "InvalidArgument: cannot split 3 rows into 4 parts: each needs at least one");
  EXPECT_EQ(ErrorOf([&] { Split(dataset, {.parts = 0}, Sink()); }),
            "InvalidArgument: cannot split into 0 parts, only into 1 to 100,000");
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

TEST_F(Shards, WholeFoldersLoadRankZeroFirst) {
  Split(Numbered(5, false), {.parts = 2}, Sink());
  const Dataset whole = LoadDataset(folder_.path(), {});
  EXPECT_FALSE(whole.is_dense());
  EXPECT_THAT(whole.labels, testing::ElementsAre(0, 2, 4, 1, 3));
}

TEST_F(Shards, LambdamlFilesNeedNoManifest) {
  Write("0_2", "1 1:1 2:1\n");
  Write("1_2", "0 1:1 3:1\n");
  Write("notes.txt", "not a shard");
  const Dataset whole = LoadDataset(folder_.path(), {});
  EXPECT_EQ(whole.n_features(), 3);
  EXPECT_THAT(whole.labels, testing::ElementsAre(1, 0));
  EXPECT_EQ(
      LoadShard(ListShards(OpenLocalFolder(folder_.path())), 1, {.n_features = 8}).n_features(), 8);
}

TEST_F(Shards, MissingAndForeignShardsAreNamed) {
  EXPECT_EQ(Refusal(), "InvalidData: " + folder_.path() +
                           ": holds neither manifest.json nor shards named like 0_4");
  Write("0_3", "1 1:1\n");
  Write("2_3", "1 1:1\n");
  EXPECT_EQ(Refusal(), "NotFound: " + folder_.path() + ": shard 1_3 is missing");
  Write("1_2", "1 1:1\n");
  EXPECT_EQ(Refusal(), "InvalidData: " + folder_.path() +
                           ": holds shards of 2 and of 3: name one data set's folder");
  EXPECT_THAT(ErrorOf([&] { LoadDataset(Path("nowhere"), {}); }), HasSubstr("NotFound: open"));
  EXPECT_THAT(ErrorOf([&] {
                LoadShard({.folder = OpenLocalFolder("p"), .names = {"0_1"}, .manifest = {}}, 1,
                          {});
              }),
              "InvalidArgument: p: there is no shard 1 among 1");
}

TEST_F(Shards, AManifestMakesAllShardsAgreeOnWidthAndLayout) {
  // Alone, shard 0 would be dense and 2 wide, shard 1 sparse and 9 wide.
  Split(FromText("1 1:1 2:1\n0 9:1\n", {.layout = Layout::kSparse}),
        {.parts = 2, .format = FileFormat::kLibsvm}, Sink());
  const ShardFolder folder = ListShards(OpenLocalFolder(folder_.path()));
  for (int64_t i = 0; i < 2; ++i) {
    const Dataset shard = LoadShard(folder, i, {});
    EXPECT_FALSE(shard.is_dense());
    EXPECT_EQ(shard.n_features(), 9);
  }
}

TEST_F(Shards, ShardsThatAreNotTheManifestsAreRefused) {
  Split(Numbered(6, true), {.parts = 2, .format = FileFormat::kLibsvm}, Sink());
  const std::string path = Path("1_2");
  std::string text(base::MapFile(path).text());
  text[4] = text[4] == '7' ? '8' : '7';
  Write("1_2", text);
  EXPECT_THAT(Refusal(), HasSubstr("Corrupt: " + path + ": checksum "));
  Write("1_2", text + "\n");
  EXPECT_THAT(Refusal(), HasSubstr("not the shard that manifest.json describes"));
  std::filesystem::remove(path);
  EXPECT_EQ(Refusal(), "NotFound: " + folder_.path() + ": shard 1_2 is missing");
}

TEST_F(Shards, FilesOfEveryFormLoadThroughOneCall) {
  const Dataset dataset = Numbered(50, false);
  for (const FileFormat format : {FileFormat::kNpz, FileFormat::kLibsvm}) {
    SaveFile(dataset, Path("f"), format);
    EXPECT_EQ(ToPlain(LoadDataset(Path("f"), {.layout = Layout::kSparse})), ToPlain(dataset));
    const LoadOptions dense = {.n_features = 5, .layout = Layout::kDense};
    EXPECT_EQ(LoadDataset(Path("f"), dense).dense().n_features, 5);
    EXPECT_EQ(LoadDataset(Path("f"), {.n_features = 6, .layout = Layout::kSparse}).n_features(), 6);
    EXPECT_THAT(ErrorOf([&] { LoadDataset(Path("f"), {.n_features = 2}); }),
                HasSubstr("InvalidData: " + Path("f")));
    const base::Blob bytes = base::MapFile(Path("f"));
    EXPECT_EQ(ToPlain(LoadBytes(bytes, "b", {.layout = Layout::kSparse})), ToPlain(dataset));
  }
}

TEST_F(Shards, AFullDiskLeavesNothingBehind) {
  EXPECT_THAT(ErrorOf([] { SaveFile(Numbered(9, true), "/dev/full/x", FileFormat::kNpz); }),
              HasSubstr("/dev/full/x"));
  EXPECT_THAT(ErrorOf([&] { SaveFile(Numbered(9, true), Path("no/x"), FileFormat::kNpz); }),
              HasSubstr("NotFound: "));
  EXPECT_TRUE(std::filesystem::is_empty(folder_.path()));
}

Manifest SomeManifest() {
  Manifest manifest;
  const Dataset dataset = FromText("1 1:1\n-1 2:1\n");
  manifest.Add(MakeShardEntry("0_2", Describe(dataset), base::AsBytes("bytes")));
  manifest.Add(MakeShardEntry("1_2", Describe(dataset), base::AsBytes("other")));
  return manifest;
}

TEST(Manifest, ComesBackFromItsText) {
  const Manifest manifest = SomeManifest();
  const std::string text = manifest.ToText();
  const Manifest again = Manifest::Parse(text, "m");
  EXPECT_EQ(again.ToText(), text);
  EXPECT_EQ(again.rows, 4);
  EXPECT_EQ(again.nonzeros, 4);
  EXPECT_EQ(again.n_features, 2);
  EXPECT_EQ(again.labels, (LabelCounts{{-1, 2}, {1, 2}}));
  EXPECT_EQ(again.shards[1].name, "1_2");
}

TEST(Manifest, ManyLabelsAreNull) {
  Manifest manifest = SomeManifest();
  manifest.Add({.name = "2_3", .rows = 1, .n_features = 1, .size_bytes = 1});
  const Manifest again = Manifest::Parse(manifest.ToText(), "m");
  EXPECT_FALSE(again.labels.has_value());
  EXPECT_TRUE(again.shards[0].labels.has_value());
}

TEST(Manifest, EveryChangedMemberIsRefused) {
  const std::string text = SomeManifest().ToText();
  const auto changed = [&](std::string_view from, std::string_view to) {
    const size_t at = text.find(from);
    EXPECT_NE(at, std::string::npos) << from;
    const std::string other = text.substr(0, at) + std::string(to) + text.substr(at + from.size());
    return ErrorOf([&] { Manifest::Parse(other, "m"); });
  };
  EXPECT_EQ(changed("lambdaml-shards", "x"), "InvalidData: m: the format is not lambdaml-shards");
  EXPECT_EQ(changed("\"version\": 1", "\"version\": 2"),
            "InvalidData: m: version 2 is unknown, this program knows 1");
  EXPECT_EQ(changed("\"dense\"", "\"auto\""),
            "InvalidData: m: the layout is neither dense nor sparse");
  EXPECT_EQ(changed("\"rows\": 4", "\"rows\": 5"),
            "InvalidData: m: the totals are not those of the shards");
  EXPECT_EQ(changed("\"0_2\"", "\"../0_2\""), "InvalidData: m: \"../0_2\" is no name of a shard");
  EXPECT_EQ(changed("\"0_2\"", "\"a/b\""), "InvalidData: m: \"a/b\" is no name of a shard");
  EXPECT_EQ(changed("\"size_bytes\": 5", "\"size_bytes\": -5"), "InvalidData: m: size_bytes is -5");
  EXPECT_EQ(changed("\"size_bytes\": 5", "\"size_bytes\": \"5\""),
            "InvalidData: m: JSON value is not a whole number");
  EXPECT_EQ(changed("\"checksum\"", "\"sum\""), "InvalidData: m: unknown member \"sum\"");
  EXPECT_THAT(changed("\"nonzeros\": 4,", ""), HasSubstr("InvalidData: m: "));
}

TEST(Manifest, DamagedTextNeverCrashes) {
  base::Random random(3);
  const std::string valid = SomeManifest().ToText();
  for (int i = 0; i < 20000; ++i) {
    std::string text = valid;
    const uint64_t changes = 1 + random.Below(3);
    for (uint64_t c = 0; c < changes; ++c) {
      text[random.Below(text.size())] = static_cast<char>(random.Below(128));
    }
    const std::string error = ErrorOf([&] { Manifest::Parse(text, "m"); });
    ASSERT_TRUE(error == "no error" || error.starts_with("InvalidData: m")) << error;
  }
}

}  // namespace
}  // namespace lambdaml::data
