#include "support/servers/s3_backend.h"
#include "support/store_conformance.h"

namespace lambdaml::test {

INSTANTIATE_TEST_SUITE_P(S3, StoreConformance, testing::Values(S3Backend()),
                         testing::PrintToStringParamName());

}  // namespace lambdaml::test
