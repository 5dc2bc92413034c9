// Making and deleting the tables of a DynamoDB store.
#pragma once

#include <string>

#include "lambdaml/base/clock.h"
#include "lambdaml/store/dynamodb_client.h"
#include "lambdaml/store/dynamodb_options.h"

namespace lambdaml::store {

// Waits until the table is ready, and makes it if it is missing and `options` say so; true if it is
// this call's work. Of several who make it at once, one gets true. Errors: kNotFound, with how to
// create it; kInvalidArgument if its key is not options.key_col; kDeadlineExceeded.
bool PrepareTable(const std::string& table, const DynamoDbOptions& options, DynamoDbClient& client,
                  const base::Deadline& deadline);

// A missing table is ignored.
void DeleteTable(const std::string& table, const DynamoDbOptions& options, DynamoDbClient& client,
                 const base::Deadline& deadline);

}  // namespace lambdaml::store
