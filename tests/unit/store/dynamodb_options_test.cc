#include "lambdaml/store/dynamodb_options.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <string>

#include "lambdaml/base/error.h"

namespace lambdaml::store {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

DynamoDbOptions Parse(const std::string& url) {
  return DynamoDbOptions::FromUrl(StoreUrl::Parse(url));
}

std::string MessageOf(const std::string& url) {
  try {
    Parse(url);
  } catch (const base::Error& error) {
    EXPECT_EQ(error.code(), base::ErrorCode::kInvalidArgument);
    return error.message();
  }
  return "accepted";
}

TEST(DynamoDbOptionsTest, EveryPartOfTheUrlIsRead) {
  const DynamoDbOptions options = Parse(
      "dynamodb://tmp-params,merged.params?key_col=id&create=true&region=eu-west-1&endpoint="
      "http://127.0.0.1:8000");
  EXPECT_EQ(options.tmp_table, "tmp-params");
  EXPECT_EQ(options.merged_table, "merged.params");
  EXPECT_THAT(options.Tables(), ElementsAre("tmp-params", "merged.params"));
  EXPECT_EQ(options.key_col, "id");
  EXPECT_TRUE(options.create);
  EXPECT_EQ(options.aws.region, "eu-west-1");
  EXPECT_EQ(options.aws.endpoint, "http://127.0.0.1:8000");
}

TEST(DynamoDbOptionsTest, OneTableServesForBoth) {
  const DynamoDbOptions options = Parse("dynamodb://table");
  EXPECT_THAT(options.Tables(), ElementsAre("table"));
  EXPECT_EQ(options.TableOf("job/to1/1.0"), "table");
  EXPECT_EQ(options.TableOf("job/all/1.0"), "table");
  EXPECT_EQ(options.key_col, "key");
  EXPECT_FALSE(options.create);
  EXPECT_THAT(Parse("dynamodb://same,same").Tables(), ElementsAre("same"));
}

TEST(DynamoDbOptionsTest, WhatIsToBeMergedStandsInTheFirstTable) {
  const DynamoDbOptions options = Parse("dynamodb://tmp,merged");
  for (const char* key : {"job/to0/1.0", "job/to12/3.4", "job/to7/x/y"}) {
    EXPECT_EQ(options.TableOf(key), "tmp") << key;
  }
  for (const char* key : {"job/all/1.0", "job/model/0", "job/to1", "job/to/1", "job/tox/1",
                          "job/to1x/1", "to1/x/y", "job/x/to1/1", "job", ""}) {
    EXPECT_EQ(options.TableOf(key), "merged") << key;
  }
}

TEST(DynamoDbOptionsTest, WhatIsWrongIsNamed) {
  EXPECT_THAT(MessageOf("dynamodb://"), HasSubstr("\"\" is no name of a table"));
  EXPECT_THAT(MessageOf("dynamodb://ab"), HasSubstr("\"ab\" is no name of a table: 3 to 255"));
  EXPECT_THAT(MessageOf("dynamodb://" + std::string(256, 't')), HasSubstr("no name of a table"));
  EXPECT_THAT(MessageOf("dynamodb://tmp,"), HasSubstr("\"\" is no name"));
  EXPECT_THAT(MessageOf("dynamodb://tmp,a b"), HasSubstr("\"a b\""));
  EXPECT_THAT(MessageOf("dynamodb://one,two,three"), HasSubstr("\"two,three\""));
  EXPECT_THAT(MessageOf("dynamodb://table/path"), HasSubstr("only names of tables"));
  EXPECT_THAT(MessageOf("dynamodb://user:secret@table"), HasSubstr("only names of tables"));
  EXPECT_THAT(MessageOf("dynamodb://user:secret@table"), Not(HasSubstr("secret")));
  EXPECT_THAT(MessageOf("dynamodb://table?creat=true"), HasSubstr("no such parameter: creat"));
  EXPECT_THAT(MessageOf("dynamodb://table?create=yes"), HasSubstr("must be true or false"));
  EXPECT_THAT(MessageOf("dynamodb://table?key_col="), HasSubstr("1 to 255 bytes"));
  EXPECT_THAT(MessageOf("dynamodb://table?key_col=" + std::string(256, 'k')),
              HasSubstr("1 to 255 bytes"));
  EXPECT_THAT(MessageOf("dynamodb://table?key_col=value"), HasSubstr("cannot be \"value\""));
  EXPECT_THAT(MessageOf("dynamodb://table?key_col=version"), HasSubstr("cannot be \"version\""));
}

}  // namespace
}  // namespace lambdaml::store
