// The stores that need no server, under the conformance suite.
#include "support/store_conformance.h"

namespace lambdaml::test {

INSTANTIATE_TEST_SUITE_P(Stores, StoreConformance,
                         testing::Values(MemoryBackend(), FileBackend(), SmallValuesBackend()),
                         testing::PrintToStringParamName());

}  // namespace lambdaml::test
