#include "lambdaml/store/open_store.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "lambdaml/base/error.h"
#include "lambdaml/base/file.h"

namespace lambdaml::store {
namespace {

using testing::HasSubstr;

std::string MessageOf(const std::string& url) {
  try {
    OpenStore(url);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    return error.message();
  }
  return "no error";
}

TEST(OpenStoreTest, AFileUrlAndAPlainPathNameTheSameFolder) {
  const base::TemporaryDirectory folder("/tmp", "lambdaml_test_");
  EXPECT_EQ(OpenStore("file://" + folder.path() + "/jobs/")->url(),
            "file://" + folder.path() + "/jobs");
  EXPECT_EQ(OpenStore(folder.path() + "/x/../jobs")->url(), "file://" + folder.path() + "/jobs");
  EXPECT_EQ(OpenStore(folder.path() + "/a:b")->capabilities().service, "file");
}

TEST(OpenStoreTest, AnUnknownSchemeIsRefusedWithTheSupportedOnes) {
  EXPECT_THAT(MessageOf("gopher://host"),
              testing::AllOf(testing::StartsWith("gopher://host: no such store; supported are "),
                             HasSubstr("file:///dir, "), testing::EndsWith(" and plain paths")));
  EXPECT_THAT(MessageOf("file:/dir"), HasSubstr("supported are"));
  EXPECT_THAT(MessageOf("s3:bucket"), HasSubstr("supported are"));
}

TEST(OpenStoreTest, UrlsWithoutAPathAreRefused) {
  EXPECT_THAT(MessageOf("file://"), HasSubstr("must be absolute"));
  EXPECT_THAT(MessageOf("file://relative/path"), HasSubstr("must be absolute"));
  EXPECT_THAT(MessageOf(""), HasSubstr("empty"));
}

}  // namespace
}  // namespace lambdaml::store
