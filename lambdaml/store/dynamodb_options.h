// What a DynamoDB URL says: dynamodb://table or dynamodb://tmp_table,merged_table, and parameters.
#pragma once

#include <string>
#include <vector>

#include "lambdaml/net/aws_config.h"
#include "lambdaml/store/store_url.h"

namespace lambdaml::store {

struct DynamoDbOptions {
  std::string url;  // for messages; DynamoDB's have no secrets
  // LambdaML's division: what one rank writes for another to merge (<job>/to<d>/…) stands in the
  // first table, everything else in the second. Both are the same if one is given.
  std::string tmp_table;
  std::string merged_table;
  std::string key_col = "key";  // name of the tables' partition key, a string
  bool create = false;          // whether Prepare makes tables that are missing
  net::AwsConfigOptions aws;

  const std::string& TableOf(std::string_view key) const;
  std::vector<std::string> Tables() const;  // one or two

  // Errors: kInvalidArgument for a bad table name, column, parameter or value of a parameter.
  // Parameters: region, endpoint, key_col, create=true|false.
  static DynamoDbOptions FromUrl(const StoreUrl& url);
};

}  // namespace lambdaml::store
