// The suite of collectives over real servers.
#include "support/servers/dynamodb_server.h"
#include "support/servers/memcached_server.h"
#include "support/servers/redis_server.h"
#include "support/servers/s3_backend.h"
#include "unit/comm/collectives_suite.h"

namespace lambdaml::comm {

INSTANTIATE_TEST_SUITE_P(
    Services, CollectivesTest,
    testing::Combine(testing::Values(test::S3Backend(), test::MemcachedBackend(),
                                     test::RedisBackend(), test::DynamoDbBackend()),
                     kPatterns),
    CollectivesTest::NameOf);

}  // namespace lambdaml::comm
