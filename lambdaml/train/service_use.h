// From what a store or channel has counted to what a report says of its service.
#pragma once

#include <vector>

#include "lambdaml/comm/channel.h"
#include "lambdaml/report/cost.h"
#include "lambdaml/store/store.h"

namespace lambdaml::train {

report::ServiceUse UseOf(const store::Store& store);
report::ServiceUse UseOf(const comm::Channel& channel);

// Adds a use to those of the same service.
void AddUse(std::vector<report::ServiceUse>& total, const report::ServiceUse& use);

}  // namespace lambdaml::train
