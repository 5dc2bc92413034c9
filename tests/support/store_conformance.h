// The conformance suite of stores; its tests stand in store_conformance.cc.
#pragma once

#include <gtest/gtest.h>
#include <memory>

#include "support/store_backend.h"

namespace lambdaml::test {

class StoreConformance : public testing::TestWithParam<StoreBackend> {
 protected:
  std::unique_ptr<StorePlace> place_ = GetParam().make_place();
  std::unique_ptr<store::Store> store_ = place_->Open();
};

}  // namespace lambdaml::test
