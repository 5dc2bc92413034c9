// DynamoDB under the conformance suite of stores.
#include "support/servers/dynamodb_server.h"
#include "support/store_conformance.h"

namespace lambdaml::test {

INSTANTIATE_TEST_SUITE_P(DynamoDb, StoreConformance, testing::Values(DynamoDbBackend()),
                         testing::PrintToStringParamName());

}  // namespace lambdaml::test
