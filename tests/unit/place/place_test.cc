#include "lambdaml/place/place.h"

#include <filesystem>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"
#include "lambdaml/data/split.h"
#include "lambdaml/place/data_place.h"

namespace lambdaml::place {
namespace {

using testing::HasSubstr;

std::string MessageOf(const std::function<void()>& call) {
  try {
    call();
  } catch (const base::Error& error) {
    return error.message();
  }
  return "no error";
}

TEST(Place, PathsAndFileUrlsAreLocal) {
  for (const char* local : {"a.libsvm", "/a/b", "file:///a/b", "./s3:/b", "a:b"}) {
    EXPECT_TRUE(IsLocal(local)) << local;
  }
  for (const char* remote : {"s3://bucket/a", "redis://host"}) {
    EXPECT_FALSE(IsLocal(remote)) << remote;
  }
  EXPECT_EQ(PathOf("file:///a/b"), "/a/b");
  EXPECT_EQ(PathOf("a?b"), "a?b");
}

TEST(Place, TheNameIsTheLastComponent) {
  EXPECT_EQ(NameOf("/a/b.libsvm"), "b.libsvm");
  EXPECT_EQ(NameOf("b.libsvm"), "b.libsvm");
  EXPECT_EQ(NameOf("a/"), "");
  EXPECT_EQ(NameOf("s3://bucket/a/b.model?endpoint=http://h/x"), "b.model");
  EXPECT_EQ(NameOf("s3://bucket"), "bucket");
}

TEST(Place, AnObjectIsItsFolderAndItsKey) {
  const ObjectPlace deep = SplitObjectUrl("s3://bucket/a/b/c.npz?region=eu-west-1");
  EXPECT_EQ(deep.folder_url, "s3://bucket/a/b?region=eu-west-1");
  EXPECT_EQ(deep.key, "c.npz");
  const ObjectPlace top = SplitObjectUrl("s3://bucket/c");
  EXPECT_EQ(top.folder_url, "s3://bucket");
  EXPECT_EQ(top.key, "c");
  for (const char* none : {"s3://bucket", "s3://bucket/", "s3://bucket/a/", "s3://bucket?x=/y"}) {
    EXPECT_THAT(MessageOf([&] { SplitObjectUrl(none); }), HasSubstr("names no object")) << none;
  }
}

TEST(Place, LocalFilesAreWrittenAndRead) {
  const base::TemporaryDirectory folder("/tmp", "place_test");
  const std::string path = folder.path() + "/file";
  CheckWritable(path);
  EXPECT_TRUE(std::filesystem::is_empty(folder.path()));
  Write("file://" + path, base::AsBytes("hello"));
  EXPECT_EQ(Read(path).text(), "hello");
  EXPECT_THROW(CheckWritable(folder.path() + "/no/such/file"), base::Error);
  EXPECT_THROW(Read(folder.path() + "/none"), base::Error);
}

TEST(DataPlace, IsAFileOrAFolderOfShards) {
  const base::TemporaryDirectory folder("/tmp", "place_test");
  const std::string file = folder.path() + "/rows.libsvm";
  base::WriteFileAtomic(file, base::AsBytes("1 1:1\n0 2:1\n1 1:2\n"));
  EXPECT_FALSE(OpenData(file).shards);
  const data::Dataset rows = LoadData("file://" + file, {});
  EXPECT_EQ(rows.rows(), 3);

  const std::string shards = folder.path() + "/shards";
  std::filesystem::create_directory(shards);
  data::Split(rows, {.parts = 2}, [&](std::string_view name, base::ByteSpan bytes) {
    base::WriteFileAtomic(shards + "/" + std::string(name), bytes);
  });
  ASSERT_TRUE(OpenData(shards).shards);
  EXPECT_EQ(OpenData(shards).shards->shard_count(), 2);
  EXPECT_EQ(LoadData(shards, {}).rows(), 3);
  EXPECT_THROW(LoadData(folder.path() + "/none", {}), base::Error);
}

}  // namespace
}  // namespace lambdaml::place
