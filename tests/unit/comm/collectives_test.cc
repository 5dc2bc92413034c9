// The suite of collectives over the stores that need no server.
#include "unit/comm/collectives_suite.h"

namespace lambdaml::comm {

INSTANTIATE_TEST_SUITE_P(Stores, CollectivesTest,
                         testing::Combine(testing::Values(test::MemoryBackend(),
                                                          test::FileBackend(),
                                                          test::SmallValuesBackend()),
                                          kPatterns),
                         CollectivesTest::NameOf);

}  // namespace lambdaml::comm
