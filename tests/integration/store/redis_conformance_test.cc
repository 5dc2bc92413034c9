// The conformance suite of stores over a real Redis server.
#include "support/servers/redis_server.h"
#include "support/store_conformance.h"

namespace lambdaml::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Redis, StoreConformance, testing::Values(RedisBackend()),
                         testing::PrintToStringParamName());

}  // namespace
}  // namespace lambdaml::test
