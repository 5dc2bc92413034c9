// Memcached under the conformance suite of stores.
#include "support/servers/memcached_server.h"
#include "support/store_conformance.h"

namespace lambdaml::test {

INSTANTIATE_TEST_SUITE_P(Memcached, StoreConformance, testing::Values(MemcachedBackend()),
                         testing::PrintToStringParamName());

}  // namespace lambdaml::test
