// From what a store has counted to what a report says of its service.
#pragma once

#include "lambdaml/report/cost.h"
#include "lambdaml/store/store.h"

namespace lambdaml::train {

report::ServiceUse UseOf(const store::Store& store);

}  // namespace lambdaml::train
